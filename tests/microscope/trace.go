package microscope

import (
	"hash/fnv"
	"slices"
)

// trace is what happened so far, as a partial order. Two steps at different
// servers that do not follow from one another can change places: whichever comes
// first, the servers are in the same state after both, and owe the same. So each
// step is an event that knows only what it followed from: the last event at the
// servers it touches, and for a message the event that sent it. The sum of the
// events names the state, whatever the order they came in, and a state that was
// looked at before needs no second look.
//
// Two things are not local to a server. Time passes for all of them: it is an
// event at every server. And a read must see what was applied anywhere when it
// began: how much that was is part of its event.
type trace struct {
	last []uint64 // event at each server
	sum  uint64
}

func newTrace(n int) trace { return trace{last: make([]uint64, n)} }

func (t *trace) add(event uint64, servers []int) {
	for _, i := range servers {
		t.last[i] = event
	}
	t.sum += event
}

// mix makes one number of many.
func mix(numbers ...uint64) uint64 {
	h := uint64(0x9e3779b97f4a7c15)
	for _, n := range numbers {
		h ^= n
		h ^= h >> 30
		h *= 0xbf58476d1ce4e5b9
		h ^= h >> 27
		h *= 0x94d049bb133111eb
		h ^= h >> 31
	}
	return h
}

func mixText(text string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text)) // never fails
	return h.Sum64()
}

// name gives the messages sent in the last step their identity: what its sender
// had seen when it sent them, and their place among those of the step.
func (w *world) name(sent []*message) {
	same := map[channel]uint64{}
	for _, m := range sent {
		same[m.channel]++
		m.id = mix(w.trace.last[m.from], mixText(m.channel.String()), same[m.channel])
	}
}

// touched lists the servers at which a step happens.
func (w *world) touched(s step) []int {
	switch s.verb {
	case deliver:
		return []int{s.channel.to}
	case lose: // its caller is told
		if s.channel.reply {
			return []int{s.channel.to}
		}
		return []int{s.channel.from}
	case pass, beat, restart: // the others see a connection close
		all := make([]int, w.c.N)
		for i := range all {
			all[i] = i
		}
		return all
	case skip:
		return nil
	}
	return []int{s.server}
}

// eventOf is the event that a step would be now; m is its message, if any.
func (w *world) eventOf(s step, m *message) uint64 {
	if s.verb == skip {
		return 0
	}
	parts := []uint64{uint64(s.verb) + 1, uint64(s.server)}
	for _, i := range w.touched(s) {
		parts = append(parts, w.trace.last[i])
	}
	if m != nil {
		parts = append(parts, m.id)
	}
	if s.verb == read {
		w.mu.Lock()
		parts = append(parts, w.floor)
		w.mu.Unlock()
	}
	return mix(slices.Clip(parts)...)
}
