package raft

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// Whole servers on a network: what the parts must add up to.

func TestClusterServesAtEverySize(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4, 5, 7} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, n)
				leader := c.leader()
				var wg sync.WaitGroup
				for range 50 {
					wg.Go(func() {
						result, err := leader.Propose(within(t, time.Second), []byte("x"))
						if err != nil || string(result.Value) != fmt.Sprint(result.Number) {
							t.Errorf("proposed: %+v, %v", result, err)
						}
					})
				}
				wg.Wait()
				for id, rf := range c.servers {
					if _, err := rf.ReadIndex(within(t, time.Second)); err != nil {
						t.Errorf("read on %s: %v", id, err)
					}
					if got := len(c.machines[id].entries()); got != 50 {
						t.Errorf("a read on %s sees %d of 50 commands", id, got)
					}
					if health := rf.Health(); !health.Ready {
						t.Errorf("health of %s: %+v", id, health)
					}
				}
			})
		})
	}
}

// An isolated leader must notice within two election timeouts, and the rest must
// have a leader of their own; the term of the isolated one must not grow.
func TestIsolatedLeaderStepsDown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3)
		old := c.leader()
		term := old.Status().Term
		c.net.isolate(old.config.ID, true)
		time.Sleep(2 * old.config.ElectionTimeoutMax)
		if role := old.Status().Role; role == Leader {
			t.Fatalf("leads after two election timeouts alone: %s", old.Why())
		}
		if next := c.leader(); next == old || next.Status().Term <= term {
			t.Fatalf("the majority has no leader of its own")
		}
		time.Sleep(time.Minute)
		if got := old.Status().Term; got != term {
			t.Fatalf("its term went from %d to %d in isolation (E14)", term, got)
		}
		next := c.leader()
		term = next.Status().Term
		c.net.isolate(old.config.ID, false)
		time.Sleep(5 * time.Second)
		if s := next.Status(); s.Role != Leader || s.Term != term {
			t.Fatalf("its return disturbed the leader: %v in term %d, was leader in %d", s.Role, s.Term, term)
		}
	})
}

// A server that restarts goes on from what its store held.
func TestRestartKeepsTermVoteAndLog(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 4, vote: "n2", log: []uint64{2, 2, 4}})
		got := s.Status()
		if got.Term != 4 || got.VotedFor != "n2" || got.LastLogIndex != 4 || got.LastLogTerm != 4 || got.LastNumber != 3 || got.CommitIndex != 1 {
			t.Fatalf("recovered %+v", got)
		}
	})
}
