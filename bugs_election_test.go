package raft

import (
	"testing"
	"testing/synctest"
	"time"
)

// Bugs that other Rafts had with terms, votes and the election timer. More of them
// are in vote_test.go, campaign_test.go, election_timer_test.go and, for whole
// clusters, in tests/elections.go: their names begin with E and a number.

// unchecked leaves out the checks at unlock, so that a test sees what the bug does
// and not that a check found it.
func unchecked(c *Config) { c.CheckInvariants = false }

// E1 (hashicorp/raft#661): term and vote were two writes, and a crash between them
// let a server vote twice. n1 voted for n3 in term 5; n2 asks in term 6; power is
// lost after each write.
func TestE1TermAndVoteAreOneWrite(t *testing.T) {
	for keep, writes := 0, 1; keep <= writes; keep++ {
		bubble(t, func(t *testing.T) {
			s := begin(t, setup{term: 5, vote: "n3"})
			s.store.hold()
			go s.HandleRequestVote(voteArgs("n2", 6, 1, 1))
			synctest.Wait()
			writes = s.store.staged()
			again := s.afterCrash(keep)
			voted := map[uint64]ServerID{5: "n3"}
			for _, args := range []*RequestVoteArgs{
				voteArgs("n2", 5, 9, 4), voteArgs("n3", 5, 9, 4), voteArgs("n2", 6, 9, 5), voteArgs("n3", 6, 9, 5),
			} {
				if !again.handleVote(args).Granted {
					continue
				}
				if other := voted[args.Term]; other != "" && other != args.From {
					t.Errorf("voted for %s and for %s in term %d: the crash kept %d of %d writes", other, args.From, args.Term, keep, writes)
				}
				voted[args.Term] = args.From
			}
		})
	}
}

// afterCrash loses power, with so many of the writes that were staged and not
// flushed kept, and starts the server again.
func (s *script) afterCrash(keep int) *script {
	s.t.Helper()
	s.doomed = true
	store := &heldStore{MemoryPersister: s.store.Crash(func(staged int) int { return min(keep, staged) })}
	s.store.release()
	return start(s.t, store, nil)
}

// raisers are what brings a server of term 5 into term 6 without a vote.
var raisers = map[string]func(*script){
	"entries of a leader":                func(s *script) { s.HandleAppendEntries(appendArgs("n2", 6, 1, 1, 0), nil) },
	"a candidate whose log is behind":    func(s *script) { s.HandleRequestVote(voteArgs("n2", 6, 0, 0)) },
	"a refusal by a server of that term": func(s *script) { s.mutate(func() { s.higherTermLocked("n2", 6) }) },
}

// E2 (willemt/raft#47, DAOS-333): a new term has no vote, in memory as on disk,
// and there is no moment in which a crash leaves one with the other's.
func TestE2NewTermHasNoOldVote(t *testing.T) {
	for name, raise := range raisers {
		t.Run(name, func(t *testing.T) {
			for keep, writes := 0, 1; keep <= writes; keep++ {
				bubble(t, func(t *testing.T) {
					s := begin(t, setup{term: 5, vote: "n3"})
					s.store.hold()
					go raise(s)
					synctest.Wait()
					if got := s.Status(); got.Term != 6 || got.VotedFor != "" {
						t.Errorf("the vote of term 5 lives on: term %d, vote for %q", got.Term, got.VotedFor)
					}
					writes = s.store.staged()
					got := s.afterCrash(keep).Status()
					if old := got.Term == 5 && got.VotedFor == "n3"; !old && (got.Term != 6 || got.VotedFor != "") {
						t.Errorf("a crash that kept %d of %d writes left term %d with a vote for %q", keep, writes, got.Term, got.VotedFor)
					}
				})
			}
		})
		t.Run(name+", flushed", func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := begin(t, setup{term: 5, vote: "n3"})
				raise(s)
				synctest.Wait()
				if r := s.reopened(); r.HardState.Term != 6 || r.HardState.VotedFor != "" {
					t.Errorf("the disk was never told of term 6: it has term %d, vote for %q", r.HardState.Term, r.HardState.VotedFor)
				}
			})
		})
	}
}

// E3 (seaweedfs/raft#9): the vote was kept in memory alone, and two leaders of one
// term met in production. A vote that was spoken binds the next life too.
func TestE3VoteBindsTheNextLife(t *testing.T) {
	for _, term := range []uint64{5, 6} { // the term n1 is in, and a new one
		bubble(t, func(t *testing.T) {
			s := begin(t, setup{term: 5})
			if reply := s.handleVote(voteArgs("n2", term, 1, 1)); !reply.Granted {
				t.Fatalf("refused n2 in term %d: %+v", term, reply)
			}
			again := s.afterCrash(0)
			if reply := again.handleVote(voteArgs("n3", term, 9, 4)); reply.Granted {
				t.Errorf("voted for n2 in term %d and, after a restart, for n3", term)
			}
			if reply := again.handleVote(voteArgs("n2", term, 1, 1)); !reply.Granted {
				t.Errorf("n2 asks again in term %d after the restart and is refused: %+v", term, reply)
			}
		})
	}
}

// E3: a candidate's vote for itself binds its next life as well, so nobody may
// hear of the candidacy before the disk does.
func TestE3CandidateAsksOnceItsOwnVoteIsDurable(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 5})
		s.store.hold()
		s.campaignNow()
		for _, call := range s.wire.takeVotes() {
			s.answerVote(call, true)
		}
		if asked := len(s.wire.takeVotes()); asked > 0 {
			t.Errorf("asked %d servers for votes in term 6; a crash now would forget its own vote in that term", asked)
		}
		if role := s.Status().Role; role != Candidate {
			t.Errorf("%v after a quorum of pre-votes", role)
		}
	})
}

// E6: a refusal of a term that is over stops nobody's campaign, and deposes no
// leader.
func TestE6RefusalOfAnOldTermIsNotFollowed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 5})
		s.campaignNow()
		for _, call := range s.wire.takeVotes() {
			s.answerVote(call, true)
		}
		votes := s.wire.takeVotes()
		votes[0].done(&RequestVoteReply{Term: 4, Refusal: RefusedStaleTerm}, nil)
		synctest.Wait()
		if got := s.Status(); got.Role != Candidate || got.Term != 6 {
			t.Fatalf("a refusal of term 4 made the candidate of term 6 a %v in term %d", got.Role, got.Term)
		}
		s.answerVote(votes[1], true)
		if got := s.Status(); got.Role != Leader {
			t.Fatalf("%v with the vote of n3", got.Role)
		}
	})
}

// E7 (canonical/raft#386): two leaders in one term, for somebody voted for both.
func TestE7OneVoteATerm(t *testing.T) {
	for _, first := range []ServerID{"n2", "n3"} {
		bubble(t, func(t *testing.T) {
			s := begin(t, setup{servers: 5, term: 5})
			s.handleVote(voteArgs(first, 6, 1, 1))
			for _, next := range []ServerID{"n4", "n5"} {
				reply, err := s.HandleRequestVote(voteArgs(next, 6, 9, 5))
				switch {
				case err != nil:
					t.Fatalf("%s asked for a second vote in term 6, and the server stopped: %v", next, s.Err())
				case reply.Granted:
					t.Fatalf("%s got a second vote in term 6, after %s", next, first)
				}
			}
			if got := s.Status().VotedFor; got != first {
				t.Errorf("the vote for %s is now for %q", first, got)
			}
		})
	}
}

// E8 (etcd#8243): what a server of a lower term answered was ignored, and the pair
// that was left elected nobody. Whoever grants a pre-vote may be in any term below
// the one asked for.
func TestE8PreVoteOfALowerTermCounts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 5})
		s.campaignNow()
		s.wire.takeVotes()[0].done(&RequestVoteReply{Term: 2, Granted: true}, nil)
		synctest.Wait()
		if got := s.Status(); got.Role != Candidate || got.Term != 6 {
			t.Fatalf("the pre-vote of a server in term 2 was ignored: %v in term %d", got.Role, got.Term)
		}
	})
}

// E12 (redpanda#30817): a follower that was far behind refused the entries of its
// live leader and did not take them for a sign of life; its campaigns never
// ended. Nothing but refused entries comes here, for many election timeouts.
func TestE12RefusedEntriesAreASignOfLife(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 5, log: []uint64{4}})
		for range 20 {
			time.Sleep(s.config.ElectionTimeoutMin / 2)
			if asked := len(s.wire.takeVotes()); asked > 0 {
				t.Fatalf("campaigned against its live leader: asked %d servers", asked)
			}
			if reply := s.handleAppend(appendArgs("n2", 5, 900, 5, 0, 5)); reply.Refusal != RefusedConflict {
				t.Fatalf("replied %+v", reply)
			}
			ask := voteArgs("n3", 6, 900, 5)
			ask.PreVote = true
			if reply := s.handleVote(ask); reply.Refusal != RefusedHasLeader {
				t.Fatalf("would back n3 against the leader it just heard: %+v", reply)
			}
		}
	})
}
