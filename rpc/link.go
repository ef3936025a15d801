package rpc

import (
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"sync"
	"time"
)

// link is one outgoing connection of a line, with the net/rpc client that runs
// over it. net/rpc keeps every call until its answer or the connection's end;
// the link knows which these are, for the line may have ended them long ago.
type link struct {
	// immutable
	c      *conn
	client *rpc.Client
	limit  int // of calls that net/rpc may hold
	// answers has room for every call that net/rpc holds: it drops what it cannot
	// deliver.
	answers chan *rpc.Call
	ended   chan struct{} // closed by the line when it makes no more calls

	mu   sync.Mutex
	held map[*call]time.Time // guarded by mu; when each was given to net/rpc
}

func newLink(c *conn, limit int) *link {
	k := &link{c: c, limit: limit, answers: make(chan *rpc.Call, limit), ended: make(chan struct{}), held: map[*call]time.Time{}}
	k.client = rpc.NewClientWithCodec(&clientCodec{c: c})
	return k
}

// full tells whether the next call must wait for an answer.
func (k *link) full() bool { return k.holds() >= k.limit }

func (k *link) holds() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.held)
}

// send gives a call to net/rpc. It blocks while the socket is full, at most for
// the stall timeout; only the line's goroutine calls it.
func (k *link) send(c *call) {
	k.mu.Lock()
	k.held[c] = time.Now()
	k.mu.Unlock()
	k.client.Go(c.method, c, c, k.answers)
}

// collect ends calls as net/rpc gives them back, in a goroutine of its own,
// until the line makes no more and none is held. end is called for each.
func (k *link) collect(end func(*call, error)) {
	ended := k.ended
	for ended != nil || k.holds() > 0 {
		select {
		case answer := <-k.answers:
			c := answer.Args.(*call)
			k.mu.Lock()
			delete(k.held, c)
			k.mu.Unlock()
			end(c, k.explain(answer.Error))
		case <-ended:
			ended = nil
		}
	}
}

// explain puts the cause of a lost connection in the place of net/rpc's words.
func (k *link) explain(err error) error {
	switch {
	case err == nil, isServerError(err), errors.Is(err, ErrTooLarge), !k.c.isClosed():
		return err
	case k.c.cause == nil || k.c.cause == io.EOF:
		return fmt.Errorf("%w: the other side closed the connection", ErrNotConnected)
	}
	return fmt.Errorf("%w: the connection was lost: %w", ErrNotConnected, k.c.cause)
}

// sick tells whether the connection should be given up: a call that ended
// without an answer quietAfter ago and not a sign of life since it was sent, or
// forgetAfter ago whatever else was answered. If not, it returns when to ask
// again; zero if no held call has ended.
func (k *link) sick(now time.Time) (again time.Time, reason error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	heard := time.Unix(0, k.c.heard.Load())
	for c, sent := range k.held {
		at := c.endedAt()
		if at.IsZero() {
			continue
		}
		patience := forgetAfter
		if heard.Before(sent) {
			patience = quietAfter
		}
		due := at.Add(patience)
		if !due.After(now) {
			return time.Time{}, fmt.Errorf("no answer to a call that ended %v ago", now.Sub(at).Round(time.Millisecond))
		}
		if again.IsZero() || due.Before(again) {
			again = due
		}
	}
	return again, nil
}
