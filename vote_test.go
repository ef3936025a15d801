package raft

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestVoteRules: n1 is in term 5 and its log ends at index 4 of term 3.
func TestVoteRules(t *testing.T) {
	table := []struct {
		name    string
		vote    ServerID // cast in term 5
		args    *RequestVoteArgs
		refusal Refusal
		term    uint64 // told in the reply, and durable
		after   ServerID
	}{
		{"higher term, equal log", "", voteArgs("n2", 6, 4, 3), Agreed, 6, "n2"},
		{"higher term, longer log", "", voteArgs("n2", 6, 9, 3), Agreed, 6, "n2"},
		{"higher term, shorter log of a later term", "", voteArgs("n2", 6, 2, 4), Agreed, 6, "n2"},
		{"higher term, longer log of an earlier term", "", voteArgs("n2", 6, 9, 2), RefusedLogBehind, 6, ""},
		{"higher term, shorter log", "", voteArgs("n2", 6, 3, 3), RefusedLogBehind, 6, ""},
		{"same term, no vote yet", "", voteArgs("n2", 5, 4, 3), Agreed, 5, "n2"},
		{"same term, log behind, no vote yet", "", voteArgs("n2", 5, 3, 3), RefusedLogBehind, 5, ""},
		{"same term, voted for it", "n2", voteArgs("n2", 5, 4, 3), Agreed, 5, "n2"},
		{"same term, voted for another", "n3", voteArgs("n2", 5, 9, 4), RefusedVoted, 5, "n3"},
		{"same term, voted for self (E5)", "n1", voteArgs("n2", 5, 9, 4), RefusedVoted, 5, "n1"},
		{"higher term, voted for another before (E2)", "n3", voteArgs("n2", 6, 4, 3), Agreed, 6, "n2"},
		{"higher term refused clears the vote (E2)", "n3", voteArgs("n2", 6, 1, 1), RefusedLogBehind, 6, ""},
		{"old term", "", voteArgs("n2", 4, 9, 4), RefusedStaleTerm, 5, ""},
		{"old term, voted for it then", "n2", voteArgs("n2", 4, 9, 4), RefusedStaleTerm, 5, "n2"},
	}
	for _, c := range table {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := begin(t, setup{term: 5, vote: c.vote, log: []uint64{2, 3, 3}})
				reply := s.handleVote(c.args)
				if reply.Refusal != c.refusal || reply.Granted != (c.refusal == Agreed) || reply.Term != c.term {
					t.Errorf("replied %+v", reply)
				}
				if got := s.Status(); got.Term != c.term || got.VotedFor != c.after {
					t.Errorf("term %d, voted for %q", got.Term, got.VotedFor)
				}
				if r := s.reopened(); r.HardState.Term != c.term || r.HardState.VotedFor != c.after {
					t.Errorf("durable: %+v", r.HardState)
				}
			})
		})
	}
}

// reopened is what the next start would find if the process died now and took
// with it all that was not flushed.
func (s *script) reopened() Recovered {
	s.t.Helper()
	s.doomed = true
	r, err := s.store.Crash(func(int) int { return 0 }).Recover()
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func TestNobodyVotesInTermOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{})
		for _, preVote := range []bool{false, true} {
			args := voteArgs("n2", 1, 9, 1)
			args.PreVote = preVote
			if reply := s.handleVote(args); reply.Refusal != RefusedStaleTerm {
				t.Errorf("pre-vote %v: %+v", preVote, reply)
			}
		}
	})
}

// E14: servers that were cut off came back with high terms and deposed a good
// leader (logcabin#56). A pre-vote changes nothing where it is asked for.
func TestE14PreVoteRules(t *testing.T) {
	hear := func(s *script) { s.handleAppend(heartbeatArgs("n2", 5, 0, 0, 0)) }
	table := []struct {
		name    string
		before  func(*script)
		args    *RequestVoteArgs
		refusal Refusal
	}{
		{"next term, equal log", nil, voteArgs("n3", 6, 4, 3), Agreed},
		{"far term, equal log", nil, voteArgs("n3", 60, 4, 3), Agreed},
		{"own term", nil, voteArgs("n3", 5, 4, 3), RefusedStaleTerm},
		{"old term", nil, voteArgs("n3", 4, 4, 3), RefusedStaleTerm},
		{"log behind by index", nil, voteArgs("n3", 6, 3, 3), RefusedLogBehind},
		{"log behind by term", nil, voteArgs("n3", 6, 9, 2), RefusedLogBehind},
		{"hears a leader", hear, voteArgs("n3", 6, 4, 3), RefusedHasLeader},
		{"heard a leader within the minimum election timeout", func(s *script) {
			hear(s)
			time.Sleep(time.Hour - time.Second)
		}, voteArgs("n3", 6, 4, 3), RefusedHasLeader},
		{"heard a leader a minimum election timeout ago", func(s *script) {
			hear(s)
			time.Sleep(time.Hour)
		}, voteArgs("n3", 6, 4, 3), Agreed},
		{"was refused entries by conflict, hears a leader all the same", func(s *script) {
			s.handleAppend(appendArgs("n2", 5, 9, 5, 0))
		}, voteArgs("n3", 6, 4, 3), RefusedHasLeader},
	}
	for _, c := range table {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := begin(t, setup{term: 5, vote: "n2", log: []uint64{2, 3, 3}, config: func(c *Config) {
					c.Rand = func() uint64 { return uint64(30 * time.Minute) } // no campaign meanwhile
				}})
				if c.before != nil {
					c.before(s)
				}
				was, stages := s.Status(), s.store.staged()
				version, _ := s.timer.read()
				c.args.PreVote = true
				reply := s.handleVote(c.args)
				if reply.Refusal != c.refusal || reply.Granted != (c.refusal == Agreed) || reply.Term != 5 {
					t.Errorf("replied %+v", reply)
				}
				now, _ := s.timer.read()
				if is := s.Status(); is.Term != was.Term || is.VotedFor != was.VotedFor || is.Role != was.Role || is.Leader != was.Leader {
					t.Errorf("a pre-vote changed %+v to %+v", was, is)
				}
				if s.store.staged() != stages || now != version {
					t.Errorf("a pre-vote staged something or moved the timer")
				}
			})
		})
	}
}

func TestLeaderInTouchWithAQuorumRefusesPreVotes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{})
		s.elect()
		args := voteArgs("n3", 9, 9, 2)
		args.PreVote = true
		if reply := s.handleVote(args); reply.Refusal != RefusedHasLeader {
			t.Errorf("%+v", reply)
		}
		time.Sleep(time.Hour) // nobody answers it
		if reply := s.handleVote(args); !reply.Granted {
			t.Errorf("a leader out of touch: %+v", reply)
		}
		if s.Status().Role != Leader {
			t.Error("a pre-vote deposed the leader")
		}
	})
}

func TestRefusalCarriesTheVotersDurableTerm(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 5, log: []uint64{5}})
		s.store.hold()
		go s.HandleRequestVote(voteArgs("n2", 8, 2, 5)) // raises the term, waits for its flush
		synctest.Wait()
		replies := make(chan *RequestVoteReply, 1)
		go func() {
			reply, _ := s.HandleRequestVote(voteArgs("n3", 7, 9, 6))
			replies <- reply
		}()
		synctest.Wait()
		if len(replies) != 0 {
			t.Fatalf("told a term that is not durable: %+v", <-replies)
		}
		s.store.release()
		if reply := <-replies; reply.Refusal != RefusedStaleTerm || reply.Term != 8 {
			t.Fatalf("%+v", reply)
		}
	})
}

// E3: a vote is spoken only once it is durable, also by a duplicate of the
// request, which stages nothing itself.
func TestE3VoteWaitsForItsFlush(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 5})
		s.store.hold()
		var spoken tally[*RequestVoteReply]
		for range 2 {
			go func() {
				reply, _ := s.HandleRequestVote(voteArgs("n2", 6, 1, 1))
				spoken.add(reply)
			}()
			synctest.Wait()
		}
		if replies := spoken.all(); len(replies) != 0 || s.Status().VotedFor != "n2" {
			t.Fatalf("%d votes spoken before the flush, voted for %q", len(replies), s.Status().VotedFor)
		}
		s.store.release()
		synctest.Wait()
		if replies := spoken.all(); len(replies) != 2 || !replies[0].Granted || !replies[1].Granted {
			t.Fatalf("after the flush: %+v", replies)
		}
	})
}

// E5 (akka-raft#56): a candidate that met the leader of its term forgot that it had
// voted for itself.
func TestE5CandidateThatStepsDownKeepsItsVote(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 5, config: unchecked})
		s.campaignNow()
		for _, call := range s.wire.takeVotes() {
			s.answerVote(call, true)
		}
		s.handleAppend(heartbeatArgs("n2", 6, 0, 0, 0))
		if got := s.Status(); got.Role != Follower || got.Leader != "n2" || got.VotedFor != "n1" {
			t.Errorf("candidate of term 6 that meets its leader: %v of %s, its vote is for %q", got.Role, got.Leader, got.VotedFor)
		}
		if reply := s.handleVote(voteArgs("n3", 6, 9, 6)); reply.Refusal != RefusedVoted {
			t.Fatalf("voted for itself in term 6 and, after stepping down, for n3: %+v", reply)
		}
	})
}

// E6 (camunda#5356): messages of an old term come late, between those of the
// current one; term and vote stay.
func TestE6OldMessagesDoNotLowerTheVote(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 3, config: unchecked})
		s.handleVote(voteArgs("n2", 6, 1, 1))
		if reply := s.handleAppend(appendArgs("n3", 4, 1, 1, 0, 4)); reply.Refusal != RefusedStaleTerm || reply.Term != 6 {
			t.Errorf("in term 6, entries of the leader of term 4 were answered %+v", reply)
		}
		if reply, err := s.HandleRequestVote(voteArgs("n3", 5, 9, 5)); err != nil || reply.Refusal != RefusedStaleTerm {
			t.Fatalf("in term 6, a vote request of term 5 was answered %+v; the server stopped with %v", reply, s.Err())
		}
		if reply := s.handleVote(voteArgs("n3", 6, 9, 5)); reply.Refusal != RefusedVoted {
			t.Errorf("a second vote: %+v", reply)
		}
		if got := s.Status(); got.Term != 6 || got.VotedFor != "n2" {
			t.Errorf("term %d, voted for %s", got.Term, got.VotedFor)
		}
	})
}

// TestVoteRequestGateway: what no correct candidate sends changes nothing.
func TestVoteRequestGateway(t *testing.T) {
	change := func(f func(*RequestVoteArgs)) *RequestVoteArgs {
		args := voteArgs("n2", 9, 9, 8)
		f(args)
		return args
	}
	table := []struct {
		name      string
		args      *RequestVoteArgs
		malformed bool
	}{
		{"term 0", change(func(a *RequestVoteArgs) { a.Term, a.LastLogTerm = 0, 0 }), true},
		{"a term that overflows", change(func(a *RequestVoteArgs) { a.Term = maxIndex + 1 }), true},
		{"an index that overflows", change(func(a *RequestVoteArgs) { a.LastLogIndex = maxIndex + 1 }), true},
		{"a log above its term", change(func(a *RequestVoteArgs) { a.LastLogTerm = 10 }), true},
		{"nobody as sender", change(func(a *RequestVoteArgs) { a.From = "" }), true},
		{"another receiver", change(func(a *RequestVoteArgs) { a.To = "n2" }), false},
		{"the receiver itself as sender", change(func(a *RequestVoteArgs) { a.From = "n1" }), false},
		{"an earlier admission of the receiver", change(func(a *RequestVoteArgs) { a.ToIncarnation = 0 }), false},
	}
	for _, c := range table {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := begin(t, setup{term: 5})
				reply, err := s.HandleRequestVote(c.args)
				if c.malformed && !errors.Is(err, ErrMalformed) {
					t.Errorf("answered %+v, %v", reply, err)
				}
				if !c.malformed && (err != nil || reply.Granted || reply.Refusal != RefusedNotForMe) {
					t.Errorf("answered %+v, %v", reply, err)
				}
				if got := s.Status(); got.Term != 5 || got.VotedFor != "" || s.store.staged() != 0 {
					t.Errorf("it changed %+v", got)
				}
			})
		})
	}
}

func TestBlankGivesNoVote(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{voters: func(c *Configuration) { c.Servers[0].Incarnation = 0 }})
		for _, preVote := range []bool{false, true} {
			args := voteArgs("n2", 9, 9, 8)
			args.PreVote = preVote
			if reply := s.handleVote(args); reply.Refusal != RefusedBlank {
				t.Errorf("pre-vote %v: %+v", preVote, reply)
			}
		}
	})
}
