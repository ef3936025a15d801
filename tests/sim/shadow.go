package sim

import (
	"fmt"
	"hash/crc32"
	"slices"

	"lockstep.example/raft"
)

// shadow is what the disk of one server must hold, kept by watching everything
// that is staged into its store and every flush that returns. A crash may take
// what was staged and not flushed, from any point on, and nothing else.
type shadow struct {
	now     contents // with all that is staged
	flushed contents
	queue   []staged // staged and not flushed, oldest first
}

// contents is a log and a HardState. Only terms are kept: by Log Matching they
// name the entries.
type contents struct {
	terms []uint64 // of the entry at index i+1
	hard  raft.HardState
}

type staged struct {
	position raft.Position
	in       uint64 // the server's term then
	hard     *raft.HardState
	first    uint64
	terms    []uint64
}

// put applies one stage. The contents of one shadow may share an array: what two
// of them append at one place of it is the same, and who truncates leaves it.
func (c *contents) put(s staged) {
	if s.hard != nil {
		c.hard = *s.hard
	}
	if s.first == 0 {
		return
	}
	kept := c.terms[:s.first-1]
	if len(kept) < len(c.terms) {
		kept = slices.Clip(kept)
	}
	c.terms = append(kept, s.terms...)
}

func (c *contents) term(index uint64) uint64 {
	if index == 0 || index > uint64(len(c.terms)) {
		return 0
	}
	return c.terms[index-1]
}

func (c *contents) equal(other *contents) bool {
	return c.hard == other.hard && slices.Equal(c.terms, other.terms)
}

// recovered compares what a start found on the disk with what it must find: all
// that was flushed, and of the stages after it some number of the oldest, which it
// returns.
func (s *shadow) recovered(found contents) (survived int, err error) {
	expected := s.flushed
	for n := 0; ; n++ {
		if expected.equal(&found) {
			return n, nil
		}
		if n == len(s.queue) {
			break
		}
		expected.put(s.queue[n])
	}
	return 0, fmt.Errorf("recovered %d entries and %+v; %d entries and %+v were flushed, %d stages were not",
		len(found.terms), found.hard, len(s.flushed.terms), s.flushed.hard, len(s.queue))
}

// entryOf is what two sightings of one index and term must agree on.
type entryOf struct {
	prevTerm uint64
	sum      uint32 // of the entry's bytes
}

// readBatch decodes what is staged, for the shadow and for Log Matching.
func readBatch(s raft.Stage, prevTerm uint64) (terms []uint64, entries []entryOf, err error) {
	if s.FirstIndex == 0 {
		return nil, nil, nil
	}
	decoded, err := s.Batch.Entries(s.FirstIndex)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range decoded {
		terms = append(terms, e.Term)
		entries = append(entries, entryOf{prevTerm, crc32.ChecksumIEEE(e.Data) + uint32(e.Kind)})
		prevTerm = e.Term
	}
	return terms, entries, nil
}
