package raft

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// A pre-vote persists nothing and moves no term; a vote is asked for only once
// the candidate's own is durable.
func TestCampaignOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 5, log: []uint64{3, 5}})
		s.store.hold()
		s.campaignNow()
		calls := s.wire.takeVotes()
		if len(calls) != 2 {
			t.Fatalf("%d requests", len(calls))
		}
		for _, call := range calls {
			a := call.args
			if !a.PreVote || a.Term != 6 || a.LastLogIndex != 3 || a.LastLogTerm != 5 || a.From != "n1" || a.FromIncarnation != 1 || a.ToIncarnation != 1 {
				t.Errorf("pre-vote request %+v", a)
			}
		}
		if got := s.Status(); got.Role != PreCandidate || got.Term != 5 || s.store.staged() != 0 {
			t.Fatalf("a pre-vote changed %+v", got)
		}
		s.answerVote(calls[0], true)
		if got := s.Status(); got.Role != Candidate || got.Term != 6 || got.VotedFor != "n1" || s.store.staged() != 1 {
			t.Fatalf("after a quorum of pre-votes: %+v, %d stages", got, s.store.staged())
		}
		if calls := s.wire.takeVotes(); len(calls) != 0 {
			t.Fatal("asks for votes before its own is durable")
		}
		s.store.release()
		calls = s.wire.takeVotes()
		if len(calls) != 2 || calls[0].args.PreVote || calls[0].args.Term != 6 {
			t.Fatalf("%d requests for votes", len(calls))
		}
		s.answerVote(calls[1], true)
		got := s.Status()
		if got.Role != Leader || got.Term != 6 || got.Leader != "n1" || got.LastLogIndex != 4 || got.LastLogTerm != 6 || got.LastNumber != 2 {
			t.Fatalf("after a quorum of votes: %+v", got)
		}
	})
}

// E4 (akka-raft#45): a reply that came more than once was counted more than once.
func TestE4OneVoterCountsOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{servers: 5})
		s.campaignNow()
		calls := s.wire.takeVotes()
		for range 3 {
			s.answerVote(calls[0], true)
		}
		if role := s.Status().Role; role != PreCandidate {
			t.Fatalf("%v after one of five granted a pre-vote three times", role)
		}
		s.answerVote(calls[0], false) // a late answer of the same voter takes nothing back
		s.answerVote(calls[1], true)
		calls = s.wire.takeVotes()
		for range 3 {
			s.answerVote(calls[0], true)
		}
		if role := s.Status().Role; role != Candidate {
			t.Fatalf("%v after one of five voted three times", role)
		}
		s.answerVote(calls[1], true)
		if role := s.Status().Role; role != Leader {
			t.Fatalf("%v after three of five", role)
		}
	})
}

// A voter that did not answer is asked again; the answers to both requests still
// count once.
func TestLostVoteRequestIsAskedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{servers: 5})
		s.campaignNow()
		first := s.wire.takeVotes()
		s.answerVote(first[0], true)
		first[1].done(nil, errLost)
		time.Sleep(s.config.Heartbeat)
		again := s.wire.takeVotes()
		if len(again) != 3 {
			t.Fatalf("asked %d again, three have not answered", len(again))
		}
		for _, call := range again {
			if call.args.To == first[0].args.To {
				t.Fatal("asked one again that has answered")
			}
		}
		for _, call := range append(first[2:3], again...) {
			if call.args.To == first[2].args.To {
				s.answerVote(call, false)
			}
		}
		if role := s.Status().Role; role != PreCandidate {
			t.Fatalf("%v: one granted, one refused twice, two are silent", role)
		}
	})
}

// E7: with fewer votes than these, two candidates could win one term.
func TestE7QuorumOfVotes(t *testing.T) {
	for servers, need := range map[int]int{1: 0, 2: 1, 3: 1, 4: 2, 5: 2, 6: 3, 7: 3} {
		t.Run(fmt.Sprint(servers), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := begin(t, setup{servers: servers})
				s.campaignNow()
				for _, want := range []Role{PreCandidate, Candidate} {
					calls := s.wire.takeVotes()
					if len(calls) != servers-1 && servers > 1 {
						t.Fatalf("%d servers: asked %d", servers, len(calls))
					}
					for i := range need {
						if role := s.Status().Role; role != want {
							t.Fatalf("%d servers: %v with %d votes and its own", servers, role, i)
						}
						s.answerVote(calls[i], true)
					}
				}
				if role := s.Status().Role; role != Leader {
					t.Errorf("%d servers: %v with %d votes and its own", servers, role, need)
				}
			})
		})
	}
}

// E6 (nebula#2405): a vote of an old term counts for nothing.
func TestE6VotesOfAnotherTermDoNotCount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 5})
		s.campaignNow()
		for _, call := range s.wire.takeVotes() {
			s.answerVote(call, true)
		}
		for _, call := range s.wire.takeVotes() {
			call.done(&RequestVoteReply{Term: 5, Granted: true}, nil)
		}
		synctest.Wait()
		if role := s.Status().Role; role != Candidate {
			t.Fatalf("candidate of term 6 became %v by votes of term 5", role)
		}
	})
}

// An answer that comes after the term moved is worth nothing: here the campaign
// of term 6 is overtaken by term 8.
func TestLateVotesDoNotCount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 5})
		s.campaignNow()
		for _, call := range s.wire.takeVotes() {
			s.answerVote(call, true)
		}
		calls := s.wire.takeVotes()
		s.handleVote(voteArgs("n2", 8, 1, 1))
		for _, call := range calls {
			s.answerVote(call, true)
		}
		if got := s.Status(); got.Role != Follower || got.Term != 8 || got.VotedFor != "n2" {
			t.Fatalf("%+v", got)
		}
	})
}

func TestRefusalWithAHigherTermIsFollowed(t *testing.T) {
	for _, term := range []uint64{7, maxIndex, maxIndex + 1} {
		bubble(t, func(t *testing.T) {
			s := begin(t, setup{term: 5})
			s.campaignNow()
			s.wire.takeVotes()[0].done(&RequestVoteReply{Term: term, Refusal: RefusedStaleTerm}, nil)
			synctest.Wait()
			want := term
			if term > maxIndex {
				want = 5
			}
			if got := s.Status(); got.Term != want {
				t.Fatalf("a reply of term %d led to term %d", term, got.Term)
			}
		})
	}
}

// TestJointVote: a campaign of a joint configuration needs both sets (paper §6).
func TestJointVote(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{servers: 5, voters: func(c *Configuration) {
			c.Voters, c.OldVoters = []ServerID{"n1", "n2", "n3"}, []ServerID{"n1", "n4", "n5"}
		}})
		s.campaignNow()
		for _, want := range []Role{PreCandidate, Candidate} {
			calls := map[ServerID]*voteCall{}
			for _, call := range s.wire.takeVotes() {
				calls[call.args.To] = call
			}
			if len(calls) != 4 {
				t.Fatalf("asked %d", len(calls))
			}
			s.answerVote(calls["n2"], true)
			s.answerVote(calls["n3"], true)
			if role := s.Status().Role; role != want {
				t.Fatalf("%v without the old voters", role)
			}
			s.answerVote(calls["n4"], true)
		}
		if role := s.Status().Role; role != Leader {
			t.Fatalf("%v with both sets", role)
		}
	})
}

// A step of a campaign whose role or term has passed does nothing: these are the
// looks under the lock that make cancelling a courtesy.
func TestCampaignLooksAgainUnderTheLock(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 5})
		granted := ballot{"n2", &RequestVoteReply{Term: 5, Granted: true}}
		for _, moved := range []struct {
			role Role
			term uint64
		}{{PreCandidate, 5}, {Candidate, 5}, {Follower, 4}} {
			if requests, voters, _ := s.requests(moved.role, moved.term, moved.term+1); requests != nil || voters != nil {
				t.Errorf("%v of term %d asks for votes as follower of term 5", moved.role, moved.term)
			}
			if answer, _ := s.countBallot(moved.role, moved.term, granted); answer != 0 {
				t.Errorf("%v of term %d counts a vote as follower of term 5", moved.role, moved.term)
			}
			if _, ok := s.raiseTerm(t.Context(), moved.term); ok {
				t.Errorf("term raised from %d as follower of term 5", moved.term)
			}
		}
	})
}
