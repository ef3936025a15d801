package raft

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"lockstep.example/raft/internal/lock"
)

// Guards refuse a bad request before anything of it is staged. Each case breaks
// one rule of design §5 on a follower in term 5 with log 2 3 and commitIndex 2.
func TestGuards(t *testing.T) {
	table := []struct {
		name string
		s    setup
		bad  func(*script)
	}{
		{"ONE_VOTE", setup{term: 5, vote: "n2"}, func(s *script) {
			s.setTermLocked(5, candidate{"n3", 1})
		}},
		{"HELD", setup{term: 5}, func(s *script) {
			s.setTermLocked(4, candidate{})
		}},
		{"COMMIT_END", setup{term: 5, log: []uint64{2, 3}, commit: 2}, func(s *script) {
			s.setCommitLocked(4)
		}},
		{"COMMIT_END", setup{term: 5, log: []uint64{2, 3}, commit: 2}, func(s *script) {
			if s.guardTruncateLocked(2) {
				s.t.Error("may cut a committed entry")
			}
		}},
		{"ONE_LEADER", setup{term: 5}, func(s *script) {
			s.guardLeaderLocked("n2")
			if s.guardLeaderLocked("n3") {
				s.t.Error("two leaders")
			}
		}},
	}
	for _, c := range table {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := begin(t, c.s)
				was := s.Status()
				s.mutate(func() { c.bad(s) })
				s.breach(c.name)
				if is := s.Status(); is.Term != was.Term || is.VotedFor != was.VotedFor || is.CommitIndex != was.CommitIndex || is.LastLogIndex != was.LastLogIndex {
					t.Errorf("%+v became %+v", was, is)
				}
				if n := s.store.staged(); n != 0 {
					t.Errorf("%d stages were written", n)
				}
			})
		})
	}
}

// Two servers that lead one term stop whoever hears both (E7), in whatever way it
// came to know the first, and nothing of the second is taken.
func TestGuardOneLeaderATerm(t *testing.T) {
	for name, first := range map[string]func(*script){
		"the first was heard in a known term":    func(s *script) { s.handleAppend(heartbeatArgs("n2", 5, 0, 0, 0)) },
		"the first raised the term":              func(s *script) { s.handleAppend(heartbeatArgs("n2", 6, 0, 0, 0)) },
		"the first raised the term with entries": func(s *script) { s.handleAppend(appendArgs("n2", 6, 1, 1, 0, 6)) },
		"the first was forgotten by a campaign": func(s *script) {
			s.handleAppend(heartbeatArgs("n2", 5, 0, 0, 0))
			s.campaignNow()
		},
		"the first is this server": func(s *script) { s.elect() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := begin(t, setup{term: 5})
				first(s)
				stages, terms := s.store.staged(), s.terms()
				args := appendArgs("n3", s.Status().Term, 1, 1, 0, s.Status().Term)
				if reply, err := s.HandleAppendEntries(args, nil); err == nil {
					t.Errorf("answered %+v", reply)
				}
				s.breach("ONE_LEADER")
				if s.store.staged() != stages || !slices.Equal(s.terms(), terms) {
					t.Errorf("staged %d; log %v", s.store.staged()-stages, s.terms())
				}
			})
		})
	}
}

// A guard of the log itself: entries whose terms fall are never staged, by
// whatever way they come past the gateway.
func TestGuardFallingTerms(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 5, log: []uint64{5}})
		s.elect()
		stages := s.store.staged()
		s.mutate(func() { s.appendOwnLocked(commands(4, 3)) })
		s.breach("TERMS")
		if s.store.staged() != stages {
			t.Error("staged")
		}
	})
}

// corruptions: each breaks one check of checkLocked, on a leader of term 6 with
// the log 5 5 6 (sentinel at 4).
var corruptions = []struct {
	name  string
	field string
	do    func(*script)
}{
	{"LOG_START", "log.start", func(s *script) { s.log.start = s.commitIndex + 1 }},
	{"COMMIT_END", "commitIndex", func(s *script) { s.commitIndex = s.log.end() }},
	{"APPLIED", "lastApplied", func(s *script) { s.lastApplied = s.commitIndex + 1 }},
	{"TERMS", "entry term", func(s *script) { s.log.records[len(s.log.records)-1].term = 7 }},
	{"HELD", "currentTerm", func(s *script) { s.currentTerm, s.tenure.term = 5, 5; s.log.truncateFrom(4) }},
	{"HELD", "commitIndex falls", func(s *script) { s.commitIndex, s.lastApplied = 0, 0 }},
	{"HELD", "lastApplied falls", func(s *script) { s.lastApplied = 0 }},
	{"ONE_VOTE", "votedFor", func(s *script) { s.votedFor = candidate{"n2", 1} }},
	{"ONE_VOTE", "incarnation of the vote", func(s *script) { s.votedFor.incarnation = 9 }},
	{"HELD", "a leader's log", func(s *script) { s.log.truncateFrom(4) }},
	{"HELD", "round", func(s *script) { s.tenure.round, s.tenure.verified = 0, 0 }},
	{"LEADER", "role", func(s *script) { s.role = Follower }},
	{"LEADER", "leading", func(s *script) { s.leading.Store(false) }},
	{"LEADER", "timer", func(s *script) { s.timer.reset() }},
	{"LEADER", "term of the tenure", func(s *script) { s.tenure.term = 5 }},
	{"DURABLE", "durable", func(s *script) { s.durable.Store(uint64(s.staged) + 1) }},
	{"ROUND", "verified", func(s *script) { s.tenure.verified = s.tenure.round + 1 }},
	{"MATCH", "own match", func(s *script) { s.tenure.selfMatch = s.log.end() }},
	{"MATCH", "matchIndex", func(s *script) { s.tenure.followers[0].matchIndex = s.tenure.followers[0].nextIndex }},
	{"MATCH", "nextIndex", func(s *script) { s.tenure.followers[1].nextIndex = s.log.end() + 1 }},
}

func TestChecks(t *testing.T) {
	for _, c := range corruptions {
		t.Run(c.name+"/"+c.field, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := begin(t, setup{term: 5, log: []uint64{5, 5}})
				s.elect()
				s.mutate(func() { c.do(s) })
				s.breach(c.name)
			})
		})
	}
}

// Design §5, STAGED: everything in the log is staged.
func TestCheckStaged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 5, log: []uint64{5, 5}})
		s.mutate(func() {
			if err := s.log.append(commands(4, 5)); err != nil {
				t.Fatal(err)
			}
		})
		s.breach("STAGED")
	})
}

func TestScanOfTheWholeLog(t *testing.T) {
	for _, c := range []struct {
		name  string
		field string
		do    func(*script)
	}{
		{"TERMS", "a term in the middle", func(s *script) { s.log.records[2].term = 4 }},
		{"NUMBER", "a number", func(s *script) { s.log.records[1].number = 9 }},
		{"NUMBER", "bytes", func(s *script) { s.log.records[1].bytes++ }},
	} {
		t.Run(c.name+"/"+c.field, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := begin(t, setup{term: 5, log: []uint64{5, 5, 5}})
				s.mutate(func() { c.do(s) })
				if s.Err() != nil {
					t.Fatal("found without a scan")
				}
				s.mutate(func() { s.held.unlocks = fullScanEvery - 1 })
				s.breach(c.name)
			})
		})
	}
}

// Without the hook nothing is checked, and a leader works all the same.
func TestChecksAreOff(t *testing.T) {
	if lock.Debug {
		t.Skip("under raftdebug every server is checked")
	}
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{config: func(c *Config) { c.CheckInvariants = false }})
		s.elect()
		s.mutate(func() { s.tenure.verified = s.tenure.round + 1 })
		synctest.Wait()
		if s.Err() != nil {
			t.Fatal(s.Err())
		}
	})
}

func TestBreachSaysWhatItSaw(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 5})
		s.mutate(func() { s.breachLocked("APPLIED", "for a test") })
		text := s.broken(ErrInvariant).Error()
		for _, want := range []string{"APPLIED", "for a test", "server n1", "follower", "term 5", "commitIndex 1"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q does not say %q", text, want)
			}
		}
		if _, err := s.HandleRequestVote(voteArgs("n2", 9, 9, 9)); !errors.Is(err, ErrStopped) {
			t.Errorf("a stopped server answered: %v", err)
		}
	})
}
