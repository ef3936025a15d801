// Package wake has the two ways in which goroutines are woken. A Signal wakes
// one daemon, which then derives its work from state: events in a queue go
// stale, state does not. A Batch releases a crowd at once.
package wake

import "sync"

// Signal wakes one daemon. Any number of Notify before the daemon looks count
// as one.
type Signal chan struct{}

// NewSignal returns a signal that is not raised.
func NewSignal() Signal { return make(Signal, 1) }

// Notify raises the signal. It never blocks; any goroutine may call it, with
// or without locks.
func (s Signal) Notify() {
	select {
	case s <- struct{}{}:
	default:
	}
}

// Batch releases everyone who joined since the last release. The zero value is
// ready. Its mutex is a leaf.
type Batch struct {
	mu sync.Mutex
	c  chan struct{}
}

// Join returns a channel that the next Release closes. To wait for a condition
// join first, then test it: a release in between is not missed.
func (b *Batch) Join() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.c == nil {
		b.c = make(chan struct{})
	}
	return b.c
}

// Release lets everyone go who has joined. It never blocks.
func (b *Batch) Release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.c != nil {
		close(b.c)
		b.c = nil
	}
}
