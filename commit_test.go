package raft

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
)

// TestR1Figure8 is figure 8 of the paper: S1 leads term 2 and sends an entry to one
// follower only, S5 leads term 3 without S1 hearing of it, and S1 leads term 4. The entry
// of term 2 reaches a majority then, and must not be committed by that (R1): S5
// could still win and replace it. It is committed by an entry of term 4.
func TestR1Figure8(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{servers: 5}) // S1 as in (c): index 2 is of term 2, and fills a message
		args := appendArgs("n2", 2, 1, 1, 0)
		args.Batch = NewBatch(AppendEntry(nil, EntryCommand, 2, make([]byte, probeBytes)), 1)
		s.handleAppend(args)
		s.handleAppend(heartbeatArgs("n5", 3, 0, 0, 0))
		s.elect() // term 4, sentinel at 3
		call := func(id ServerID) *wireCall { return s.wire.takeAppends(id, false)[0] }
		for _, id := range []ServerID{"n2", "n3"} {
			s.conflict(call(id), 0, 2)
			s.agree(call(id)) // index 2 alone
		}
		var matches []uint64
		s.mutate(func() { matches = []uint64{s.tenure.byID["n2"].matchIndex, s.tenure.byID["n3"].matchIndex} })
		if got := s.Status(); !slices.Equal(matches, []uint64{2, 2}) || got.CommitIndex != 1 {
			t.Fatalf("R1: term 2 is on %v and n1; commitIndex is %d", matches, got.CommitIndex)
		}
		s.agree(call("n2"))
		if got := s.Status(); got.CommitIndex != 1 {
			t.Fatalf("R1: two of five hold the sentinel; commitIndex is %d", got.CommitIndex)
		}
		s.agree(call("n3"))
		if got := s.Status(); got.CommitIndex != 3 || got.LastApplied != 3 {
			t.Fatalf("three of five hold the sentinel; commitIndex is %d", got.CommitIndex)
		}
	})
}

// A leader counts itself only after its flush (R10), a commit needs a quorum that
// may well be the others.
func TestR10LeaderCountsItselfAfterItsFlush(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _ := led(t, setup{servers: 5})
		s.store.hold()
		s.add(1, 20)
		commit := func() uint64 { return s.Status().CommitIndex }
		for _, id := range []ServerID{"n2", "n3"} {
			for range 2 { // the sentinel, then the command
				s.agree(s.wire.takeAppends(id, false)[0])
			}
		}
		if got := commit(); got != 2 {
			t.Fatalf("R10: committed %d: two followers hold 3, the leader's flush is out", got)
		}
		s.store.release()
		synctest.Wait()
		if got := commit(); got != 3 {
			t.Fatalf("committed %d after the flush", got)
		}
		s.store.hold()
		s.add(1, 20)
		for _, id := range []ServerID{"n2", "n3", "n4"} {
			for calls := s.wire.takeAppends(id, false); len(calls) > 0; calls = s.wire.takeAppends(id, false) {
				for _, call := range calls {
					s.agree(call)
				}
			}
		}
		if got := commit(); got != 4 {
			t.Fatalf("committed %d: three followers are a quorum without the leader's disk", got)
		}
	})
}

// What is appended while a flush is under way is not covered by it (R10).
func TestR10OwnMatchIsTheEndAtTheCapture(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{})
		tenure := s.elect()
		s.store.hold()
		s.add(1, 20) // captured by the flush, which is held now
		gate := s.store.gate
		s.store.mu.Lock()
		s.store.gate = make(chan struct{}) // the next flush hangs on its own
		s.store.mu.Unlock()
		s.add(2, 20)
		close(gate)
		synctest.Wait()
		var own uint64
		s.mutate(func() { own = tenure.selfMatch })
		if own != 3 {
			t.Fatalf("R10: own match is %d after a flush captured at 3", own)
		}
		s.store.release()
		synctest.Wait()
		s.mutate(func() { own = tenure.selfMatch })
		if own != 5 {
			t.Fatalf("own match is %d in the end", own)
		}
	})
}

// A flush of one tenure says nothing in the next (R10): here the leader of term 2 loses
// its entry to term 3 and leads term 4, all while its flush hangs.
func TestR10OwnMatchIsOfTheSameTenure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{})
		first := s.elect()
		var c capture
		s.add(3, 20)
		s.mutate(func() { c = capture{position: s.staged, tenure: s.tenure, logEnd: s.log.lastIndex()} })
		s.handleAppend(appendArgs("n3", 3, 1, 1, 0, 3))
		second := s.elect() // log: 1 3, sentinel at 3
		var before uint64
		s.mutate(func() { before = second.selfMatch })
		s.flushedUpTo(c, c.position, 0)
		s.mutate(func() {
			if first == second || second.selfMatch != before || s.log.lastIndex() != 3 {
				t.Errorf("R10: own match went from %d to %d", before, second.selfMatch)
			}
		})
	})
}

// After a failed flush the leader commits nothing more and uses no index again
// (R9).
func TestR9LeaderWithAFailedFlushStops(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _ := replicating(t, setup{})
		s.store.fail(errors.New("no"))
		_, _ = s.Start([]byte("x"))
		s.broken(ErrStorage)
		for _, call := range s.wire.takeAppends("n2", false) {
			s.agree(call)
		}
		if got := s.Status(); got.CommitIndex != 2 {
			t.Errorf("R9: committed %d after the flush failed", got.CommitIndex)
		}
	})
}

// Commit needs both sets of a joint configuration (paper §6), and learners count
// for nothing.
func TestCommitOfAJointConfiguration(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{servers: 7, voters: func(c *Configuration) {
			c.Voters, c.OldVoters = []ServerID{"n1", "n2", "n3"}, []ServerID{"n1", "n4", "n5"}
		}})
		s.elect()
		for _, step := range []struct {
			id   ServerID
			want uint64
		}{{"n6", 1}, {"n7", 1}, {"n4", 1}, {"n5", 1}, {"n2", 2}} {
			s.agree(s.wire.takeAppends(step.id, false)[0])
			if got := s.Status().CommitIndex; got != step.want {
				t.Fatalf("after %s commitIndex is %d, want %d", step.id, got, step.want)
			}
		}
	})
}

func TestCommitNeedsAQuorumAtEverySize(t *testing.T) {
	for servers, others := range map[int]int{1: 0, 2: 1, 3: 1, 4: 2, 5: 2, 6: 3, 7: 3} {
		bubble(t, func(t *testing.T) {
			s := begin(t, setup{servers: servers})
			s.elect()
			for i := range others {
				if got := s.Status().CommitIndex; got != 1 {
					t.Fatalf("%d servers: committed by %d others", servers, i)
				}
				s.agree(s.wire.takeAppends(s.configuration.Servers[i+1].ID, false)[0])
			}
			if got := s.Status(); got.CommitIndex != 2 || got.LastApplied != 2 {
				t.Fatalf("%d servers: committed %d by %d others", servers, got.CommitIndex, others)
			}
		})
	}
}
