package rpc

import "sync"

// turns keeps the AppendEntries handlers of one connection in order. net/rpc
// starts a goroutine per request, so two requests may overtake one another
// between the socket and the handler. The codec reads one body after the other
// and gives each a number as it does; a handler waits until all lower numbers
// have ended. There is no timer: a turn ends when its handler ends it or
// returns, and all end when the connection closes.
type turns struct {
	mu sync.Mutex
	// guarded by mu
	next    uint64                   // the number of the next request read
	current uint64                   // all lower numbers have ended
	ended   map[uint64]bool          // ended before their time came
	waiting map[uint64]chan struct{} // closed when their time comes
	closed  bool
}

// turn is one place in the order. It implements raft.Turn.
type turn struct {
	all    *turns
	number uint64
}

// take returns the next turn. The reader of the connection calls it.
func (ts *turns) take() *turn {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.next++
	return &turn{ts, ts.next - 1}
}

// close ends all turns for good.
func (ts *turns) close() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.closed = true
	for _, ch := range ts.waiting {
		close(ch)
	}
	ts.waiting = nil
}

// Wait returns when every earlier turn has ended; false if the connection closed
// instead.
func (t *turn) Wait() bool {
	ts := t.all
	ts.mu.Lock()
	if ts.closed || ts.current >= t.number {
		defer ts.mu.Unlock()
		return !ts.closed
	}
	ch := ts.waiting[t.number]
	if ch == nil {
		if ts.waiting == nil {
			ts.waiting = map[uint64]chan struct{}{}
		}
		ch = make(chan struct{})
		ts.waiting[t.number] = ch
	}
	ts.mu.Unlock()
	<-ch
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return !ts.closed
}

// End lets the next one go. It may be called more than once.
func (t *turn) End() {
	ts := t.all
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.closed || t.number < ts.current {
		return
	}
	if ts.ended == nil {
		ts.ended = map[uint64]bool{}
	}
	ts.ended[t.number] = true
	for ts.ended[ts.current] {
		delete(ts.ended, ts.current)
		ts.current++
		if ch := ts.waiting[ts.current]; ch != nil {
			close(ch)
			delete(ts.waiting, ts.current)
		}
	}
}
