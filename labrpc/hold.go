package labrpc

import (
	"slices"
	"time"
)

// Match selects messages. Empty fields match any.
type Match struct {
	Kind     Kind
	From, To string // as the message travels: a reply comes from the endpoint that was called
	Method   string
	Nth      int                 // only the n-th match from now on; 0: each
	Where    func(*Message) bool // looks into the message; must not call the network
}

func (w *Match) matches(m *Message) bool {
	return (w.Kind == 0 || w.Kind == m.Kind) && like(w.From, m.From) && like(w.To, m.To) &&
		like(w.Method, m.Method) && (w.Where == nil || w.Where(m))
}

// Hold keeps the messages it matches from arriving until the test lets them go.
// The deadline of a call runs on: a request released after it is still
// delivered, a reply is not. Cuts are looked at when a message arrives, not
// while it is held.
type Hold struct {
	n     *Network
	match Match

	// guarded by n.mu
	seen    int
	waiting []*Message
	caught  chan struct{} // closed and replaced when a message is caught
}

// Hold starts to hold what match selects of the messages sent from now on. The
// first hold that matches a message has it.
func (n *Network) Hold(match Match) *Hold {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := &Hold{n: n, match: match, caught: make(chan struct{})}
	n.holds = append(n.holds, h)
	return h
}

// hold tells whether some hold took the message. n.mu must be held.
func (n *Network) hold(m *Message) bool {
	for _, h := range n.holds {
		if !h.match.matches(m) {
			continue
		}
		h.seen++
		if h.match.Nth == 0 || h.match.Nth == h.seen {
			h.waiting = append(h.waiting, m)
			n.tellFate(m, Held)
			close(h.caught)
			h.caught = make(chan struct{})
			return true
		}
	}
	return false
}

// Held lists what is held now, oldest first.
func (h *Hold) Held() []*Message {
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	return slices.Clone(h.waiting)
}

// Wait returns true once at least count messages are held, false if that takes
// longer than timeout.
func (h *Hold) Wait(count int, timeout time.Duration) bool {
	deadline := time.After(timeout)
	for {
		h.n.mu.Lock()
		enough, caught := len(h.waiting) >= count, h.caught
		h.n.mu.Unlock()
		if enough {
			return true
		}
		select {
		case <-caught:
		case <-deadline:
			return false
		}
	}
}

// Release ends the hold and sends all it has on their way, each with a latency
// of its own.
func (h *Hold) Release() {
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	for _, m := range h.end() {
		h.n.carry(m)
	}
}

// ReleaseOne sends the oldest held message on its way; false if there is none.
// The hold goes on.
func (h *Hold) ReleaseOne() bool {
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	if len(h.waiting) == 0 {
		return false
	}
	h.n.carry(h.waiting[0])
	h.waiting = h.waiting[1:]
	return true
}

// ReleaseThis sends one held message on its way; false if the hold does not have
// it. The hold goes on.
func (h *Hold) ReleaseThis(m *Message) bool {
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	i := slices.Index(h.waiting, m)
	if i >= 0 {
		h.waiting = slices.Delete(h.waiting, i, i+1)
		h.n.carry(m)
	}
	return i >= 0
}

// Drop ends the hold and loses all it has.
func (h *Hold) Drop() {
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	for _, m := range h.end() {
		h.n.lose(m, h.n.conditions.LossSeen, ErrLost)
	}
}

// end takes the hold off the network and returns what it had. n.mu must be held.
func (h *Hold) end() []*Message {
	if i := slices.Index(h.n.holds, h); i >= 0 {
		h.n.holds = slices.Delete(h.n.holds, i, i+1)
	}
	waiting := h.waiting
	h.waiting = nil
	return waiting
}
