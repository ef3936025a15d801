package raft

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// renamings are the permutations of the three servers, the identity first.
var renamings = [...][3]uint8{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}

// unrenamed are their inverses.
var unrenamed = [...][3]uint8{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {2, 0, 1}, {1, 2, 0}, {2, 1, 0}}

// intern returns the one object for the state of a server.
func (x *explorer) intern(s *explored) *explored {
	s.look()
	key := string(s.encode(nil, 0))
	if known := x.servers[key]; known != nil {
		return known
	}
	x.servers[key] = s
	s.orbit = ^uint32(0)
	for r := range renamings {
		encoded := string(s.encode(nil, r))
		id, ok := x.encodings[encoded]
		if !ok {
			id = uint32(len(x.encodings))
			x.encodings[encoded] = id
		}
		s.ids[r] = id
		s.orbit = min(s.orbit, id)
	}
	return s
}

// encode spells the state of a server under a renaming. Left out is what no
// step's outcome hangs on:
//
//   - who is known to lead, and agreedIndex: hints for clients and for reads at
//     followers, which are not explored; that a term has one leader is looked at
//     by the explorer itself;
//   - lastApplied, which is commitIndex (settle);
//   - times, backoffs, budgets in bytes, positions: only differences of positions
//     matter;
//   - commands: an entry is known by its index, term and kind.
func (s *explored) encode(b []byte, renaming int) []byte {
	rf, name := s.rf, renamings[renaming]
	slot := func(id ServerID) byte {
		if id == "" {
			return 9
		}
		return name[exploredSlot(id)]
	}
	b = append(b, name[s.slot], byte(rf.role), byte(rf.currentTerm), slot(rf.votedFor.id), byte(rf.commitIndex))
	b = append(append(b, byte(len(s.log))), s.log...)
	if t := rf.tenure; t != nil {
		b = append(b, byte(t.sentinelIndex), byte(t.selfMatch), byte(t.round), byte(t.verified), byte(len(t.open)))
		for _, r := range t.open {
			b = append(b, byte(r.number), byte(r.index))
		}
		for _, old := range unrenamed[renaming] {
			if p := t.byID[exploredIDs[old]]; p != nil {
				b = encodeProgress(b, p)
			}
		}
		b = append(b, byte(len(s.captures)))
		for _, c := range s.captures {
			b = append(b, byte(c.logEnd), s.pending(c.position))
		}
	}
	if r := s.campaign; r != nil {
		b = append(b, 'c', byte(r.role))
		for _, old := range unrenamed[renaming] {
			b = append(b, byte(r.answers[old]))
		}
	}
	if s.diskless {
		return append(b, 'd')
	}
	d := &s.store.durable
	b = append(b, 's', byte(d.hard.Term), slot(d.hard.VotedFor), byte(d.commit), byte(len(d.entries)))
	for _, raw := range d.entries {
		b = append(b, entrySlot(raw))
	}
	for _, stage := range s.store.staged {
		b = append(b, '+', byte(stage.CommitIndex), byte(stage.FirstIndex), byte(stage.Batch.Count))
		h := stage.HardState
		if b = appendFlag(b, h != nil); h != nil {
			b = append(b, byte(h.Term), slot(h.VotedFor))
		}
		b = append(b, batchSlots(stage.Batch)...)
	}
	return b
}

func appendFlag(b []byte, flag bool) []byte {
	if flag {
		return append(b, 1)
	}
	return append(b, 0)
}

func encodeProgress(b []byte, p *progress) []byte {
	b = append(b, byte(p.state), byte(p.nextIndex), byte(p.matchIndex), byte(p.commitSent), byte(p.ackRound), byte(len(p.inflight)))
	b = appendFlag(b, p.commitInflight)
	for _, call := range p.inflight {
		b = append(b, byte(call.args.PrevLogIndex), byte(call.args.Batch.Count), byte(call.args.Round))
	}
	return b
}

// encodeMessage spells a message under a renaming.
func encodeMessage(m message, renaming int) uint64 {
	name := renamings[renaming]
	if m.answered && m.need == 0 && m.body.anyones() {
		m.to = m.from
	}
	code := uint64(m.body.id)<<24 | uint64(name[m.from])<<20 | uint64(name[m.to])<<18 | uint64(m.window)<<8 | uint64(m.need)
	if m.live {
		code |= 1 << 17
	}
	if m.answered {
		code |= 1 << 16
	}
	return code
}

func encodeMessages(b []byte, codes []uint64) []byte {
	slices.Sort(codes)
	for _, code := range codes {
		b = binary.BigEndian.AppendUint64(b, code)
	}
	return b
}

// key is the world's state without what is left of the allowance, the same for worlds that differ by names alone.
//
// Nothing in package raft orders servers or looks into a name: names are only
// compared for equality, and the order of the configuration decides in which
// order messages are built, not which. So renaming the servers of a run gives a
// run, and one world of each class is enough. Of the six renamings only those are
// tried that put the servers in the order of their orbits; the least encoding wins.
func (x *explorer) key(w *world) [16]byte {
	best := x.best[:0]
	for r, from := range unrenamed {
		a, b, c := w.servers[from[0]].orbit, w.servers[from[1]].orbit, w.servers[from[2]].orbit
		if a > b || b > c {
			continue
		}
		x.spelled = x.spell(w, r, x.spelled[:0])
		if len(best) == 0 || string(x.spelled) < string(best) {
			best = append(best[:0], x.spelled...)
		}
	}
	x.best = best
	sum := sha256.Sum256(best)
	if x.named {
		x.classes[[16]byte(sum[:16])] = true
		sum = sha256.Sum256(x.spell(w, 0, nil))
	}
	return [16]byte(sum[:16])
}

func (x *explorer) spell(w *world, renaming int, b []byte) []byte {
	for _, from := range unrenamed[renaming] {
		id := w.servers[from].ids[renaming]
		b = append(b, byte(id), byte(id>>8), byte(id>>16))
	}
	for _, slot := range append(w.past.leaders[:], w.crashed) {
		if slot > 0 {
			slot = 1 + renamings[renaming][slot-1]
		}
		b = append(b, slot)
	}
	b = append(b, w.past.length, w.past.readFrom)
	for _, c := range w.past.committed[:w.past.length] {
		b = append(b, c.slot, c.term)
	}
	x.codes = x.codes[:0]
	for _, m := range w.bag {
		x.codes = append(x.codes, encodeMessage(m, renaming))
	}
	return encodeMessages(b, x.codes)
}
