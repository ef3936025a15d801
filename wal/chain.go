package wal

import (
	"fmt"

	"lockstep.example/raft"
)

// chain is what the frames of a log add up to, without the entries' data. Both
// the writer and the reader put every frame through admit, so what one accepts
// the other does.
type chain struct {
	hard   raft.HardState
	last   uint64    // index of the last entry; 0: none
	commit uint64    // entries up to here are known to be committed
	runs   []termRun // the terms of the entries; one element for each change of term
}

// termRun is a run of entries of one term, up to the next run.
type termRun struct{ first, term uint64 }

// admit adds a frame or says why it cannot follow the ones before. After an
// error the chain is of no more use.
//
//  1. The term never falls, and within one a vote stays.
//  2. The commit hint counts up to the end of the log before this frame.
//  3. Entries begin above what is committed and at most one past the end; those
//     they meet are superseded. Their terms do not fall, neither against the
//     entry before nor among themselves, and none is above the term in force.
func (c *chain) admit(f *frame) error {
	if f.hasHard {
		old := c.hard
		if f.hard.Term < old.Term {
			return fmt.Errorf("the term falls from %d to %d", old.Term, f.hard.Term)
		}
		if f.hard.Term == old.Term && old.VotedFor != "" && f.hard != old {
			return fmt.Errorf("the vote in term %d changes from %q to %q", old.Term, old.VotedFor, f.hard.VotedFor)
		}
		c.hard = f.hard
	}
	c.commit = max(c.commit, min(f.commit, c.last))
	if f.batch.Count == 0 && len(f.batch.Body) == 0 {
		return nil
	}
	if f.first == 0 || f.first > c.last+1 {
		return fmt.Errorf("entries begin at index %d and the log before them ends at %d", f.first, c.last)
	}
	if f.first <= c.commit {
		return fmt.Errorf("entries begin at index %d and everything up to %d is committed", f.first, c.commit)
	}
	for len(c.runs) > 0 && c.runs[len(c.runs)-1].first >= f.first {
		c.runs = c.runs[:len(c.runs)-1]
	}
	index, term := f.first, uint64(0)
	if len(c.runs) > 0 {
		term = c.runs[len(c.runs)-1].term
	}
	err := f.batch.Walk(func(_ raft.EntryKind, t uint64, _ []byte) error {
		if t < term || t > c.hard.Term {
			return fmt.Errorf("the entry at index %d has term %d, the one before %d, the server %d", index, t, term, c.hard.Term)
		}
		if t > term {
			c.runs = append(c.runs, termRun{index, t})
			term = t
		}
		index++
		return nil
	})
	c.last = index - 1
	return err
}
