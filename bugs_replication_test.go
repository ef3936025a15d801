package raft

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// Bugs that other Rafts had in replication, each with the public report of it. A
// test is named for the number that the mutants of tests/mutants know the bug by.

// R2 (akka-raft#66, CCF#5676): a delayed AppendEntries, shorter than those that
// came before it, cut off entries which the leader had counted as matched.
func TestR2DelayedAppendRemovesNothing(t *testing.T) {
	for name, late := range map[string]*AppendEntriesArgs{
		"its first part": appendArgs("n2", 5, 1, 1, 0, 5),
		"its middle":     appendArgs("n2", 5, 2, 5, 0, 5),
		"nothing":        appendArgs("n2", 5, 2, 5, 0),
		"a heartbeat":    heartbeatArgs("n2", 5, 2, 5, 0),
		"all of it":      appendArgs("n2", 5, 1, 1, 0, 5, 5, 5),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := begin(t, setup{term: 5})
				s.handleAppend(appendArgs("n2", 5, 1, 1, 0, 5, 5, 5))
				stages := s.store.staged()
				reply := s.handleAppend(late)
				if got := s.terms(); len(got) != 3 || reply.Refusal != Agreed {
					t.Errorf("R2: the log lost what the leader has matched up to index 4; it ends at %d now, reply %+v", len(got)+1, reply)
				}
				if got := s.store.staged(); got != stages {
					t.Errorf("R2: a message without news was staged")
				}
			})
		})
	}
}

// R3 (copycat#265, scylladb#9965): a commit point was taken up to the end of the
// follower's own log, a tail that conflicts with the leader's included. Here
// nothing after prev is known to be the leader's but what the message carries.
func TestR3CommitStopsAtWhatTheMessageProves(t *testing.T) {
	for _, c := range []struct {
		name string
		args *AppendEntriesArgs
		want uint64
	}{
		{"heartbeat", heartbeatArgs("n2", 5, 2, 2, 5), 2},
		{"heartbeat to an unknown log", heartbeatArgs("n2", 5, 0, 0, 5), 1},
		{"append without entries", appendArgs("n2", 5, 2, 2, 5), 2},
		{"append of entries held", appendArgs("n2", 5, 2, 2, 5, 3), 3},
		{"append of new entries", appendArgs("n2", 5, 3, 3, 9, 5), 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := begin(t, setup{term: 5, log: []uint64{2, 3, 3, 3}})
				s.handleAppend(c.args)
				if got := s.Status().CommitIndex; got != c.want {
					t.Errorf("R3: commitIndex is %d, the message proves the log up to %d; the tail may conflict with the leader's", got, c.want)
				}
			})
		})
	}
}

// R3 by way of a read: the answer of the leader carries its commit point too, and
// of the own log only a part may have been compared with that leader's.
func TestR3CommitPointOfARead(t *testing.T) {
	for _, c := range []struct {
		name string
		last *AppendEntriesArgs // of the leader that is asked
		term uint64             // in which it answers
		want uint64
	}{
		{"compared up to 3", heartbeatArgs("n2", 5, 3, 3, 1), 5, 3},
		{"compared by an earlier leader", heartbeatArgs("n3", 6, 0, 0, 0), 6, 1},
		{"compared in an earlier term of it", heartbeatArgs("n2", 5, 3, 3, 1), 7, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := begin(t, setup{term: 5, log: []uint64{2, 3, 3, 3}})
				s.handleAppend(heartbeatArgs("n2", 5, 3, 3, 1))
				s.handleAppend(c.last)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go s.ReadIndex(ctx)
				s.answerRead(s.wire.takeReads()[0], ReadIndexReply{Term: c.term, Index: 5, CommitIndex: 5})
				if got := s.Status().CommitIndex; got != c.want {
					t.Errorf("R3: the answer to a read moved commitIndex to %d; the log is compared with that of the leader of its term up to %d", got, c.want)
				}
			})
		})
	}
}

// R6 (RavenDB-13612): the follower acknowledged its own last index, and the leader
// took that, or the follower's commit point, for what matched. This follower's log
// is longer than what it was sent, with a tail of its own.
func TestR6MatchIsWhatTheRequestProves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, p := led(t, setup{log: []uint64{2, 2}}) // sentinel at 4
		call := s.expect("elected", "3+1")[0]
		s.add(3, 20) // the leader's log ends at 7
		matched := func(what string, want uint64) {
			t.Helper()
			var got uint64
			s.mutate(func() { got = p.matchIndex })
			if got != want {
				t.Fatalf("R6: %s: matchIndex is %d, the requests prove %d", what, got, want)
			}
		}
		beats := s.wire.takeAppends("n2", true)
		s.reply(beats[0], AppendEntriesReply{LastLogIndex: 7, CommitIndex: 7})
		matched("a heartbeat", 0)
		s.reply(call, AppendEntriesReply{LastLogIndex: 7, CommitIndex: 6})
		matched("the sentinel", 4)
		s.reply(call, AppendEntriesReply{LastLogIndex: 99, CommitIndex: 50}) // the same once more, hostile
		matched("a duplicate", 4)
	})
}

// R7 (openraft#1500): a refusal of what matches already was read as the loss of
// the follower's log, and the leader panicked. It says that a message came before
// its predecessor: the rest is sent again.
func TestR7RefusalAtTheMatchIsNoLoss(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, p := replicating(t, setup{})
		s.add(1, 20)
		call := s.expect("replicating", "2+1")[0]
		s.conflict(call, 0, 1)
		time.Sleep(minBackoff)
		if again, shape := s.sent(); len(again) != 1 || s.Err() != nil {
			t.Fatalf("R7: after a refusal at what matched the leader sent %v; it ended with %v", shape, s.Err())
		}
		s.wantState(p, "probe 2<4")
	})
}

// R7: only a conflict says where the logs part. A follower that is busy, or not the
// one that was meant, says nothing of its log, whatever else its answer holds.
func TestR7OnlyAConflictMovesNextIndex(t *testing.T) {
	for name, refusal := range map[string]Refusal{
		"busy": RefusedBusy, "not for me": RefusedNotForMe, "blank": RefusedBlank, "of a newer version": Refusal(77),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s, _ := led(t, setup{log: []uint64{2, 2, 2, 2, 2, 2, 2}, commit: 8})
				// The leader knows 8 as committed, so a probe goes on from there.
				s.reply(s.expect("elected", "8+1")[0], AppendEntriesReply{Refusal: refusal, ConflictIndex: 3, ConflictTerm: 2})
				time.Sleep(minBackoff)
				if _, shape := s.sent(); !slices.Equal(shape, []string{"8+1"}) {
					t.Errorf("R7: a refusal that is no conflict moved the next message from 8+1 to %v", shape)
				}
			})
		})
	}
}

// R8 (etcd-io/raft#36): a hint of where the logs part led the leader out of its
// log. Whatever numbers a refusal holds, the leader goes on with a message from
// within its log.
func TestR8HintOutOfRange(t *testing.T) {
	numbers := []uint64{0, 1, 2, 3, 4, 5, 6, 7, 8, 99, maxIndex, 1<<64 - 2, 1<<64 - 1}
	bubble(t, func(t *testing.T) {
		s, _ := led(t, setup{log: []uint64{2, 2, 4, 4, 4}}) // sentinel at 7
		for _, term := range numbers {
			for _, index := range numbers {
				for _, commit := range numbers {
					s.mutate(func() {
						reply := &AppendEntriesReply{Refusal: RefusedConflict, ConflictTerm: term, ConflictIndex: index, CommitIndex: commit}
						for prev := uint64(1); prev < s.log.end(); prev++ {
							if next := s.afterConflictLocked(prev, reply); next < 1 || next > prev {
								t.Fatalf("R8: after a refusal at %d with the hint (term %d, index %d, commit %d) the next message begins at %d", prev, term, index, commit, next)
							}
						}
					})
				}
			}
		}
	})
}

// R12 (CCF#2852): on a hint of where to roll back a node discarded entries it was
// responsible for: it had acknowledged them, they counted for a commit. Here the
// logs agree at first and then have suffixes of alternating terms; through the
// whole repair the follower keeps what agrees.
func TestR12RepairKeepsWhatAgrees(t *testing.T) {
	for _, c := range []struct{ leader, follower []uint64 }{
		{[]uint64{2, 2, 2, 3}, []uint64{2, 2, 2, 2, 2}},
		{[]uint64{2, 2, 4, 4, 4}, []uint64{2, 2, 2, 3, 3, 3}},
		{[]uint64{2, 3, 3, 5, 5, 7}, []uint64{2, 3, 3, 3, 4, 4, 6, 6}},
		{[]uint64{2, 2, 4, 4, 6, 6, 8}, []uint64{2, 2, 3, 3, 5, 5, 7, 7, 7}},
	} {
		t.Run(fmt.Sprint(c.leader, c.follower), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s, p := led(t, setup{term: 20, log: c.leader})
				follower := begin(t, setup{term: 20, log: c.follower})
				agree := 0
				for c.leader[agree] == c.follower[agree] {
					agree++
				}
				for trip := 1; s.state(p)[:5] == "probe" && trip < 20; trip++ {
					calls, _ := s.sent()
					args := *calls[0].args
					args.From, args.To = "n2", "n1"
					reply := follower.handleAppend(&args)
					if held := follower.terms(); len(held) < agree || !slices.Equal(held[:agree], c.leader[:agree]) {
						t.Fatalf("R12: after round trip %d the follower holds the terms %v; the logs agreed on %v, which may count for a commit", trip, held, c.leader[:agree])
					}
					if held := follower.terms(); reply.Refusal != Agreed && !slices.Equal(held, c.follower) {
						t.Fatalf("R12: a refusal in round trip %d removed entries: %v of %v are left", trip, held, c.follower)
					}
					s.reply(calls[0], *reply)
				}
				synctest.Wait()
				if !slices.Equal(follower.terms(), s.terms()) {
					t.Errorf("R12: repaired %v to %v", s.terms(), follower.terms())
				}
			})
		})
	}
}
