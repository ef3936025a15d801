package failover

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"lockstep.example/raft/kv"
)

const writeTimeout = 15 * time.Second

// writer puts one new key after the other, each with a value that follows from
// it, and remembers those that were not acknowledged. Only run touches it until
// that returns.
type writer struct {
	prefix  string
	clerk   *kv.Clerk
	acks    *acks
	next    uint64          // every key below it was tried
	unknown map[uint64]bool // outcome unknown
	refused map[uint64]bool // certainly not done
	atWrite func(n uint64)  // in tests: called before each write
}

func (w *writer) key(n uint64) string   { return fmt.Sprintf("%s%09d", w.prefix, n) }
func (w *writer) value(n uint64) string { return "value " + strconv.FormatUint(n, 10) }

func (w *writer) run(ctx context.Context) {
	w.unknown, w.refused = map[uint64]bool{}, map[uint64]bool{}
	for ctx.Err() == nil {
		n := w.next
		w.next++
		if w.atWrite != nil {
			w.atWrite(n)
		}
		// A write is not abandoned at the end, so that its outcome is known.
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
		_, err := w.clerk.Put(bounded, []byte(w.key(n)), []byte(w.value(n)))
		cancel()
		switch {
		case err == nil:
			w.acks.add()
		case errors.Is(err, kv.ErrUnknown):
			w.unknown[n] = true
		default:
			w.refused[n] = true
		}
	}
}

// acks is when writes were acknowledged, all writers together.
type acks struct {
	mu sync.Mutex
	// guarded by mu
	total   uint64
	marked  uint64 // total at reset
	last    time.Time
	longest time.Duration // between two acknowledgements, since beginGap
}

func (a *acks) add() {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if !a.last.IsZero() {
		a.longest = max(a.longest, now.Sub(a.last))
	}
	a.last = now
	a.total++
}

// beginGap forgets how long earlier gaps were; one that is open counts from its
// beginning.
func (a *acks) beginGap() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.longest = 0
}

func (a *acks) longestGap() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.longest
}

func (a *acks) count() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.total
}

func (a *acks) reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.marked = a.total
}

func (a *acks) sinceReset() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.total - a.marked
}
