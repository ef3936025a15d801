package raft

import (
	"log/slog"
	"slices"
	"testing"
	"time"
)

// explored is one server of the small world in one state. It is never changed
// once made: a step is taken on a copy. Equal states are one object, so what the
// code of package raft does in a state is found out once and remembered.
type explored struct {
	slot     int // which of the three servers
	rf       *Raft
	store    *MemoryPersister
	campaign *campaignRound // whose answers still count; nil if none
	captures []capture      // a leader's flushes that it has not counted itself for, oldest first
	diskless bool           // no crash can come any more: what is on disk matters no longer

	facts
	ids   [len(renamings)]uint32 // of its encoding under each renaming of the servers
	orbit uint32                 // the least of them: equal for servers that are equal but for names
	steps map[event]*step
}

// facts is what the properties look at, in a form that is quick to compare.
type facts struct {
	term, commit  uint64
	leads         bool
	log           []byte // one slotOf an entry; the first has index 1
	durable       []byte // the same of what is certainly on disk
	unflushed     int    // stages that may not be on disk
	certain       candidate
	certainTerm   uint64 // term and vote that no crash can take
	lastIndex     uint64
	lastTerm      uint64
	tenure        *tenure
	sentinelIndex uint64
}

// slotOf names an entry: in a small world there is one of a term and kind at an
// index, or Election Safety is broken, which is looked at by itself.
func slotOf(kind EntryKind, term uint64) byte { return byte(term)<<2 | byte(kind) }

// campaignRound is what collect keeps on its stack: one round of a campaign.
type campaignRound struct {
	role    Role
	term    uint64
	answers [3]answer // by slot
}

type answer uint8

const (
	unanswered answer = iota
	refused
	granted
)

var exploredIDs = [3]ServerID{"n1", "n2", "n3"}

func exploredSlot(id ServerID) int { return slices.Index(exploredIDs[:], id) }

// longAgo is before anything that a timeout looks back to.
var longAgo = time.Now().Add(-10_000 * time.Hour)

// nowhere is the transport and state machine of a server whose messages the
// explorer carries.
type nowhere struct{ wire }

func (*nowhere) Apply([]Entry, []Result) {}

func (x *explorer) config(id ServerID, store Persister) Config {
	return Config{
		ID: id, Store: store, Transport: &nowhere{}, StateMachine: &nowhere{},
		MaxInflight: x.limits.inflight, Heartbeat: time.Second, ElectionTimeoutMin: time.Hour, ElectionTimeoutMax: 1000 * time.Hour,
		Rand: func() uint64 { return 0 }, Logger: slog.New(slog.DiscardHandler), CheckInvariants: true,
	}
}

// birth returns a freshly bootstrapped server.
func (x *explorer) birth(t testing.TB, slot int) *explored {
	t.Helper()
	store := NewMemoryPersister(nil)
	if _, err := Bootstrap(store, "small world", exploredIDs[slot], NewConfiguration(serverIDs(3))); err != nil {
		t.Fatal(err)
	}
	s, err := x.awaken(slot, store)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// awaken does what New does, up to where it starts daemons.
func (x *explorer) awaken(slot int, store *MemoryPersister) (*explored, error) {
	config := x.config(exploredIDs[slot], store)
	if err := config.complete(); err != nil {
		return nil, err
	}
	recovered, err := store.Recover()
	if err != nil {
		return nil, err
	}
	rf := &Raft{config: config, born: time.Now(), address: map[ServerID]string{}, peers: map[ServerID]Peer{}}
	equip(rf)
	if err := rf.recover(recovered); err != nil {
		return nil, err
	}
	for _, s := range rf.configuration.Servers {
		rf.address[s.ID] = s.Address
		if s.ID != config.ID {
			rf.peers[s.ID] = config.Transport.Connect(s.ID, s.Address)
		}
	}
	rf.timer.init(config.ElectionTimeoutMin, config.ElectionTimeoutMax, config.Rand)
	rf.timer.reset()
	return &explored{slot: slot, rf: rf, store: store}, nil
}

// equip gives a server what is its own and no part of its state.
func equip(rf *Raft) {
	rf.guard = newGuard(func() {})
	rf.checked = true
	rf.intakeWake, rf.applyWake = make(chan struct{}, 1), make(chan struct{}, 1)
	rf.timer.moved = make(chan struct{}, 1)
}

// copied returns a server that may be changed. Every field of Raft, tenure,
// progress, appendCall and MemoryPersister that a step can change is copied here;
// TestExploredCopyIsWhole fails for a field that this code has not heard of.
func (s *explored) copied() *explored {
	c := &explored{slot: s.slot, store: copiedStore(s.store), captures: slices.Clone(s.captures), diskless: s.diskless}
	if s.campaign != nil {
		round := *s.campaign
		c.campaign = &round
	}
	old := s.rf
	rf := &Raft{
		config: old.config, incarnation: old.incarnation, configuration: old.configuration,
		address: old.address, peers: old.peers, born: old.born,
		currentTerm: old.currentTerm, votedFor: old.votedFor, commitIndex: old.commitIndex, lastApplied: old.lastApplied,
		log:  raftLog{start: old.log.start, before: old.log.before, records: slices.Clone(old.log.records)},
		role: old.role, leader: old.leader, termLeader: old.termLeader, leaderContact: old.leaderContact,
		agreedIndex: old.agreedIndex, ledUntil: old.ledUntil,
		staged: old.staged, recoveredLast: old.recoveredLast, stagedLast: old.stagedLast,
		stagedBytes: old.stagedBytes, flushingBytes: old.flushingBytes, stagedSince: old.stagedSince, flushTime: old.flushTime,
		held: old.held,
	}
	equip(rf)
	rf.config.Store = c.store
	rf.timer.min, rf.timer.max, rf.timer.random = old.timer.min, old.timer.max, old.timer.random
	rf.timer.version, rf.timer.deadline, rf.timer.eager = old.timer.version, old.timer.deadline, old.timer.eager
	rf.durable.Store(old.durable.Load())
	rf.applied.Store(old.applied.Load())
	rf.leading.Store(old.leading.Load())
	rf.unflushedSince.Store(old.unflushedSince.Load())
	rf.reads.busy = old.reads.busy
	rf.tenure = copiedTenure(old.tenure)
	for i := range c.captures {
		c.captures[i].tenure = rf.tenure // captures of an earlier tenure are forgotten in settle
	}
	c.rf = rf
	return c
}

func copiedStore(p *MemoryPersister) *MemoryPersister {
	durable := p.durable
	durable.entries = slices.Clip(durable.entries) // both go on from here
	return &MemoryPersister{durable: durable, staged: slices.Clone(p.staged), end: p.end}
}

func copiedTenure(t *tenure) *tenure {
	if t == nil {
		return nil
	}
	c := &tenure{
		term: t.term, sentinelIndex: t.sentinelIndex, done: make(chan struct{}), byID: map[ServerID]*progress{},
		selfMatch: t.selfMatch, round: t.round, verified: t.verified,
	}
	for _, r := range t.open {
		c.open = append(c.open, &readRound{done: make(chan struct{}), number: r.number, index: r.index})
	}
	for _, p := range t.followers {
		q := *p
		q.wake = make(chan struct{}, 1)
		q.inflight = nil
		for _, call := range p.inflight {
			again := *call
			again.p = &q
			q.inflight = append(q.inflight, &again)
		}
		c.followers = append(c.followers, &q)
		c.byID[q.id] = &q
	}
	return c
}

// flushUpTo makes the oldest stages durable, as many as the position needs.
func (s *explored) flushUpTo(position Position) error {
	for s.store.durable.position < position && len(s.store.staged) > 0 {
		if err := s.store.durable.apply(s.store.staged[0]); err != nil {
			return err
		}
		s.store.staged = s.store.staged[1:]
	}
	return nil
}

// pending counts the stages that must be flushed before position is durable.
func (s *explored) pending(position Position) uint8 {
	if s.diskless || position <= s.store.durable.position {
		return 0
	}
	return uint8(position - s.store.durable.position)
}

// look fills in the facts.
func (s *explored) look() {
	rf := s.rf
	f := facts{
		term: rf.currentTerm, commit: rf.commitIndex, leads: rf.tenure != nil, tenure: rf.tenure,
		unflushed: len(s.store.staged), lastIndex: rf.log.lastIndex(), lastTerm: rf.log.lastTerm(),
	}
	for i := uint64(1); i < rf.log.end(); i++ {
		f.log = append(f.log, slotOf(rf.log.at(i).kind(), rf.log.term(i)))
	}
	if rf.tenure != nil {
		f.sentinelIndex = rf.tenure.sentinelIndex
	}
	f.certainTerm, f.certain, f.durable = rf.currentTerm, rf.votedFor, f.log
	if !s.diskless {
		d := &s.store.durable
		f.certainTerm, f.certain = d.hard.Term, candidate{d.hard.VotedFor, d.hard.VotedForIncarnation}
		f.durable = nil
		for _, raw := range d.entries {
			f.durable = append(f.durable, entrySlot(raw))
		}
	}
	s.facts = f
}

// entrySlot names an encoded entry; terms of a small world fit a byte.
func entrySlot(raw []byte) byte { return slotOf(EntryKind(raw[0]), uint64(raw[1])) }

// batchSlots names the entries of a batch.
func batchSlots(b Batch) (slots []byte) {
	_ = b.Walk(func(_ EntryKind, _ uint64, raw []byte) error { // made by package raft, so no error
		slots = append(slots, entrySlot(raw))
		return nil
	})
	return slots
}
