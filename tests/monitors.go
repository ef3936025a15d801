package tests

import (
	"fmt"
	"maps"
	"slices"
)

// Monitor watches a run for one thing that must always hold. It is told of every
// event, in some order that respects causes; the first error fails the test.
type Monitor interface {
	Observe(e Event) error
	// Finish is called when every server runs and has applied all there is:
	// applied says how many commands each has.
	Finish(applied map[string]uint64) error
}

// Monitors returns one of each kind.
func Monitors() []Monitor {
	return []Monitor{&oneLeader{}, &logMatching{}, &inOrder{}, &agreement{}, &acknowledged{}}
}

// oneLeader: Election Safety (paper Figure 3). At most one leader a term.
type oneLeader struct{ of map[uint64]string }

func (m *oneLeader) Observe(e Event) error {
	if e.Kind != Leads {
		return nil
	}
	if m.of == nil {
		m.of = map[uint64]string{}
	}
	if other, ok := m.of[e.Term]; ok && other != e.Server {
		return fmt.Errorf("two leaders in term %d: %s and %s", e.Term, other, e.Server)
	}
	m.of[e.Term] = e.Server
	return nil
}

func (m *oneLeader) Finish(map[string]uint64) error { return nil }

// logMatching: Log Matching (paper Figure 3). An index and a term name one entry
// and, by induction, one log up to it: it is enough that two sightings of an
// entry agree on its content and on the term before it.
type logMatching struct{ seen map[[2]uint64]sighting }

type sighting struct {
	server, content string
	prevTerm        uint64
}

func (m *logMatching) Observe(e Event) error {
	if e.Kind != Holds {
		return nil
	}
	if m.seen == nil {
		m.seen = map[[2]uint64]sighting{}
	}
	if e.PrevTerm > e.Term {
		return fmt.Errorf("%s holds index %d with term %d after an entry of term %d", e.Server, e.Index, e.Term, e.PrevTerm)
	}
	key, now := [2]uint64{e.Index, e.Term}, sighting{e.Server, e.Content, e.PrevTerm}
	first, ok := m.seen[key]
	if !ok {
		m.seen[key] = now
		return nil
	}
	if first.content != now.content || first.prevTerm != now.prevTerm {
		return fmt.Errorf("index %d of term %d is %.40q after term %d at %s, and %.40q after term %d at %s",
			e.Index, e.Term, first.content, first.prevTerm, first.server, now.content, now.prevTerm, now.server)
	}
	return nil
}

func (m *logMatching) Finish(map[string]uint64) error { return nil }

// inOrder: each life of a server applies numbers 1, 2, 3 and so on; indexes rise,
// terms never fall.
type inOrder struct{ last map[string]Event }

func (m *inOrder) Observe(e Event) error {
	if m.last == nil {
		m.last = map[string]Event{}
	}
	switch e.Kind {
	case Started:
		delete(m.last, e.Server)
	case Applies:
		last := m.last[e.Server]
		if e.Number != last.Number+1 {
			return fmt.Errorf("%s applies number %d after number %d", e.Server, e.Number, last.Number)
		}
		if e.Index <= last.Index || e.Index < e.Number || e.Term < last.Term {
			return fmt.Errorf("%s applies index %d of term %d (number %d) after index %d of term %d",
				e.Server, e.Index, e.Term, e.Number, last.Index, last.Term)
		}
		m.last[e.Server] = e
	}
	return nil
}

func (m *inOrder) Finish(map[string]uint64) error { return nil }

// agreement: State Machine Safety (paper Figure 3). What one server applied at a
// number, every server applies there, in every life.
type agreement struct{ first []Event } // by number - 1

func (m *agreement) Observe(e Event) error {
	if e.Kind != Applies || e.Number == 0 {
		return nil
	}
	if e.Number > uint64(len(m.first)) {
		if e.Number > uint64(len(m.first))+1 {
			return nil // a gap: inOrder's to report
		}
		m.first = append(m.first, e)
		return nil
	}
	first := m.first[e.Number-1]
	if first.Index != e.Index || first.Term != e.Term || first.Content != e.Content {
		return fmt.Errorf("number %d: %s applied %.40q (index %d, term %d), %s applies %.40q (index %d, term %d)", e.Number,
			first.Server, first.Content, first.Index, first.Term, e.Server, e.Content, e.Index, e.Term)
	}
	return nil
}

// Finish: all have applied all that anyone ever did.
func (m *agreement) Finish(applied map[string]uint64) error {
	for _, server := range slices.Sorted(maps.Keys(applied)) {
		if n := applied[server]; n != uint64(len(m.first)) {
			return fmt.Errorf("%s has applied %d commands in the end, %d were applied by some server", server, n, len(m.first))
		}
	}
	return nil
}

// acknowledged: an acknowledged proposal is applied at its number, a rejected one
// nowhere. Scenarios never propose the same command twice, but for those that
// retry until they succeed: a rejected try of such a command proves nothing.
type acknowledged struct {
	at       map[uint64]string // number -> command acknowledged there
	applied  map[uint64]string
	rejected map[string]string // command -> server
	ran      map[string]uint64 // command -> a number it was applied at
}

func (m *acknowledged) Observe(e Event) error {
	if m.at == nil {
		m.at, m.applied = map[uint64]string{}, map[uint64]string{}
		m.rejected, m.ran = map[string]string{}, map[string]uint64{}
	}
	switch e.Kind {
	case Applies:
		m.applied[e.Number], m.ran[e.Content] = e.Content, e.Number
	case Acknowledges:
		m.at[e.Number] = e.Content
	case Rejects:
		m.rejected[e.Content] = e.Server
	default:
		return nil
	}
	if acked, ok := m.at[e.Number]; ok && e.Kind != Rejects {
		if ran, ok := m.applied[e.Number]; ok && ran != acked {
			return fmt.Errorf("%.40q was acknowledged at number %d, where %.40q is applied", acked, e.Number, ran)
		}
	}
	if server, ok := m.rejected[e.Content]; ok {
		if number, ok := m.ran[e.Content]; ok {
			return fmt.Errorf("%s rejected %.40q, which is applied at number %d", server, e.Content, number)
		}
	}
	return nil
}

func (m *acknowledged) Finish(applied map[string]uint64) error {
	for _, number := range slices.Sorted(maps.Keys(m.at)) {
		if _, ok := m.applied[number]; !ok {
			return fmt.Errorf("%.40q was acknowledged at number %d and is applied nowhere", m.at[number], number)
		}
		for _, server := range slices.Sorted(maps.Keys(applied)) {
			if applied[server] < number {
				return fmt.Errorf("%.40q was acknowledged at number %d; %s has applied %d commands in the end",
					m.at[number], number, server, applied[server])
			}
		}
	}
	return nil
}
