package rpc

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"
)

// ClientConfig says how a Client connects. The zero value will do.
type ClientConfig struct {
	Cluster string // the cluster id that servers must have; empty: any
	Limits  Limits // FrameBytes, QueueCalls, the timeouts
}

// Client calls services that were registered with Servers, by address. It keeps
// one connection for each address it is used with and has many calls under way
// on it; it dials when a call needs it, and hangs up after half a minute or so
// without calls. All methods may be called concurrently.
type Client struct {
	// immutable
	limits  Limits
	cluster string
	bootID  [16]byte
	dial    dialFunc
	group   sync.WaitGroup // every goroutine of the client

	mu sync.Mutex
	// guarded by mu
	lines  map[string]*line // by address
	closed bool
}

const (
	// maxAddresses bounds the lines of a client; a cluster has at most 64 servers.
	maxAddresses     = 1024
	clientMaxBackoff = 200 * time.Millisecond
)

// NewClient makes a client; it connects to nothing yet.
func NewClient(c ClientConfig) *Client {
	cl := &Client{limits: c.Limits.withDefaults(), cluster: c.Cluster, dial: dialTCP, lines: map[string]*line{}}
	if c.Limits.QueueCalls == 0 {
		cl.limits.QueueCalls = cl.limits.Requests // callers wait for their calls, so this is how many may wait
	}
	rand.Read(cl.bootID[:]) // never fails
	return cl
}

// Call calls a method, "Service.Method", at an address and waits for its reply,
// which replaces what reply, a pointer, points to. It returns when ctx ends, at
// the latest; args and reply are no longer touched then.
//
// Every error is a *CallError: by errors.Is ErrNotSent if the request can have
// had no effect, otherwise with its outcome unknown or, as a net/rpc
// ServerError, with the method's own error. After a failed attempt to connect
// calls fail at once for up to 200 ms: try another server meanwhile.
func (cl *Client) Call(ctx context.Context, address, method string, args, reply any) error {
	l, err := cl.line(address)
	if err == nil {
		err = ctx.Err()
	}
	if v := reflect.ValueOf(reply); v.Kind() != reflect.Pointer || v.IsNil() {
		err = fmt.Errorf("rpc: the reply is a %T; pass a pointer to where it should go", reply)
	}
	if err != nil {
		return &CallError{Method: method, To: address, Err: err}
	}
	result := make(chan error, 1)
	c := &call{method: method, size: callOverhead, args: args, reply: reply, done: func(err error) { result <- err }}
	l.enqueue(c)
	select {
	case err = <-result:
	case <-ctx.Done():
		l.end(c, ctx.Err())
		err = <-result // the call may have ended just before
	}
	return err
}

// line returns the line to an address.
func (cl *Client) line(address string) (*line, error) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.closed {
		return nil, ErrClosed
	}
	if l := cl.lines[address]; l != nil {
		return l, nil
	}
	if len(cl.lines) >= maxAddresses {
		return nil, fmt.Errorf("%w: this client has called %d addresses already; make a new one", ErrBusy, maxAddresses)
	}
	rules := policy{
		lazy: true, calls: cl.limits.QueueCalls, bytes: cl.limits.QueueBytes,
		maxBackoff: clientMaxBackoff, keepAlive: cl.limits.IdleTimeout / 3,
	}
	l := newLine(rules, func() string { return address }, func(ctx context.Context) (*conn, error) { return cl.connect(ctx, address) })
	l.start(&cl.group)
	cl.lines[address] = l
	return l, nil
}

// connect dials an address as a client.
func (cl *Client) connect(ctx context.Context, address string) (*conn, error) {
	ours := greeting{minVersion: minVersion, maxVersion: maxVersion, class: classClient, cluster: cl.cluster, bootID: cl.bootID}
	nc, theirs, err := greet(ctx, cl.dial, address, ours, cl.limits)
	if err != nil {
		return nil, err
	}
	if cl.cluster != "" && theirs.cluster != cl.cluster {
		return nil, errors.Join(refuse(ErrWrongCluster, "%s is of cluster %q, not %q", address, theirs.cluster, cl.cluster), nc.Close())
	}
	return newConn(nc, theirs, cl.limits, 0), nil
}

// Close ends all calls with ErrClosed and closes the connections. When it
// returns every goroutine of the client has ended.
func (cl *Client) Close() error {
	cl.mu.Lock()
	cl.closed = true
	lines := cl.lines
	cl.mu.Unlock()
	for _, l := range lines {
		l.stop()
	}
	cl.group.Wait()
	return nil
}
