package script

import (
	"slices"
	"time"
)

// draw is the randomness of a server, which uses it for election deadlines: how
// far beyond the minimum. The server whose timer the script lets fire next has
// the earliest deadline, those it names later have later ones.
//
// A draw made at the very moment of the deadline drawn before is that of the
// firing itself: what the script waits for has come.
func (s *server) draw() uint64 {
	w := s.w
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if w.awaited == s && now.Equal(s.drawnAt.Add(w.adapter.ElectionTimeoutMin+s.drawn)) {
		w.awaited = nil
		w.next++
	}
	beyond := inTurn[min(w.turnLocked(s.index), len(inTurn)-1)]
	s.drawnAt, s.drawn = now, beyond+time.Duration(s.index+1)*1300711
	return uint64(s.drawn)
}

// inTurn is how far beyond the minimum a deadline is: of the server whose timer
// fires next, of the one after it, of one more, of all others.
var inTurn = []time.Duration{2 * time.Millisecond, 250 * time.Millisecond, 370 * time.Millisecond, 485 * time.Millisecond}

// turnLocked counts the servers that the script lets time out before this one; many
// if it never does. world.mu must be held.
func (w *world) turnLocked(index int) int {
	var before []int
	for _, i := range w.order[w.next:] {
		if i == index {
			return len(before)
		}
		if !slices.Contains(before, i) {
			before = append(before, i)
		}
	}
	return len(inTurn)
}

// await waits for the timer of a server; fired tells when it has.
func (w *world) await(s *server) (fired func() bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.awaited = s
	return func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.awaited == nil
	}
}
