package labrpc

import (
	"errors"
	"fmt"
	"time"

	"lockstep.example/raft/internal/msgpack"
)

// A call that gets no answer ends with one of these, wrapped.
var (
	ErrClosed      = errors.New("endpoint closed")
	ErrUnreachable = errors.New("unreachable")
	ErrLost        = errors.New("message lost")
	ErrDeadline    = errors.New("deadline passed")
)

// Endpoint is one process on the network.
type Endpoint struct {
	n    *Network
	name string

	// guarded by n.mu
	methods map[string]handler
	once    map[string]bool // methods whose requests never arrive twice
	watch   func(peer string, up bool)
	gone    bool
}

// handler answers one request; both ends of it are encoded.
type handler func(from string, args []byte) (reply []byte, err error)

// Endpoint puts a new endpoint on the network. It takes the place of an earlier
// one of that name, which is closed first: the process was started again.
func (n *Network) Endpoint(name string) *Endpoint {
	e := &Endpoint{n: n, name: name, methods: map[string]handler{}, once: map[string]bool{}}
	n.mu.Lock()
	defer n.mu.Unlock()
	if old := n.endpoints[name]; old != nil {
		old.close()
	}
	if n.closed {
		e.gone = true
		return e
	}
	n.endpoints[name] = e
	n.tell(name, true)
	return e
}

// Name returns the endpoint's name.
func (e *Endpoint) Name() string { return e.name }

// Handle has f answer requests for a method of e. Each request runs in a
// goroutine of its own and may wait; arguments and replies are not shared with
// the caller. An error means that no answer is given, as if the request were
// lost.
func Handle[A, R any](e *Endpoint, method string, f func(from string, args *A) (*R, error)) {
	h := func(from string, body []byte) ([]byte, error) {
		args := new(A)
		if err := msgpack.Unmarshal(body, args); err != nil {
			return nil, err
		}
		reply, err := f(from, args)
		if err != nil {
			return nil, err
		}
		return msgpack.Marshal(reply)
	}
	e.n.mu.Lock()
	defer e.n.mu.Unlock()
	e.methods[method] = h
}

// HandleOnce is Handle for a method whose requests arrive once at most, whatever
// the network's conditions, as over one TCP connection.
func HandleOnce[A, R any](e *Endpoint, method string, f func(from string, args *A) (*R, error)) {
	Handle(e, method, f)
	e.n.mu.Lock()
	defer e.n.mu.Unlock()
	e.once[method] = true
}

// Watch has f told, one latency later, when another endpoint closes or appears
// and both directions of the link work at that moment: its connections broke, or
// it connected. A cut is silent. f runs in a goroutine of its own.
func (e *Endpoint) Watch(f func(peer string, up bool)) {
	e.n.mu.Lock()
	defer e.n.mu.Unlock()
	e.watch = f
}

// Close takes the endpoint off the network for good: a crash. Nothing it still
// sends arrives, its own calls end with ErrClosed, calls to it fail one latency
// later where the link works. It waits for nothing.
func (e *Endpoint) Close() {
	e.n.mu.Lock()
	defer e.n.mu.Unlock()
	e.close()
}

// close is Close with n.mu held.
func (e *Endpoint) close() {
	n := e.n
	if e.gone {
		return
	}
	e.gone = true
	delete(n.endpoints, e.name)
	n.tell(e.name, false)
	for c := range n.calls {
		switch {
		case c.from == e:
			n.after(0, func() { c.finish(nil, ErrClosed) })
		case c.to == e.name && n.arrives(e.name, c.from.name):
			n.after(n.latency(), func() { c.finish(nil, ErrUnreachable) })
		}
	}
}

// tell informs the others of an endpoint that came or went. n.mu must be held.
func (n *Network) tell(name string, up bool) {
	for _, other := range n.endpoints {
		if other.name == name || !n.arrives(name, other.name) || !n.arrives(other.name, name) {
			continue
		}
		n.after(n.latency(), func() {
			n.mu.Lock()
			f := other.watch
			if other.gone {
				f = nil
			}
			n.mu.Unlock()
			if f != nil {
				f(name, up)
			}
		})
	}
}

// call is one call until its done was called.
type call struct {
	from  *Endpoint
	to    string
	route route
	reply any
	done  func(error)

	deadline *timer // guarded by n.mu
}

// Call sends a request and returns at once. done is called exactly once, later,
// in a goroutine of its own: with nil once reply is filled in, or with an error,
// by the deadline at the latest (zero: no deadline). The caller may use args
// again when Call returns, reply when done is called.
func (e *Endpoint) Call(to, method string, args, reply any, deadline time.Time, done func(error)) {
	n := e.n
	body, err := msgpack.Marshal(args)
	c := &call{from: e, to: to, route: route{e.name, to, method}, reply: reply, done: done}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.closed:
		// Nobody waits for timers any more: this one ends by itself at once.
		time.AfterFunc(soon, func() { done(ErrClosed) })
		return
	case e.gone:
		err = ErrClosed
	}
	n.calls[c] = true
	if err != nil {
		n.after(0, func() { c.finish(nil, err) })
		return
	}
	if !deadline.IsZero() {
		c.deadline = n.after(time.Until(deadline), func() { c.finish(nil, ErrDeadline) })
	}
	n.count(c.route, Traffic{Requests: 1, RequestBytes: len(body)})
	m := &Message{Kind: Request, From: e.name, To: to, Method: method, Sent: time.Now(), body: body, call: c}
	n.send(m)
	if n.twice(m, n.conditions.Duplicate) {
		copied := *m
		copied.again = true
		n.send(&copied)
	}
}

// finish ends a call, once: with the encoded reply or with an error.
func (c *call) finish(body []byte, err error) {
	n := c.from.n
	n.mu.Lock()
	owed := n.calls[c]
	delete(n.calls, c)
	n.cancel(c.deadline)
	n.mu.Unlock()
	if !owed {
		return
	}
	if err == nil {
		err = msgpack.Unmarshal(body, c.reply)
	}
	if err != nil {
		err = fmt.Errorf("call %s of %s from %s: %w", c.route.method, c.to, c.route.from, err)
	}
	c.done(err)
}
