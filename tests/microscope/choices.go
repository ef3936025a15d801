package microscope

import (
	"fmt"
	"strings"
)

// Bounds on what a whole schedule holds.
const (
	maxReads    = 4
	maxWrites   = 3
	maxPasses   = 3 // of time
	maxRestarts = 2
)

// choice is a step that could be taken at a point, and the state it leads to.
type choice struct {
	step step
	key  uint64
}

// stateKey names a state of a run: what happened, and how much of the story is
// told. It decides what follows if the story is not left again.
func stateKey(sum uint64, told int) uint64 { return mix(sum, uint64(told)) }

// choices lists every step that could be taken instead of the story's next one.
func (w *world) choices(s *story, told int) (list []choice) {
	var next *message
	if told < len(s.steps) {
		list = append(list, choice{step{verb: skip}, stateKey(w.trace.sum, told+1)})
		if s.steps[told].verb == deliver {
			next = w.find(s.steps[told].channel, s.steps[told].nth)
		}
	}
	for _, m := range w.held {
		for _, v := range []verb{deliver, lose} {
			if v == lose || m != next {
				c := step{verb: v, channel: m.channel, nth: m.nth}
				list = append(list, choice{c, stateKey(w.trace.sum+w.eventOf(c, m), told)})
			}
		}
	}
	for _, c := range w.actions() {
		list = append(list, choice{c, stateKey(w.trace.sum+w.eventOf(c, nil), told)})
	}
	return list
}

// actions lists the steps that need no message.
func (w *world) actions() (list []step) {
	for i := range w.c.N {
		if len(w.reads) < maxReads {
			list = append(list, step{verb: read, server: i})
		}
		if _, leads := w.state(i); leads && w.did[write] < maxWrites {
			list = append(list, step{verb: write, server: i})
		}
		if again := (step{verb: restart, server: i}); w.did[restart] < maxRestarts && w.possible(again) {
			list = append(list, again)
		}
	}
	if w.did[pass]+w.did[beat] < maxPasses {
		list = append(list, step{verb: beat})
	}
	return append(list, w.freezing()...)
}

// possible tells whether a step can be taken now.
func (w *world) possible(s step) bool {
	switch s.verb {
	case deliver, lose:
		return w.find(s.channel, s.nth) != nil
	case write, restart:
		return w.thaw == nil || s.server != 0
	case freeze:
		return w.thaw == nil
	case thaw:
		return w.thaw != nil
	}
	return true
}

// line tells a step that is about to be taken.
func (w *world) line(taken int, s step) string {
	text := fmt.Sprintf("%3d  %v", taken, s)
	if m := w.find(s.channel, s.nth); s.ofMessage() && m != nil {
		s.nth = m.nth
		text = fmt.Sprintf("%3d  %v: %s", taken, s, m.about())
	}
	return text
}

// consequences tells what can be seen from outside.
func (w *world) consequences() string {
	var b strings.Builder
	for i := range w.c.N {
		if term, leads := w.state(i); leads {
			fmt.Fprintf(&b, "server %d leads term %d; ", i, term)
		}
	}
	w.mu.Lock()
	fmt.Fprintf(&b, "applied %v", w.applied)
	w.mu.Unlock()
	for i := range w.c.N {
		for _, r := range w.reads {
			switch {
			case r.server != i:
			case !r.over():
				fmt.Fprintf(&b, "; read of server %d waits, must see %d", i, r.floor)
			case r.err != nil:
				fmt.Fprintf(&b, "; read of server %d failed", i)
			default:
				fmt.Fprintf(&b, "; read of server %d saw %d", i, r.value)
			}
		}
	}
	return b.String()
}
