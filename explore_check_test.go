package raft

import (
	"bytes"
	"fmt"
)

// breach is a property that does not hold.
type breach struct{ property, detail string }

func (b *breach) String() string { return b.property + ": " + b.detail }

// checkWorld looks at the world after a step of one server.
func (x *explorer) checkWorld(w *world, server int, s *step) *breach {
	is := w.servers[server]
	for _, look := range []func() *breach{
		func() *breach { return electionSafety(w, is, s) },
		func() *breach { return stateMachineSafety(w, is) },
		func() *breach { return leaderCompleteness(w) },
		func() *breach { return durableOnQuorum(w) },
		func() *breach { return electable(w) },
		func() *breach { return logMatching(w) },
		func() *breach { return readSafety(w, s) },
	} {
		if b := look(); b != nil && !x.ignored[b.property] {
			return b
		}
	}
	return nil
}

// electionSafety: a term has one leader, and it becomes so once.
func electionSafety(w *world, is *explored, s *step) *breach {
	if !s.elected {
		return nil
	}
	leader := &w.past.leaders[is.term]
	if *leader != 0 {
		return &breach{"ELECTION_SAFETY", fmt.Sprintf("%s becomes leader of term %d, which %s led", exploredIDs[is.slot], is.term, exploredIDs[*leader-1])}
	}
	*leader = uint8(is.slot) + 1
	return nil
}

// stateMachineSafety: nobody holds another entry for committed at an index than
// somebody did before.
func stateMachineSafety(w *world, is *explored) *breach {
	for i := range is.log[:is.commit] {
		entry := is.log[i]
		if i == int(w.past.length) {
			w.past.committed[i] = committed{slot: entry, term: uint8(is.term)}
			w.past.length++
		}
		if old := w.past.committed[i]; old.slot != entry {
			return &breach{"STATE_MACHINE_SAFETY", fmt.Sprintf("%s commits %s at index %d, where %s was committed in term %d",
				exploredIDs[is.slot], slots([]byte{entry}), i+1, slots([]byte{old.slot}), old.term)}
		}
	}
	return nil
}

// leaderCompleteness: a leader has every entry that was committed in an earlier term.
func leaderCompleteness(w *world) *breach {
	for _, s := range w.servers {
		if !s.leads {
			continue
		}
		for i, c := range w.past.committed[:w.past.length] {
			if uint64(c.term) < s.term && (i >= len(s.log) || s.log[i] != c.slot) {
				return &breach{"LEADER_COMPLETENESS", fmt.Sprintf("the log %s of %s, leader of term %d, lacks %s, which was committed at index %d in term %d and will be overwritten",
					slots(s.log), exploredIDs[s.slot], s.term, slots([]byte{c.slot}), i+1, c.term)}
			}
		}
	}
	return nil
}

// durableOnQuorum: what is committed is on the disks of a quorum.
func durableOnQuorum(w *world) *breach {
	for i, c := range w.past.committed[:w.past.length] {
		on := 0
		for _, s := range w.servers {
			if i < len(s.durable) && s.durable[i] == c.slot {
				on++
			}
		}
		if on < 2 {
			return &breach{"DURABLE_ON_QUORUM", fmt.Sprintf("%s was committed at index %d in term %d and is on %d disks", slots([]byte{c.slot}), i+1, c.term, on)}
		}
	}
	return nil
}

// electable is why Leader Completeness holds, and shows a mistake before its
// harm: a server that lacks a committed entry finds no quorum that would vote for it.
func electable(w *world) *breach {
	for _, s := range w.servers {
		for i, c := range w.past.committed[:w.past.length] {
			if i < len(s.log) && s.log[i] == c.slot {
				continue
			}
			votes := 0
			for _, voter := range w.servers {
				if voter.rf.log.upToDate(s.lastIndex, s.lastTerm) {
					votes++
				}
			}
			if votes > 1 {
				return &breach{"ELECTABLE", fmt.Sprintf("%s with log %s lacks %s, committed at index %d in term %d, and a quorum would vote for it",
					exploredIDs[s.slot], slots(s.log), slots([]byte{c.slot}), i+1, c.term)}
			}
			break
		}
	}
	return nil
}

// logMatching: two logs that agree in the term of an entry agree up to it.
func logMatching(w *world) *breach {
	for i, a := range w.servers {
		for _, b := range w.servers[i+1:] {
			for k := min(len(a.log), len(b.log)) - 1; k >= 0; k-- {
				if a.log[k]>>2 == b.log[k]>>2 {
					if !bytes.Equal(a.log[:k+1], b.log[:k+1]) {
						return &breach{"LOG_MATCHING", fmt.Sprintf("%s has %s, %s has %s", exploredIDs[a.slot], slots(a.log), exploredIDs[b.slot], slots(b.log))}
					}
					break
				}
			}
		}
	}
	return nil
}

// readSafety: a read sees everything that was committed when it began.
func readSafety(w *world, s *step) *breach {
	for _, index := range s.released {
		if from := uint64(w.past.readFrom - 1); index < from {
			return &breach{"READ_SAFETY", fmt.Sprintf("a read is released at index %d; index %d was committed when it began", index, from)}
		}
		w.past.readFrom = 0
	}
	return nil
}
