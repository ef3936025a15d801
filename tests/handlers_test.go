package tests

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep.example/raft"
	"lockstep.example/raft/labrpc"
)

// These tests talk to one real server, s0, by hand: s1 and s2 are stubs that say
// what the test tells them to. Each row names the bug of a known system it is
// about, as the project's list of such bugs numbers it.

// stub speaks in the name of a server that is down.
type stub struct {
	c  *Cluster
	id string
	e  *labrpc.Endpoint

	mu       sync.Mutex
	preVotes []time.Time // when it was asked for one
}

// byHand runs a test against s0, whose flushes take the given time.
func byHand(t *testing.T, flush time.Duration, f func(t *testing.T, c *Cluster, s1, s2 *stub)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := NewCluster(t, 3, rand.Uint64(), Lockstep)
		c.SetFlushTime(flush, flush)
		c.Crash(1, 2)
		f(t, c, newStub(c, "s1"), newStub(c, "s2"))
	})
}

func newStub(c *Cluster, id string) *stub {
	s := &stub{c: c, id: id, e: c.Net.Endpoint(id)}
	s.onVote(func(*raft.RequestVoteArgs) *raft.RequestVoteReply { return nil })
	return s
}

// onVote says how the stub answers requests for votes: nil is no answer.
func (s *stub) onVote(f func(*raft.RequestVoteArgs) *raft.RequestVoteReply) {
	labrpc.Handle(s.e, MethodVote, func(_ string, args *raft.RequestVoteArgs) (*raft.RequestVoteReply, error) {
		if args.PreVote {
			s.mu.Lock()
			s.preVotes = append(s.preVotes, time.Now())
			s.mu.Unlock()
		}
		if reply := f(args); reply != nil {
			return reply, nil
		}
		return nil, errRefused
	})
}

func (s *stub) header(to string, term uint64) raft.Header {
	return raft.Header{From: raft.ServerID(s.id), To: raft.ServerID(to), FromIncarnation: 1, ToIncarnation: 1, Term: term}
}

// ask sends a request and waits for its reply.
func ask[R any](s *stub, to, method string, args any) *R {
	s.c.T.Helper()
	reply, done := new(R), make(chan error, 1)
	s.e.Call(to, method, args, reply, time.Now().Add(time.Second), func(err error) { done <- err })
	if err := <-done; err != nil {
		s.c.fatal("%v", err)
	}
	s.c.stopIfFailed()
	return reply
}

// vote asks to for a vote for the stub, whose log ends as told.
func (s *stub) vote(to string, term, lastIndex, lastTerm uint64) *raft.RequestVoteReply {
	s.c.T.Helper()
	return ask[raft.RequestVoteReply](s, to, MethodVote, &raft.RequestVoteArgs{
		Header: s.header(to, term), LastLogIndex: lastIndex, LastLogTerm: lastTerm,
	})
}

// entries builds AppendEntries of the stub as leader, with a command of each of
// the given terms.
func (s *stub) entries(to string, term, prev, prevTerm, commit uint64, terms ...uint64) *raft.AppendEntriesArgs {
	var body []byte
	for i, t := range terms {
		body = raft.AppendEntry(body, raft.EntryCommand, t, fmt.Appendf(nil, "%d of %d", prev+1+uint64(i), t))
	}
	return &raft.AppendEntriesArgs{
		Header: s.header(to, term), PrevLogIndex: prev, PrevLogTerm: prevTerm, LeaderCommit: commit,
		Batch: raft.NewBatch(body, len(terms)), Heartbeat: len(terms) == 0,
	}
}

func (s *stub) append(to string, term, prev, prevTerm, commit uint64, terms ...uint64) *raft.AppendEntriesReply {
	s.c.T.Helper()
	return ask[raft.AppendEntriesReply](s, to, MethodAppend, s.entries(to, term, prev, prevTerm, commit, terms...))
}

// TestVoteOnce: one vote a term, durable before it is spoken, whatever crashes
// (E1, E3) and whatever role the voter passes through (E2, E5, E6).
func TestVoteOnce(t *testing.T) {
	const flush = 20 * time.Millisecond
	byHand(t, flush, func(t *testing.T, c *Cluster, s1, s2 *stub) {
		for term := uint64(10); term < 20; term++ {
			began := time.Now()
			if r := s1.vote("s0", term, 1, 1); !r.Granted {
				t.Fatalf("no vote in term %d: %+v", term, r)
			}
			if took := time.Since(began); took < flush {
				t.Fatalf("the vote was spoken after %v, a flush takes %v", took, flush)
			}
			c.Restart(0)
			if r := s2.vote("s0", term, 1, 1); r.Granted || r.Refusal != raft.RefusedVoted {
				t.Fatalf("a second vote in term %d: %+v", term, r)
			}
			if r := s1.vote("s0", term, 1, 1); !r.Granted {
				t.Fatalf("the vote was forgotten in term %d: %+v", term, r)
			}
			// E6: an older term's leader changes nothing.
			if r := s2.append("s0", term-1, 1, 1, 1); r.Refusal != raft.RefusedStaleTerm || r.Term != term {
				t.Fatalf("an old leader in term %d: %+v", term, r)
			}
		}
		// E2: a new term, by AppendEntries, has a vote of its own.
		if r := s2.append("s0", 30, 1, 1, 1); r.Refusal != raft.Agreed {
			t.Fatalf("a new leader: %+v", r)
		}
		c.Restart(0)
		if r := s1.vote("s0", 30, 1, 1); r.Term != 30 {
			t.Fatalf("the new term was forgotten: %+v", r)
		}
	})
}

// TestCandidateKeepsItsVote: a candidate's vote for itself is durable before it
// asks others (E1), and stands when it steps down within its term (E5).
func TestCandidateKeepsItsVote(t *testing.T) {
	const flush = 40 * time.Millisecond
	byHand(t, flush, func(t *testing.T, c *Cluster, s1, s2 *stub) {
		var granted time.Time
		asked := make(chan uint64, 100)
		s1.onVote(func(args *raft.RequestVoteArgs) *raft.RequestVoteReply {
			if args.PreVote {
				granted = time.Now()
				return &raft.RequestVoteReply{Term: args.Term - 1, Granted: true}
			}
			asked <- args.Term
			return nil
		})
		term := <-asked
		if took := time.Since(granted); took < flush {
			t.Errorf("it asked for votes %v after it could begin to flush its own; a flush takes %v", took, flush)
		}
		if r := s2.append("s0", term, 1, 1, 1); r.Refusal != raft.Agreed || r.Term != term {
			t.Fatalf("the leader of the candidate's term: %+v", r)
		}
		if r := s1.vote("s0", term, 1, 1); r.Granted {
			t.Fatalf("a second vote in term %d: %+v", term, r)
		}
	})
}

// TestVoteForBetterLogs: the last term decides, then the last index (§5.4.1).
func TestVoteForBetterLogs(t *testing.T) {
	byHand(t, time.Millisecond, func(t *testing.T, c *Cluster, s1, s2 *stub) {
		if r := s1.append("s0", 5, 1, 1, 1, 4, 4, 5); r.Refusal != raft.Agreed {
			t.Fatalf("%+v", r)
		} // the log is 1, 4, 4, 5
		for i, row := range []struct {
			lastIndex, lastTerm uint64
			granted             bool
		}{
			{3, 4, false}, {100, 4, false}, {3, 5, false}, {4, 5, true}, {5, 5, true}, {2, 6, true}, {1, 1, false},
		} {
			r := s2.vote("s0", 6+uint64(i), row.lastIndex, row.lastTerm)
			if r.Granted != row.granted || !r.Granted && r.Refusal != raft.RefusedLogBehind {
				t.Errorf("a candidate whose log ends at index %d of term %d: %+v", row.lastIndex, row.lastTerm, r)
			}
		}
	})
}

// TestPreVote: it moves nothing; a refusal tells the durable term (E8); who has
// heard a leader lately refuses (E14).
func TestPreVote(t *testing.T) {
	byHand(t, time.Millisecond, func(t *testing.T, c *Cluster, s1, s2 *stub) {
		pre := func(term uint64) *raft.RequestVoteReply {
			return ask[raft.RequestVoteReply](s2, "s0", MethodVote, &raft.RequestVoteArgs{
				Header: s2.header("s0", term), PreVote: true, LastLogIndex: 1, LastLogTerm: 1,
			})
		}
		if r := pre(50); !r.Granted || r.Term != 1 {
			t.Errorf("without a leader: %+v", r)
		}
		s1.append("s0", 7, 1, 1, 1)
		if r := pre(8); r.Refusal != raft.RefusedHasLeader {
			t.Errorf("at once after a heartbeat: %+v", r)
		}
		if r := pre(7); r.Refusal != raft.RefusedStaleTerm || r.Term != 7 {
			t.Errorf("of the same term: %+v", r)
		}
		time.Sleep(500 * time.Millisecond)
		if r := pre(8); !r.Granted || r.Term != 7 {
			t.Errorf("a minimum election timeout after a heartbeat: %+v", r)
		}
	})
}

// TestTimer: which messages move the election deadline, and which do not (E12,
// E13). Each comes 450 ms after a heartbeat; the deadline is drawn from 500 to
// 1,000 ms, so a campaign before 950 ms shows that it was not moved.
func TestTimer(t *testing.T) {
	const after, tries = 450 * time.Millisecond, 12
	for _, row := range []struct {
		name  string
		send  func(s1, s2 *stub)
		moves bool
	}{
		{"nothing", func(s1, s2 *stub) {}, false},
		{"heartbeat", func(s1, s2 *stub) { s1.append("s0", 7, 1, 1, 1) }, true},
		{"refused entries", func(s1, s2 *stub) { s1.append("s0", 7, 9, 7, 1) }, true},
		{"leader of a new term", func(s1, s2 *stub) { s2.append("s0", 8, 1, 1, 1) }, true},
		{"granted vote", func(s1, s2 *stub) { s2.vote("s0", 8, 1, 1) }, true},
		{"vote refused for its log, new term", func(s1, s2 *stub) { s2.vote("s0", 8, 0, 0) }, false},
		{"vote of an old term", func(s1, s2 *stub) { s2.vote("s0", 6, 1, 1) }, false},
		{"leader of an old term", func(s1, s2 *stub) { s2.append("s0", 6, 1, 1, 1) }, false},
		{"pre-vote", func(s1, s2 *stub) {
			ask[raft.RequestVoteReply](s2, "s0", MethodVote, &raft.RequestVoteArgs{
				Header: s2.header("s0", 9), PreVote: true, LastLogIndex: 1, LastLogTerm: 1,
			})
		}, false},
	} {
		earliest := time.Hour
		for range tries {
			byHand(t, 100*time.Microsecond, func(t *testing.T, c *Cluster, s1, s2 *stub) {
				s1.append("s0", 7, 1, 1, 1)
				began := time.Now()
				time.Sleep(after)
				s1.mu.Lock()
				s1.preVotes = nil
				s1.mu.Unlock()
				row.send(s1, s2)
				time.Sleep(2 * time.Second)
				s1.mu.Lock()
				defer s1.mu.Unlock()
				if len(s1.preVotes) == 0 {
					t.Fatalf("%s: no campaign at all", row.name)
				}
				earliest = min(earliest, s1.preVotes[0].Sub(began))
			})
		}
		if moved := earliest > after+490*time.Millisecond; moved != row.moves {
			t.Errorf("%s: of %d campaigns the first began after %v", row.name, tries, earliest)
		}
	}
}

// TestAppend: one log, one message after another (R2, R3, R6 and the hints).
func TestAppend(t *testing.T) {
	byHand(t, time.Millisecond, func(t *testing.T, c *Cluster, s1, s2 *stub) {
		type hint struct{ term, index uint64 }
		for i, row := range []struct {
			leader                 *stub
			term, prev, prevTerm   uint64
			commit                 uint64
			terms                  []uint64
			refusal                raft.Refusal
			conflict               hint
			lastIndex, commitIndex uint64
		}{
			{s1, 5, 1, 1, 1, []uint64{5, 5}, raft.Agreed, hint{}, 3, 1},
			{s1, 5, 1, 1, 1, []uint64{5}, raft.Agreed, hint{}, 3, 1},                // R2: a late duplicate removes nothing
			{s1, 5, 2, 5, 2, []uint64{5, 5}, raft.Agreed, hint{}, 4, 2},             // overlaps, and commits
			{s2, 6, 4, 5, 2, []uint64{6, 6}, raft.Agreed, hint{}, 6, 2},             // 1 5 5 5 6 6
			{s1, 8, 9, 8, 6, nil, raft.RefusedConflict, hint{0, 7}, 6, 2},           // too short
			{s1, 8, 6, 8, 6, nil, raft.RefusedConflict, hint{6, 5}, 6, 2},           // the whole term 6 goes at once
			{s1, 8, 4, 8, 6, nil, raft.RefusedConflict, hint{5, 3}, 6, 2},           // but nothing committed
			{s1, 8, 3, 5, 6, nil, raft.Agreed, hint{}, 6, 3},                        // R3: commits what it proves, no more
			{s1, 8, 3, 5, 3, []uint64{8}, raft.Agreed, hint{}, 4, 3},                // the tail of the old terms is gone
			{s1, 8, 0, 0, 9, []uint64{1, 5, 5, 8, 8, 8}, raft.Agreed, hint{}, 6, 6}, // from the very start
			{s2, 7, 1, 1, 6, []uint64{7}, raft.RefusedStaleTerm, hint{}, 6, 6},      // an old leader
		} {
			r := row.leader.append("s0", row.term, row.prev, row.prevTerm, row.commit, row.terms...)
			got := hint{r.ConflictTerm, r.ConflictIndex}
			if r.Refusal != row.refusal || got != row.conflict || r.LastLogIndex != row.lastIndex || r.CommitIndex != row.commitIndex {
				t.Fatalf("row %d: %+v, expected refusal %d, hint %v, log to %d, commit %d", i, *r, row.refusal, row.conflict, row.lastIndex, row.commitIndex)
			}
		}
	})
}

// TestAppendIsDurable: no acknowledgement, also not of a duplicate, is spoken
// before the bytes are flushed; what was acknowledged survives a crash.
func TestAppendIsDurable(t *testing.T) {
	const flush = 30 * time.Millisecond
	byHand(t, flush, func(t *testing.T, c *Cluster, s1, s2 *stub) {
		s1.append("s0", 5, 1, 1, 1) // the term is durable
		last, lastTerm := uint64(1), uint64(1)
		for round := range 20 {
			args := s1.entries("s0", 5, last, lastTerm, 1, 5)
			began, done := time.Now(), make(chan error, 2)
			for range 2 {
				s1.e.Call("s0", MethodAppend, args, &raft.AppendEntriesReply{}, time.Now().Add(time.Second), func(err error) { done <- err })
				time.Sleep(2 * time.Millisecond)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took < flush {
				t.Fatalf("round %d: acknowledged after %v, a flush takes %v", round, took, flush)
			}
			c.Restart(0)
			last, lastTerm = last+1, 5
			if r := s1.append("s0", 5, last, lastTerm, 1); r.Refusal != raft.Agreed {
				t.Fatalf("round %d: after a crash the acknowledged entry %d is gone: %+v", round, last, r)
			}
		}
	})
}

// TestHigherTermInReply: a leader follows the higher term of any reply.
func TestHigherTermInReply(t *testing.T) {
	byHand(t, time.Millisecond, func(t *testing.T, c *Cluster, s1, s2 *stub) {
		grant := func(args *raft.RequestVoteArgs) *raft.RequestVoteReply {
			return &raft.RequestVoteReply{Term: args.Term, Granted: args.Term < 99}
		}
		s1.onVote(grant)
		leader := c.Leader()
		labrpc.Handle(s2.e, MethodHeartbeat, func(string, *raft.AppendEntriesArgs) (*raft.AppendEntriesReply, error) {
			return &raft.AppendEntriesReply{Term: 99, Refusal: raft.RefusedStaleTerm}, nil
		})
		time.Sleep(200 * time.Millisecond)
		if term, leads := c.state(leader); term != 99 || leads {
			t.Errorf("after a reply of term 99 %s is in term %d, leads: %v", c.ID(leader), term, leads)
		}
	})
}
