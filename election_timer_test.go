package raft

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func newTimer(random func() uint64) *electionTimer {
	var timer electionTimer
	timer.init(10*time.Second, 20*time.Second, random)
	return &timer
}

func raised(timer *electionTimer) bool {
	select {
	case <-timer.moved:
		return true
	default:
		return false
	}
}

func TestTimerDrawsFreshDeadlines(t *testing.T) {
	bubble(t, func(t *testing.T) {
		draws := []uint64{0, uint64(10*time.Second) - 1, uint64(10 * time.Second), 12345}
		next := 0
		timer := newTimer(func() uint64 { next++; return draws[next-1] })
		for i, want := range []time.Duration{10 * time.Second, 20*time.Second - 1, 10 * time.Second, 10*time.Second + 12345} {
			timer.reset()
			version, deadline := timer.read()
			if got := time.Until(deadline); version != uint64(i+1) || got != want {
				t.Errorf("reset %d made version %d and a deadline in %v, want %v", i+1, version, got, want)
			}
		}
		timer.stop()
		if version, deadline := timer.read(); version != 5 || !deadline.IsZero() {
			t.Errorf("stopped: version %d, deadline %v", version, deadline)
		}
	})
}

// E13: a firing and a heartbeat at one moment.
func TestE13TimerComparesBeforeReset(t *testing.T) {
	timer := newTimer(func() uint64 { return 0 })
	timer.reset()
	fired, _ := timer.read()
	timer.reset() // a heartbeat between the firing and the campaign
	if _, ok := timer.resetIf(fired); ok {
		t.Fatal("a campaign started although a heartbeat came first")
	}
	if now, _ := timer.read(); now != fired+1 {
		t.Fatalf("a failed compare-and-reset moved the version to %d", now)
	}
	made, ok := timer.resetIf(fired + 1)
	if now, _ := timer.read(); !ok || made != fired+2 || now != made {
		t.Fatalf("compare-and-reset made %d, %v; the timer has %d", made, ok, now)
	}
}

func TestTimerWakesItsDaemonWhenItMust(t *testing.T) {
	bubble(t, func(t *testing.T) {
		draw := uint64(0)
		timer := newTimer(func() uint64 { return draw })
		step := func(what string, wakes bool, move func()) {
			t.Helper()
			if move(); raised(timer) != wakes {
				t.Errorf("%s: woken is %v, want %v", what, !wakes, wakes)
			}
		}
		step("the first deadline", true, timer.reset)
		time.Sleep(time.Second)
		step("a later deadline: the old one wakes the daemon", false, timer.reset)
		draw = uint64(5 * time.Second)
		step("a still later one", false, timer.reset)
		draw = 0
		step("an earlier one", true, timer.reset)
		time.Sleep(time.Second)
		version, _ := timer.read()
		step("the daemon's own reset", false, func() { timer.resetIf(version) })
		time.Sleep(time.Second)
		step("a reset while a campaign may live", true, timer.reset)
		step("the same once more", false, timer.reset)
		step("stop", true, timer.stop)
		step("set again", true, timer.reset)
	})
}

// E13: a message of an old leader moved the timer of miniraft (#28), a vote given
// did not move that of akka-raft (#43). Only a message of the current leader and a
// granted vote reset it. n1 is a follower in term 5 that follows n2; its log ends
// at index 3 of term 5.
func TestE13WhatMovesTheTimer(t *testing.T) {
	prevote := func(args *RequestVoteArgs) *RequestVoteArgs { args.PreVote = true; return args }
	misdirected := heartbeatArgs("n2", 5, 0, 0, 0)
	misdirected.To = "n7"
	corrupt := appendArgs("n2", 5, 3, 5, 0, 5)
	corrupt.Batch.CRC++
	table := []struct {
		name    string
		request any
		moves   bool
	}{
		{"heartbeat of the leader", heartbeatArgs("n2", 5, 0, 0, 0), true},
		{"entries of the leader", appendArgs("n2", 5, 3, 5, 0, 5), true},
		{"entries of the leader, refused for a conflict", appendArgs("n2", 5, 9, 5, 0, 5), true},
		{"heartbeat of a new leader", heartbeatArgs("n3", 6, 0, 0, 0), true},
		{"entries of a new leader, refused for a conflict", appendArgs("n3", 6, 9, 6, 0, 6), true},
		{"heartbeat of an old term", heartbeatArgs("n3", 4, 0, 0, 0), false},
		{"entries of an old term", appendArgs("n3", 4, 1, 1, 0, 4), false},
		{"heartbeat for another server", misdirected, false},
		{"entries with a broken checksum", corrupt, false},
		{"vote granted in a higher term", voteArgs("n3", 6, 3, 5), true},
		{"vote granted in the same term", voteArgs("n3", 5, 3, 5), true},
		{"vote refused, log behind", voteArgs("n3", 5, 2, 5), false},
		{"vote refused in a higher term, log behind", voteArgs("n3", 6, 2, 5), false},
		{"vote refused, old term", voteArgs("n3", 4, 9, 4), false},
		{"pre-vote refused, hears a leader", prevote(voteArgs("n3", 6, 3, 5)), false},
		{"pre-vote of a much higher term", prevote(voteArgs("n3", 99, 3, 5)), false},
	}
	for _, c := range table {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := begin(t, setup{term: 5, log: []uint64{5, 5}})
				s.handleAppend(heartbeatArgs("n2", 5, 0, 0, 0))
				time.Sleep(time.Minute)
				before, _ := s.timer.read()
				switch request := c.request.(type) {
				case *RequestVoteArgs:
					s.handleVote(request)
				case *AppendEntriesArgs:
					if _, err := s.HandleAppendEntries(request, nil); err != nil && !errors.Is(err, ErrMalformed) {
						t.Fatal(err)
					}
				}
				if after, _ := s.timer.read(); (after != before) != c.moves {
					t.Errorf("%s: the timer moved: %v, want %v", c.name, !c.moves, c.moves)
				}
			})
		})
	}
}

func TestE13VoteRefusedForAnotherDoesNotMoveTheTimer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 5, vote: "n2"})
		before, _ := s.timer.read()
		if reply := s.handleVote(voteArgs("n3", 5, 9, 5)); reply.Refusal != RefusedVoted {
			t.Fatalf("%+v", reply)
		}
		if after, _ := s.timer.read(); after != before {
			t.Error("a vote refused because it was given to another moved the timer")
		}
	})
}

func TestE13VoteForSelfAndRaisedTermDoNotMoveTheTimer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 5})
		s.campaignNow()
		before, _ := s.timer.read()
		for _, call := range s.wire.takeVotes() {
			s.answerVote(call, true)
		}
		votes := s.wire.takeVotes()
		if got := s.Status(); got.Role != Candidate || got.VotedFor != "n1" || got.Term != 6 {
			t.Fatalf("not a candidate: %+v", got)
		}
		votes[0].done(&RequestVoteReply{Term: 9, Refusal: RefusedStaleTerm}, nil)
		synctest.Wait()
		if got := s.Status(); got.Role != Follower || got.Term != 9 {
			t.Fatalf("did not follow a higher term: %+v", got)
		}
		if after, _ := s.timer.read(); after != before {
			t.Error("a vote for itself or a raised term moved the timer")
		}
	})
}

func TestE13LeaderHasNoTimerAndStepDownSetsIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{})
		if _, deadline := s.timer.read(); deadline.IsZero() {
			t.Fatal("New set no timer")
		}
		s.elect()
		if _, deadline := s.timer.read(); !deadline.IsZero() {
			t.Fatal("a leader has a timer")
		}
		reply := s.handleVote(voteArgs("n2", 9, 0, 0)) // refused: only the step-down sets the timer
		if _, deadline := s.timer.read(); reply.Granted || deadline.IsZero() {
			t.Fatalf("stepped down with %+v and no timer", reply)
		}
	})
}

// TestDaemonCampaigns lets the daemon run: it campaigns when the deadline passes,
// again and again, and any move of the timer cancels the campaign in flight.
func TestDaemonCampaigns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{config: func(c *Config) {
			c.Heartbeat, c.ElectionTimeoutMin, c.ElectionTimeoutMax = 5*time.Second, 10*time.Second, 20*time.Second
			c.Rand = func() uint64 { return 0 }
		}})
		time.Sleep(10*time.Second - 1)
		if calls := s.wire.takeVotes(); len(calls) != 0 {
			t.Fatal("campaigns before the deadline")
		}
		time.Sleep(time.Nanosecond)
		calls := s.wire.takeVotes()
		if len(calls) != 2 || !calls[0].args.PreVote || calls[0].args.Term != 2 {
			t.Fatalf("%d requests at the deadline", len(calls))
		}
		s.handleAppend(heartbeatArgs("n2", 2, 0, 0, 0)) // moves the timer
		synctest.Wait()
		s.answerVote(calls[0], true)
		if got := s.Status(); got.Role != Follower || got.Term != 2 {
			t.Fatalf("a cancelled campaign went on: %v in term %d", got.Role, got.Term)
		}
		time.Sleep(10*time.Second - 1)
		if calls := s.wire.takeVotes(); len(calls) != 0 {
			t.Fatal("the heartbeat did not put the campaign off")
		}
		time.Sleep(time.Nanosecond)
		for round := range 3 { // nobody answers: one campaign a deadline, in the same term
			if calls := s.wire.takeVotes(); len(calls) == 0 || calls[0].args.Term != 3 {
				t.Fatalf("round %d: %d requests", round, len(calls))
			}
			time.Sleep(10 * time.Second)
		}
	})
}

func TestWhoMayNotCampaign(t *testing.T) {
	for _, c := range []struct {
		name string
		s    setup
		stop func(*script)
	}{
		{"a learner", setup{voters: func(c *Configuration) { c.Voters = []ServerID{"n2", "n3"} }}, func(*script) {}},
		{"a blank", setup{voters: func(c *Configuration) { c.Servers[0].Incarnation = 0 }}, func(*script) {}},
		{"a server with an overdue flush", setup{}, func(s *script) {
			s.store.hold()
			s.mutate(func() { s.setTermLocked(2, candidate{}) })
			time.Sleep(2*time.Hour + time.Minute)
			s.wire.takeVotes()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := begin(t, c.s)
				c.stop(s)
				before, _ := s.timer.read()
				s.campaignNow()
				if calls := s.wire.takeVotes(); len(calls) != 0 {
					t.Errorf("asked for %d votes", len(calls))
				}
				if after, _ := s.timer.read(); after != before+1 {
					t.Error("the firing did not reset the timer")
				}
			})
		})
	}
}
