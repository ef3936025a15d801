package sim

import (
	"fmt"
	"sync"

	"lockstep.example/raft"
	"lockstep.example/raft/tests"
)

// durability watches every store and every commit of a run. After each step it
// has checked that
//
//   - what is committed is durable on a quorum of servers when the first of them
//     applies it, by way of an entry of its leader's own term (paper §5.4.2), and
//     is never truncated or replaced afterwards;
//   - a vote and an acknowledgement are durable when they are sent;
//   - a start finds everything that was flushed before;
//   - a server whose vote was flushed never votes for another in that term, over
//     all its lives (paper §5.2);
//   - a leader holds all that was committed in earlier terms (Leader
//     Completeness) and truncates nothing (Leader Append-Only);
//   - one index and one term are one entry after one term, in every log ever
//     staged (Log Matching).
//
// Its mutex comes after Raft.mu, with which the stores call it, and before the
// locks of the store itself and of the report.
type durability struct {
	servers int
	report  *Report

	mu sync.Mutex
	// guarded by mu
	shadows   map[string]*shadow
	votes     map[ballot]raft.ServerID
	leads     map[string]uint64 // the last term each led in this life
	committed map[uint64]commitment
	highest   uint64 // of committed
	entries   map[[2]uint64]entryOf
	held      map[[2]uint64]acceptance // by index and term
	bits      map[string]uint64
	chosen    []uint64 // terms, from index 1 on
	breach    error    // told at the next event
}

type ballot struct {
	server string
	term   uint64
}

// commitment is what is known of a committed index: the term of its entry, and
// a term in which it was surely committed already.
type commitment struct{ term, by uint64 }

func newDurability(n int, report *Report) *durability {
	return &durability{
		servers: n, report: report, shadows: map[string]*shadow{}, votes: map[ballot]raft.ServerID{},
		leads: map[string]uint64{}, committed: map[uint64]commitment{}, entries: map[[2]uint64]entryOf{},
		held: map[[2]uint64]acceptance{}, bits: map[string]uint64{},
	}
}

func (d *durability) of(server string) *shadow {
	s := d.shadows[server]
	if s == nil {
		s = &shadow{}
		d.shadows[server] = s
	}
	return s
}

// begin is told what a server found on its disk.
func (d *durability) begin(server string, r raft.Recovered) error {
	found := contents{hard: r.HardState}
	next := uint64(1)
	for _, b := range r.Batches {
		decoded, err := b.Entries(next)
		if err != nil {
			return err
		}
		for _, e := range decoded {
			found.terms = append(found.terms, e.Term)
		}
		next += uint64(len(decoded))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.leads, server)
	s := d.shadows[server]
	if s == nil { // its first life: what Bootstrap wrote is committed from birth
		s = &shadow{now: found, flushed: found}
		d.shadows[server] = s
		d.accepted(server, s, staged{first: 1, terms: found.terms})
		d.choose(found.terms)
		return nil
	}
	if len(s.queue) > 0 {
		d.report.count("crash with stages not flushed")
	}
	survived, err := s.recovered(found)
	if err != nil {
		return err
	}
	for range survived {
		d.settle(server, s)
	}
	s.now, s.flushed, s.queue = found, found, nil
	return nil
}

// stage stages into the store and notes it, as one step for flush.
func (d *durability) stage(server string, s raft.Stage, into func(raft.Stage) raft.Position) raft.Position {
	d.mu.Lock()
	defer d.mu.Unlock()
	position := into(s)
	sh := d.of(server)
	terms, entries, err := readBatch(s, sh.now.term(max(s.FirstIndex, 1)-1))
	if err != nil {
		d.fail(fmt.Errorf("%s stages a batch that nobody can read: %w", server, err))
		return position
	}
	end := uint64(len(sh.now.terms))
	if s.FirstIndex > end+1 {
		d.fail(fmt.Errorf("%s stages index %d after %d", server, s.FirstIndex, end))
		return position
	}
	if len(terms) > 0 && s.FirstIndex <= end {
		d.truncates(server, sh, s.FirstIndex, terms)
	}
	for i, e := range entries {
		key := [2]uint64{s.FirstIndex + uint64(i), terms[i]}
		if first, ok := d.entries[key]; ok && first != e {
			d.fail(fmt.Errorf("%s stages another entry at index %d of term %d than was seen before", server, key[0], key[1]))
		}
		d.entries[key] = e
	}
	change := staged{position: position, hard: s.HardState, first: s.FirstIndex, terms: terms}
	if len(terms) == 0 {
		change.first = 0
	}
	sh.now.put(change)
	change.in = sh.now.hard.Term
	sh.queue = append(sh.queue, change)
	return position
}

// truncates checks a stage that replaces entries. d.mu must be held.
func (d *durability) truncates(server string, sh *shadow, first uint64, terms []uint64) {
	if d.leads[server] == sh.now.hard.Term {
		d.fail(fmt.Errorf("%s replaces index %d while it leads term %d", server, first, sh.now.hard.Term))
	}
	for index := first; index <= min(uint64(len(sh.now.terms)), d.highest); index++ {
		c := d.committed[index]
		kept := index-first < uint64(len(terms)) && terms[index-first] == c.term
		if c.term != 0 && c.term == sh.now.term(index) && !kept {
			d.fail(fmt.Errorf("%s truncates index %d of term %d, which is committed", server, index, c.term))
		}
	}
	d.report.count("log truncated")
}

// flush notes that everything up to a position is durable.
func (d *durability) flush(server string, position raft.Position) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.of(server)
	for len(s.queue) > 0 && s.queue[0].position <= position {
		d.settle(server, s)
	}
}

// settle takes the oldest stage of a queue, which is durable now. d.mu must be
// held.
func (d *durability) settle(server string, s *shadow) {
	stage := s.queue[0]
	s.queue = s.queue[1:]
	s.flushed.put(stage)
	d.accepted(server, s, stage)
	if h := stage.hard; h != nil && h.VotedFor != "" {
		key := ballot{server, h.Term}
		if before, ok := d.votes[key]; ok && before != h.VotedFor {
			d.fail(fmt.Errorf("%s votes for %s in term %d, after a vote for %s", server, h.VotedFor, h.Term, before))
		}
		d.votes[key] = h.VotedFor
	}
}

// Observe implements tests.Monitor.
func (d *durability) Observe(e tests.Event) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch e.Kind {
	case tests.Applies:
		d.applies(e)
	case tests.Leads:
		d.leader(e)
	}
	return d.breach
}

// applies checks an entry when its first server applies it. d.mu must be held.
func (d *durability) applies(e tests.Event) {
	if _, ok := d.committed[e.Index]; ok {
		return // agreement is another monitor's
	}
	holders := 0
	for _, s := range d.shadows {
		if s.flushed.term(e.Index) == e.Term {
			holders++
		}
	}
	switch {
	case 2*holders <= d.servers:
		d.fail(fmt.Errorf("%s applies index %d of term %d, which is durable on %d of %d servers", e.Server, e.Index, e.Term, holders, d.servers))
	case e.Index > uint64(len(d.chosen)) || d.chosen[e.Index-1] != e.Term:
		d.fail(fmt.Errorf("%s applies index %d of term %d, which is not committed: no quorum has it with an entry of its leader's term", e.Server, e.Index, e.Term))
	}
	d.committed[e.Index] = commitment{e.Term, max(d.of(e.Server).now.hard.Term, e.Term)}
	d.highest = max(d.highest, e.Index)
}

// leader checks the log of a new leader. d.mu must be held.
func (d *durability) leader(e tests.Event) {
	if d.leads[e.Server] == e.Term {
		return
	}
	d.leads[e.Server] = e.Term
	log := &d.of(e.Server).now
	for index := uint64(1); index <= d.highest; index++ {
		if c := d.committed[index]; c.term != 0 && c.by < e.Term && log.term(index) != c.term {
			d.fail(fmt.Errorf("%s leads term %d without index %d of term %d, committed in term %d or before", e.Server, e.Term, index, c.term, c.by))
			return
		}
	}
}

// fail keeps the first breach. d.mu must be held.
func (d *durability) fail(err error) {
	if d.breach == nil {
		d.breach = err
	}
}

// Finish implements tests.Monitor.
func (d *durability) Finish(map[string]uint64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.breach
}

// watchedStore is a store whose every stage and flush durability sees.
type watchedStore struct {
	raft.Persister
	d      *durability
	server string
	over   func() bool // the server crashed: what it still does reaches no disk
}

func (w watchedStore) Recover() (raft.Recovered, error) {
	r, err := w.Persister.Recover()
	if err == nil {
		err = w.d.begin(w.server, r)
	}
	return r, err
}

func (w watchedStore) Stage(s raft.Stage) raft.Position {
	if w.over() {
		return w.Persister.Stage(s)
	}
	return w.d.stage(w.server, s, w.Persister.Stage)
}

func (w watchedStore) Flush() (raft.Position, error) {
	position, err := w.Persister.Flush()
	if err == nil && !w.over() {
		w.d.flush(w.server, position)
	}
	return position, err
}
