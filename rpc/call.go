package rpc

import (
	"errors"
	"reflect"
	"sync"
	"time"

	"lockstep.example/raft/internal/msgpack"
)

// call is one request on its way. It ends once: with its reply, with an error of
// the connection, or at its deadline. Arguments and reply are touched only while
// it has not ended and with mu held, so that once done is called they belong to
// the caller again, wherever the request may be.
type call struct {
	// immutable
	method   string
	size     int       // about how many bytes it has, for the queue's bound
	deadline time.Time // zero: none
	done     func(error)

	mu sync.Mutex
	// guarded by mu
	args, reply any
	sent        bool // encoded for the network: it may have reached the server
	ended       time.Time
}

// errEnded keeps a call that has ended from being sent.
var errEnded = errors.New("ended before it was sent")

// encode appends the arguments to a frame, and from then on counts the request
// as sent. A call that has ended, or does not fit, is not encoded.
func (c *call) encode(frame []byte, out *frameWriter) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended.IsZero() {
		return frame, errEnded
	}
	frame, err := msgpack.Append(frame, c.args)
	if err == nil {
		err = out.check(frame)
	}
	c.args = nil
	c.sent = err == nil
	return frame, err
}

// decode fills in the reply, unless nobody waits for it any more.
func (c *call) decode(body []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended.IsZero() {
		return nil
	}
	reflect.ValueOf(c.reply).Elem().SetZero() // decoding must find a fresh value
	return msgpack.Unmarshal(body, c.reply)
}

// end ends the call, if it has not ended yet, and calls done with err. To names
// the other side in the error's text.
func (c *call) end(to func() string, err error) {
	c.mu.Lock()
	if !c.ended.IsZero() {
		c.mu.Unlock()
		return
	}
	c.ended = time.Now()
	if err != nil {
		err = &CallError{Method: c.method, To: to(), Sent: c.sent, Err: err}
	}
	c.args, c.reply = nil, nil
	c.mu.Unlock()
	c.done(err)
}

// endedAt returns when the call ended; zero if it has not.
func (c *call) endedAt() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}
