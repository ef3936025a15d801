package rpc

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lockstep.example/raft"
)

// The tests of this file run in virtual time, over pipes. The bubble also checks
// that every goroutine has ended.

// exchangeBoard is a network of pipes: address to listener.
type exchangeBoard struct {
	mu        sync.Mutex
	listeners map[string]*pipeListener
	dials     int
}

// count returns how often anybody dialled.
func (b *exchangeBoard) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dials
}

type pipeListener struct {
	incoming chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case nc := <-l.incoming:
		return nc, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}
func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (b *exchangeBoard) dial(_ context.Context, address string) (net.Conn, error) {
	b.mu.Lock()
	b.dials++
	l := b.listeners[address]
	b.mu.Unlock()
	if l == nil {
		return nil, errors.New("no such host")
	}
	near, far := net.Pipe()
	select {
	case l.incoming <- far:
		return near, nil
	case <-l.closed:
		return nil, errors.New("connection refused")
	}
}

func (b *exchangeBoard) listen(address string) *pipeListener {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.listeners == nil {
		b.listeners = map[string]*pipeListener{}
	}
	l := &pipeListener{incoming: make(chan net.Conn), closed: make(chan struct{})}
	b.listeners[address] = l
	return l
}

// server starts a server whose address is its id.
func (b *exchangeBoard) server(t *testing.T, id string) *Server {
	c, err := Config{
		ID: raft.ServerID(id), Cluster: "c1", BootCounter: 1, BootID: [16]byte{id[0]}, Logger: slog.New(slog.DiscardHandler),
	}.prepare()
	if err != nil {
		t.Fatal(err)
	}
	return newServer(c, b.listen(id), b.dial)
}

func TestBackoffAndFailFast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var board exchangeBoard
		a := board.server(t, "a")
		p := a.Connect("b", "b")
		time.Sleep(time.Minute)
		asked := time.Now()
		_, err := vote(t, p, "a", "b", asked.Add(time.Hour))
		if took := time.Since(asked); took > 0 {
			t.Errorf("a call that cannot be sent failed only after %v", took)
		}
		if !errors.Is(err, ErrNotConnected) || !errors.Is(err, ErrNotSent) ||
			!strings.Contains(err.Error(), "b at b (control)") || !strings.Contains(err.Error(), "no such host") {
			t.Errorf("got %v", err)
		}
		n := board.count()
		// Two lines, each about one attempt a second after the first few.
		if n < 100 || n > 160 {
			t.Errorf("%d attempts in a minute", n)
		}
		// A peer that dials us is dialled at once.
		b := board.server(t, "b")
		b.Connect("a", "a")
		began := time.Now()
		for {
			if _, err := vote(t, p, "a", "b", time.Now().Add(time.Second)); err == nil || isServerError(err) {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if took := time.Since(began); took > 20*time.Millisecond {
			t.Errorf("connected %v after the peer came", took)
		}
		a.Close()
		b.Close()
	})
}

// TestCallsInTheQueue end at their deadline or by Close, and are not sent then.
func TestCallsInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var board exchangeBoard
		a, b := board.server(t, "a"), board.server(t, "b")
		fast := a.dial
		a.dial = func(ctx context.Context, address string) (net.Conn, error) {
			time.Sleep(2 * time.Second)
			return fast(ctx, address)
		}
		p := a.Connect("b", "b")
		_, err := vote(t, p, "a", "b", time.Now().Add(time.Second))
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrNotSent) {
			t.Errorf("got %v", err)
		}
		out := newFrameWriter(reading(nil), a.limits)
		c := &call{args: 1, done: func(error) {}}
		c.end(func() string { return "b" }, nil)
		if frame, err := c.encode(out.begin(), out); err != errEnded || len(frame) != frameHeaderSize {
			t.Errorf("an ended call was encoded: %q, %v", frame, err)
		}
		time.Sleep(10 * time.Second)

		// A call in the queue of a line that dials when it is stopped.
		a.Connect("b", "elsewhere")
		time.Sleep(time.Second)
		done, ch := later[raft.RequestVoteReply](t)
		p.RequestVote(&raft.RequestVoteArgs{Header: header("a", "b")}, time.Now().Add(time.Hour), done)
		a.Close()
		select {
		case o := <-ch:
			if !errors.Is(o.err, ErrClosed) || !errors.Is(o.err, ErrNotSent) {
				t.Errorf("a queued call ended with %v", o.err)
			}
		default:
			t.Error("a queued call has not ended when Close returns")
		}
		b.Close()
	})
}

// TestIdleConnectionsOfPeersStay: peers that have nothing to say keep their
// connections, and nobody is reported down.
func TestIdleConnectionsOfPeersStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var board exchangeBoard
		a, b := board.server(t, "a"), board.server(t, "b")
		h := &stubHandler{down: func(id raft.ServerID, r raft.DownReason) { t.Errorf("%s was reported down: %d", id, r) }}
		a.Attach(h)
		b.Attach(h)
		p := a.Connect("b", "b")
		time.Sleep(time.Hour)
		if _, err := vote(t, p, "a", "b", soon()); err != nil {
			t.Error(err)
		}
		if n := board.count(); n != 2 {
			t.Errorf("%d connections were made, want 2", n)
		}
		a.Attach(nil)
		b.Attach(nil)
		a.Close()
		b.Close()
	})
}

// TestIdleClientsHangUp, and call again as if nothing had been.
func TestIdleClientsHangUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var board exchangeBoard
		a := board.server(t, "a")
		a.Register("Echo", echo{})
		cl := NewClient(ClientConfig{})
		cl.dial = board.dial
		for range 3 {
			if err := cl.Call(t.Context(), "a", "Echo.Echo", &[]byte{1}, new([]byte)); err != nil {
				t.Error(err)
			}
			time.Sleep(50 * time.Second)
			synctest.Wait()
			if n := connectedClients(a); n != 0 {
				t.Errorf("%d clients are connected after a pause", n)
			}
		}
		cl.Close()
		a.Close()
	})
}

// TestASilentConnectionIsReplaced: after a partition TCP may keep a dead
// connection for minutes; calls that go unanswered end it.
func TestASilentConnectionIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var board exchangeBoard
		hole := board.listen("b")
		var group sync.WaitGroup
		var ends []time.Duration
		start := time.Now()
		group.Go(func() {
			for {
				nc, err := hole.Accept()
				if err != nil {
					return
				}
				group.Go(func() {
					greetAs(nc, "b")
					io.Copy(io.Discard, nc) // reads, and never answers
					board.mu.Lock()
					ends = append(ends, time.Since(start))
					board.mu.Unlock()
				})
			}
		})
		a := board.server(t, "a")
		p := a.Connect("b", "b")
		_, err := vote(t, p, "a", "b", start.Add(time.Second))
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != time.Second {
			t.Errorf("%v after %v, want the deadline after 1 s exactly", err, took)
		}
		time.Sleep(10 * time.Second)
		board.mu.Lock()
		if !slices.Equal(ends, []time.Duration{time.Second + quietAfter}) {
			t.Errorf("connections ended after %v, want the control one after %v", ends, time.Second+quietAfter)
		}
		board.mu.Unlock()
		if n := board.count(); n != 3 {
			t.Errorf("%d connections were made, want 3", n)
		}
		a.Close()
		hole.Close()
		group.Wait()
	})
}

// TestCloseEndsEverything: calls on their way and in the queue, goroutines (the
// bubble checks them), and the peer's connections.
func TestCloseEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var board exchangeBoard
		a, b := board.server(t, "a"), board.server(t, "b")
		release := make(chan struct{})
		b.Attach(&stubHandler{vote: func(*raft.RequestVoteArgs) (*raft.RequestVoteReply, error) {
			<-release
			return nil, errors.New("too late")
		}})
		a.Attach(&stubHandler{down: func(raft.ServerID, raft.DownReason) { t.Error("its own Close was reported as b's end") }})
		p := a.Connect("b", "b")
		a.Connect("nowhere", "nowhere")
		var ended atomic.Int64
		done := func(_ *raft.RequestVoteReply, err error) {
			if !errors.Is(err, ErrClosed) {
				t.Errorf("ended with %v", err)
			}
			ended.Add(1)
		}
		synctest.Wait()
		for range 100 {
			p.RequestVote(&raft.RequestVoteArgs{Header: header("a", "b")}, time.Now().Add(time.Hour), done)
		}
		synctest.Wait()
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		if n := ended.Load(); n != 100 {
			t.Errorf("%d of 100 calls have ended when Close returns", n)
		}
		p.RequestVote(&raft.RequestVoteArgs{}, time.Now().Add(time.Hour), done)
		a.Connect("late", "late").RequestVote(&raft.RequestVoteArgs{}, time.Now().Add(time.Hour), done)
		synctest.Wait()
		if n := ended.Load(); n != 102 {
			t.Errorf("%d of 102 calls have ended", n)
		}
		a.Close()

		// b's handlers still wait: Close says so, and does not hang.
		began := time.Now()
		if err := b.Close(); err == nil || time.Since(began) != closeTimeout {
			t.Errorf("Close with handlers at work gave %v after %v", err, time.Since(began))
		}
		close(release)
		synctest.Wait()
	})
}

// TestSilentClientsAreClosed: one that greets and says nothing more.
func TestSilentClientsAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var board exchangeBoard
		a := board.server(t, "a")
		nc, err := board.dial(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		g := greeting{minVersion: 1, maxVersion: 1, class: classClient}
		if _, err := exchange(nc, g, time.Second); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err = nc.Read(make([]byte, 1))
		if took := time.Since(began); err != io.EOF || took != time.Minute {
			t.Errorf("read gave %v after %v, want the end after the idle timeout", err, took)
		}
		a.Close()
	})
}

// TestAForgottenCallEndsItsConnection: net/rpc keeps a call that is never
// answered for as long as its connection lives, so that must not be for ever.
func TestAForgottenCallEndsItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var board exchangeBoard
		a, b := board.server(t, "a"), board.server(t, "b")
		release := make(chan struct{})
		b.Attach(&stubHandler{read: func(*raft.ReadIndexArgs) (*raft.ReadIndexReply, error) {
			<-release
			return nil, errors.New("too late")
		}})
		p := a.Connect("b", "b")
		synctest.Wait()
		start := time.Now()
		p.ReadIndex(&raft.ReadIndexArgs{Header: header("a", "b")}, start.Add(time.Second), func(_ *raft.ReadIndexReply, err error) {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the call ended with %v", err)
			}
		})
		for time.Since(start) < time.Second+forgetAfter-time.Millisecond {
			if _, err := vote(t, p, "a", "b", time.Now().Add(time.Second)); err != nil {
				t.Fatalf("after %v: %v", time.Since(start), err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Second)
		if n := board.count(); n != 3 {
			t.Errorf("%d connections were made, want 3", n)
		}
		close(release)
		a.Close()
		b.Close()
	})
}

func TestSuppressedLinesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var book logBook
		cs := complaints{log: book.logger()}
		for range 30 { // a line at 0, 10 and 20 s
			cs.about("k", "r", io.EOF)
			cs.about("other", "r", io.EOF)
			time.Sleep(time.Second)
		}
		lines := book.lines()
		if len(lines) != 6 || !strings.Contains(lines[5], "suppressed=9") {
			t.Errorf("logged %q", lines)
		}
	})
}
