package sim

import (
	"fmt"
	"math/bits"
)

// acceptance is which servers ever had one entry on their disk, and which of them
// took it while their term was the entry's own: bit by bit.
type acceptance struct{ durable, inTerm uint64 }

// bit is a server's in an acceptance. d.mu must be held.
func (d *durability) bit(server string) uint64 {
	n, ok := d.bits[server]
	if !ok {
		n = uint64(1) << len(d.bits)
		d.bits[server] = n
	}
	return n
}

func (d *durability) quorum(set uint64) bool { return 2*bits.OnesCount64(set) > d.servers }

// accepted notes that the entries of a stage are durable. Once a quorum has taken
// an entry in its own term, it and everything before it are chosen: whatever
// happens, nothing else will ever stand there (paper §5.4.2). An entry of an
// earlier term that a quorum holds is not, which is Figure 8. d.mu must be held.
func (d *durability) accepted(server string, s *shadow, stage staged) {
	bit := d.bit(server)
	for i, term := range stage.terms {
		index := stage.first + uint64(i)
		key := [2]uint64{index, term}
		a := d.held[key]
		a.durable |= bit
		if term == stage.in {
			a.inTerm |= bit
		}
		d.held[key] = a
		if d.quorum(a.inTerm) {
			d.choose(s.flushed.terms[:index])
		}
	}
}

// choose takes a log that is chosen. d.mu must be held.
func (d *durability) choose(log []uint64) {
	if n := len(log); n <= len(d.chosen) {
		if log[n-1] != d.chosen[n-1] {
			d.fail(fmt.Errorf("index %d of term %d is held by a quorum in its term, and so was another of term %d", n, log[n-1], d.chosen[n-1]))
		}
		return
	}
	d.chosen = append(d.chosen, log[len(d.chosen):]...)
}
