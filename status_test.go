package raft

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestWhy: in one line, what a server does, and what is missing.
func TestWhy(t *testing.T) {
	refuse := func(call *voteCall, why Refusal) {
		call.done(&RequestVoteReply{Term: 5, Refusal: why}, nil)
		synctest.Wait()
	}
	for _, c := range []struct {
		name string
		do   func(*script)
		want string
	}{
		{"just started", func(*script) { time.Sleep(3 * time.Second) },
			"no leader for 3s: no campaign yet"},
		{"following", func(s *script) { s.handleAppend(heartbeatArgs("n2", 5, 0, 0, 0)) },
			"following n2 in term 5"},
		{"leading", func(s *script) { s.elect() },
			"leading term 6 with a quorum"},
		{"refused, log behind; the other is down", func(s *script) {
			time.Sleep(time.Second)
			s.campaignNow()
			calls := s.wire.takeVotes()
			time.Sleep(200 * time.Millisecond)
			refuse(calls[0], RefusedLogBehind)
			calls[1].done(nil, fmt.Errorf("call n3: %w", errLost))
			synctest.Wait()
			time.Sleep(1800 * time.Millisecond)
		}, "no leader for 3s: 2 of 3 reachable; n2 refuses: my log is behind; n3 does not answer: the network of the test lost the message"},
		{"alone", func(s *script) {
			s.campaignNow()
			time.Sleep(5 * time.Second)
		}, "no leader for 5s: 1 of 3 reachable; n2 does not answer; n3 does not answer"},
		{"refused by both", func(s *script) {
			s.campaignNow()
			calls := s.wire.takeVotes()
			refuse(calls[0], RefusedHasLeader)
			refuse(calls[1], RefusedVoted)
			time.Sleep(time.Second)
		}, "no leader for 1s: 3 of 3 reachable; n2 refuses: it hears a leader; n3 refuses: it voted for another"},
		{"the leader went silent", func(s *script) {
			s.handleAppend(heartbeatArgs("n2", 5, 0, 0, 0))
			s.campaignNow()
			time.Sleep(7 * time.Second)
		}, "no leader for 7s: 1 of 3 reachable; n2 does not answer; n3 does not answer"},
		{"leading out of touch", func(s *script) {
			s.elect()
			time.Sleep(90 * time.Minute)
		}, "leading, but no quorum answered for 1h30m0s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := begin(t, setup{term: 5})
				c.do(s)
				got := s.Why()
				if got != c.want {
					t.Errorf("why:  %q\nwant: %q", got, c.want)
				}
				ready := strings.HasPrefix(got, "following ") || strings.HasPrefix(got, "leading term ")
				health := s.Health()
				if !health.Live || health.Ready != ready || health.Ready != (health.Reason == "") || !ready && health.Reason != got {
					t.Errorf("%+v", health)
				}
			})
		})
	}
}

// Whoever answered a campaign is not said to be silent, also if the campaign was
// lost before its answer came.
func TestWhyCountsEveryAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{servers: 5, term: 5})
		s.campaignNow()
		for _, call := range s.wire.takeVotes() {
			call.done(&RequestVoteReply{Term: 5, Refusal: RefusedLogBehind}, nil)
			synctest.Wait()
		}
		if why := s.Why(); !strings.Contains(why, "5 of 5 reachable") || strings.Contains(why, "does not answer") {
			t.Errorf("four servers answered: %q", why)
		}
	})
}

// A leader that is deposed had a leader until then: itself.
func TestWhyOfADeposedLeader(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 5})
		s.elect()
		time.Sleep(time.Hour)
		s.handleVote(voteArgs("n2", 9, 0, 0))
		time.Sleep(2 * time.Second)
		if why := s.Why(); !strings.HasPrefix(why, "no leader for 2s") {
			t.Errorf("why: %q", why)
		}
	})
}

func TestStalledDisk(t *testing.T) {
	stalled := func(s *script) {
		s.store.hold()
		s.mutate(func() { s.stageLocked(Stage{}) })
		s.pass(10*time.Second + 100*time.Millisecond)
	}
	short := setup{config: func(c *Config) {
		c.ElectionTimeoutMin, c.ElectionTimeoutMax = 5*time.Second, 10*time.Second
	}}
	t.Run("a leader steps down", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s, _ := replicating(t, short)
			stalled(s)
			if s.Status().Role == Leader {
				t.Fatalf("leads on a dead disk: %s", s.Why())
			}
			if health := s.Health(); health.Live || health.Ready || !strings.Contains(health.Reason, "own disk is stalled: a flush is overdue") {
				t.Fatalf("%+v", health)
			}
			s.store.release()
			synctest.Wait()
			if health := s.Health(); !health.Live {
				t.Fatalf("after the flush: %+v", health)
			}
		})
	})
	t.Run("a single server keeps the role", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := begin(t, setup{servers: 1, config: short.config})
			s.elect()
			stalled(s)
			if s.Status().Role != Leader || s.Health().Live {
				t.Fatalf("%v, %+v", s.Status().Role, s.Health())
			}
		})
	})
	t.Run("flushes that come back are no stall", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s, _ := replicating(t, short)
			for range 10 {
				s.store.hold()
				s.mutate(func() { s.stageLocked(Stage{}) })
				s.pass(8 * time.Second)
				s.store.release()
				synctest.Wait()
			}
			if s.Status().Role != Leader || !s.Health().Live {
				t.Fatalf("%v, %+v", s.Status().Role, s.Health())
			}
		})
	})
}

// pass lets time go by on a leader whose heartbeats are all answered.
func (s *script) pass(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(s.config.Heartbeat) {
		for _, beat := range s.beats() {
			s.agree(beat)
		}
	}
	synctest.Wait()
}

func TestStatusOfALeader(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _ := replicating(t, setup{log: []uint64{2, 2}})
		s.add(3, 20)
		s.wire.takeAppends("n3", false)[0].done(nil, errLost)
		synctest.Wait()
		got := s.Status()
		if got.ID != "n1" || got.Role != Leader || got.Role.String() != "leader" || got.Term != 3 || got.Leader != "n1" || got.LeaderContact != 0 ||
			got.CommitIndex != 4 || got.LastApplied != 4 || got.LastLogIndex != 7 || got.LastNumber != 5 || got.Staged != got.Durable {
			t.Errorf("%+v", got)
		}
		n2, n3 := got.Followers[0], got.Followers[1]
		if n2.ID != "n2" || n2.State != "replicate" || n2.MatchIndex != 4 || n2.NextIndex != 6 || n2.Inflight != 1 || n2.Lag != 3 || n2.LastError != "" {
			t.Errorf("%+v", n2)
		}
		if n3.ID != "n3" || n3.State != "probe" || n3.MatchIndex != 0 || n3.Lag != 7 || n3.LastError != errLost.Error() {
			t.Errorf("%+v", n3)
		}
		got.Configuration.Servers[0].ID = "changed"
		if again := s.Status(); again.Configuration.Servers[0].ID != "n1" {
			t.Error("a Status shares memory with the server")
		}
	})
}

func TestObserve(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 5})
		all, _ := s.Observe(100)
		none, cancel := s.Observe(100)
		slow, _ := s.Observe(0) // room for one: never in the way
		cancel()
		cancel()
		s.handleAppend(heartbeatArgs("n2", 5, 0, 0, 0))
		s.elect()
		s.handleAppend(heartbeatArgs("n3", 9, 0, 0, 0))
		stop(t, s.Raft)
		late, _ := s.Observe(1)
		got := collected(all)
		for _, e := range []Event{
			LeaderChanged{"n2", 5}, RoleChanged{PreCandidate, 5}, RoleChanged{Candidate, 6}, RoleChanged{Leader, 6},
			LeaderChanged{"n1", 6}, RoleChanged{Follower, 9}, LeaderChanged{"n3", 9},
		} {
			if !slices.Contains(got, e) {
				t.Errorf("not told of %+v; told %+v", e, got)
			}
		}
		if slices.ContainsFunc(got, func(e Event) bool { _, fatal := e.(Fatal); return fatal }) {
			t.Error("an ordinary stop is told as fatal")
		}
		if len(collected(none)) != 0 || len(collected(slow)) != 1 || len(collected(late)) != 0 {
			t.Error("a cancelled, a slow or a late observer got the wrong events")
		}
	})
}

// collected reads a channel that is closed.
func collected(events <-chan Event) (list []Event) {
	for e := range events {
		list = append(list, e)
	}
	return list
}

func TestDownIsTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 5})
		s.campaignNow()
		calls := s.wire.takeVotes()
		calls[0].done(&RequestVoteReply{Term: 5, Refusal: RefusedLogBehind}, nil)
		time.Sleep(time.Millisecond)
		s.Down("n2", DownClosed)
		s.Down("nobody", DownRestarted)
		if why := s.Why(); !strings.Contains(why, "n2 does not answer") {
			t.Errorf("after its connections closed: %q", why)
		}
	})
}
