package rpc

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// line carries calls to one address, or to one peer wherever it is now. Callers
// only put calls into its queue and never wait. Two goroutines do the rest: run
// dials and writes, watch ends calls at their deadlines and those that cannot be
// queued.
//
// While there is no connection and the last attempt failed, calls fail at once
// with that attempt's error: what they would say is stale by the time it could
// be sent. During an attempt they wait in the queue.
type line struct {
	// immutable
	policy
	dial   func(context.Context) (*conn, error)
	to     func() string // the other side, for errors
	ctx    context.Context
	cancel context.CancelFunc
	work   chan struct{} // cap 1: run should look at the queue
	retry  chan struct{} // cap 1: run should dial now
	check  chan struct{} // cap 1: watch should look at failed and sweepAt

	mu sync.Mutex
	// guarded by mu
	queue       []*call
	queuedBytes int
	open        map[*call]struct{} // every call that has not ended
	failed      []failure          // calls that watch has to end
	sweepAt     time.Time          // when watch next looks for passed deadlines; zero: not planned
	link        *link              // nil: not connected
	refuses     error              // why calls fail at once; nil: they are queued
	retryAt     time.Time          // of a lazy line: when a call may try again
	stopped     bool
}

// policy says how a line behaves.
type policy struct {
	lazy       bool          // dial only when there is a call, and hang up when idle
	calls      int           // bound of the queue, and of what net/rpc may hold
	bytes      int           // bound of the queue
	maxBackoff time.Duration // between attempts to connect
	keepAlive  time.Duration // after so long without a frame: send an empty one, or hang up
}

type failure struct {
	c   *call
	err error
}

const minBackoff = 10 * time.Millisecond

// newLine makes a line; nothing moves on it until start.
func newLine(p policy, to func() string, dial func(context.Context) (*conn, error)) *line {
	l := &line{
		policy: p, dial: dial, to: to, open: map[*call]struct{}{},
		work: make(chan struct{}, 1), retry: make(chan struct{}, 1), check: make(chan struct{}, 1),
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// start starts the goroutines; they join group, and end after stop.
func (l *line) start(group *sync.WaitGroup) {
	group.Go(l.run)
	group.Go(l.watch)
}

// notify wakes a goroutine without ever blocking.
func notify(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// enqueue takes over a call. It never blocks, and never calls done itself.
func (l *line) enqueue(c *call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		// Nobody is left to end it. Users stop before their transport does, so
		// this is a stray.
		go c.end(l.to, ErrClosed)
		return
	}
	l.open[c] = struct{}{}
	switch {
	case len(l.queue) >= l.calls || l.queuedBytes > 0 && l.queuedBytes+c.size > l.bytes:
		l.failLocked(c, fmt.Errorf("%w: %d calls and %d bytes wait; try again later", ErrQueueFull, len(l.queue), l.queuedBytes))
	case l.refuses != nil && !(l.lazy && !time.Now().Before(l.retryAt)):
		l.failLocked(c, l.refuses)
	default:
		l.queue = append(l.queue, c)
		l.queuedBytes += c.size
		notify(l.work)
		l.sweepByLocked(c.deadline)
	}
}

// failLocked has watch end a call. l.mu must be held. The list is as long as its
// callers make it in the moment before watch runs.
func (l *line) failLocked(c *call, err error) {
	l.failed = append(l.failed, failure{c, err})
	notify(l.check)
}

// sweepByLocked has watch look at deadlines no later than t. l.mu must be held.
func (l *line) sweepByLocked(t time.Time) {
	if !t.IsZero() && (l.sweepAt.IsZero() || t.Before(l.sweepAt)) {
		l.sweepAt = t
		notify(l.check)
	}
}

// end ends a call, from whichever goroutine got to know.
func (l *line) end(c *call, err error) {
	l.mu.Lock()
	delete(l.open, c)
	if l.link != nil && err != nil {
		l.sweepByLocked(time.Now().Add(quietAfter)) // it may be held for ever
	}
	if len(l.queue) > 0 {
		notify(l.work) // the link may have been full
	}
	l.mu.Unlock()
	c.end(l.to, err)
}

// kick has a line that waits before its next attempt try now: the other side was
// just heard, or has a new address.
func (l *line) kick() { notify(l.retry) }

// hangUp closes the connection, if there is one.
func (l *line) hangUp(cause error) {
	l.mu.Lock()
	k := l.link
	l.mu.Unlock()
	if k != nil {
		k.c.close(cause)
	}
}

// stop ends the line: its goroutines end soon, and all calls with ErrClosed.
func (l *line) stop() {
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	l.cancel()
	l.hangUp(ErrClosed)
}

// run keeps the line connected. It dials, carries calls until the connection is
// lost, and dials again after a pause. The pause doubles with every attempt that
// brought no lasting connection and is shortened by kick; it is jittered so that
// servers do not dial in step. A lazy line dials only when a call waits.
func (l *line) run() {
	pause := minBackoff
	for l.ctx.Err() == nil {
		if l.lazy && !l.awaitCall() {
			return
		}
		l.mu.Lock()
		l.refuses = nil
		l.mu.Unlock()
		began := time.Now()
		c, err := l.dial(l.ctx)
		if err == nil {
			err = l.carry(c)
		}
		if c != nil && time.Since(began) > l.maxBackoff {
			pause = minBackoff
		}
		if err == errIdle {
			continue // hung up by ourselves; a call that came in just now is dialled for
		}
		wait := pause/2 + rand.N(pause)
		l.drop(err, wait)
		if !l.lazy && l.wait(wait) {
			pause = minBackoff
			continue
		}
		pause = min(2*pause, l.maxBackoff)
	}
}

// drop ends what waits in the queue: it has nowhere to go.
func (l *line) drop(err error, wait time.Duration) {
	if !errors.Is(err, ErrNotConnected) {
		err = fmt.Errorf("%w: %w", ErrNotConnected, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuses, l.retryAt = err, time.Now().Add(wait)
	for _, c := range l.queue {
		l.failLocked(c, err)
	}
	l.queue, l.queuedBytes = nil, 0
}

// wait pauses; true if it was cut short by kick.
func (l *line) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.ctx.Done():
	case <-l.retry:
		return true
	}
	return false
}

// awaitCall waits until a call is queued; false if the line stopped.
func (l *line) awaitCall() bool {
	for {
		l.mu.Lock()
		queued := len(l.queue)
		l.mu.Unlock()
		if queued > 0 {
			return true
		}
		select {
		case <-l.work:
		case <-l.ctx.Done():
			return false
		}
	}
}

// carry sends calls over a connection until it ends, and returns why. All calls
// it carried have ended by then.
func (l *line) carry(c *conn) error {
	k := newLink(c, l.calls)
	var collector sync.WaitGroup
	collector.Go(func() { k.collect(l.end) })
	l.mu.Lock()
	l.link = k
	stopped := l.stopped
	l.mu.Unlock()
	if stopped {
		c.close(ErrClosed) // stop came too early to see the link
	}

	err := l.pump(k)

	l.mu.Lock()
	l.link = nil
	if err != errIdle {
		l.refuses = err
	}
	l.mu.Unlock()
	c.close(err)
	close(k.ended)
	collector.Wait()
	return err
}

// pump writes the queue to a link, flushing when it is empty. With nothing to
// write for keepAlive it sends an empty frame, or ends a lazy line's connection
// that waits for nothing.
func (l *line) pump(k *link) error {
	timer := time.NewTicker(l.keepAlive)
	defer timer.Stop()
	wrote := false
	for {
		for !k.full() {
			c := l.pop()
			if c == nil {
				break
			}
			k.send(c)
			wrote = true
		}
		if err := k.c.out.to.Flush(); err != nil {
			k.c.close(err)
		}
		select {
		case <-l.work:
		case <-k.c.closed:
			return k.explain(ErrNotConnected)
		case <-timer.C:
			if !wrote && l.lazy && k.holds() == 0 {
				return errIdle
			}
			if !wrote {
				if err := k.c.out.keepAlive(); err != nil {
					k.c.close(err)
				}
			}
			wrote = false
		}
	}
}

// pop takes the next call off the queue.
func (l *line) pop() *call {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		l.queue = nil
		return nil
	}
	c := l.queue[0]
	l.queue[0] = nil
	l.queue = l.queue[1:]
	l.queuedBytes -= c.size
	return c
}
