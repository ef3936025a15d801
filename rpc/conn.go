package rpc

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// conn is a connection after the greetings, whichever side dialled. Whoever
// first sees an error closes it with that cause; everything that waits on the
// connection ends then.
type conn struct {
	// immutable once made
	net    net.Conn
	remote greeting
	in     *frameReader
	out    *frameWriter
	closed chan struct{} // closed by close
	onEnd  func()        // called once, by close, with no lock held; may be nil

	once  sync.Once
	cause error        // why it closed; read only after closed is
	heard atomic.Int64 // when the last frame arrived, in Unix nanoseconds

	// of an incoming connection
	known  bool // Connect named its sender; guarded by the admission's mu
	order  turns
	window window
}

func newConn(nc net.Conn, remote greeting, l Limits, idle time.Duration) *conn {
	c := &conn{net: nc, remote: remote, in: newFrameReader(nc, l, idle), out: newFrameWriter(nc, l), closed: make(chan struct{})}
	c.window.init(l)
	return c
}

// close ends the connection for the given cause; only the first counts.
func (c *conn) close(cause error) {
	c.once.Do(func() {
		c.cause = cause
		close(c.closed)
		c.net.Close()
		c.order.close()
		c.window.close()
		if c.onEnd != nil {
			c.onEnd()
		}
	})
}

func (c *conn) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

// window bounds the requests of one connection that are read and not yet
// answered, in number and bytes: net/rpc would start a goroutine for each
// without end. The reader waits for room before it reads the next request.
type window struct {
	mu   sync.Mutex
	room sync.Cond
	// guarded by mu
	sizes    map[uint64]int // by net/rpc sequence number
	bytes    int
	requests int // limits
	maxBytes int
	closed   bool
}

func (w *window) init(l Limits) {
	w.room.L = &w.mu
	w.requests, w.maxBytes = l.Requests, l.RequestBytes
}

// wait returns once there is room for another request, or the connection closed.
func (w *window) wait() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.closed && (len(w.sizes) >= w.requests || w.bytes >= w.maxBytes) {
		w.room.Wait()
	}
}

// add enters a request; false if its number is taken.
func (w *window) add(seq uint64, size int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sizes == nil {
		w.sizes = map[uint64]int{}
	}
	if _, taken := w.sizes[seq]; taken {
		return false
	}
	w.sizes[seq] = size
	w.bytes += size
	return true
}

// done takes a request out again.
func (w *window) done(seq uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bytes -= w.sizes[seq]
	delete(w.sizes, seq)
	w.room.Signal()
}

func (w *window) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.room.Broadcast()
}
