package raft

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A follower asks the leader for an index and serves the read itself. n1 follows
// n2 in term 5, with two entries after the bootstrap one, none of them committed.

func followsN2(t *testing.T) *script {
	t.Helper()
	s := begin(t, setup{term: 5})
	s.handleAppend(appendArgs("n2", 5, 1, 1, 0, 5, 5))
	return s
}

func (s *script) answerRead(call *readCall, reply ReadIndexReply) {
	call.done(&reply, nil)
	synctest.Wait()
}

func TestFollowerReads(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := followsN2(t)
		r := s.read(t.Context())
		calls := s.wire.takeReads()
		if len(calls) != 1 || calls[0].args.To != "n2" || calls[0].args.Term != 5 {
			t.Fatalf("%d requests", len(calls))
		}
		s.answerRead(calls[0], ReadIndexReply{Term: 5, Index: 3, CommitIndex: 2, Leader: "n2"})
		if got := s.Status(); r.over() || got.CommitIndex != 2 {
			t.Fatalf("over: %v; commitIndex %d, the reply carried 2", r.over(), got.CommitIndex)
		}
		s.handleAppend(heartbeatArgs("n2", 5, 3, 5, 3))
		synctest.Wait()
		if !r.over() || r.err != nil || r.index != 3 {
			t.Fatalf("%+v", r)
		}
	})
}

// The leader's commit point is taken only as far as the own log is known to equal
// the leader's, and only in its term.
func TestFollowerTakesTheCommitPointWithCare(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(*script)
		reply  ReadIndexReply
		commit uint64
	}{
		{"in full", nil, ReadIndexReply{Term: 5, Index: 3, CommitIndex: 3}, 3},
		{"beyond the own log", nil, ReadIndexReply{Term: 5, Index: 9, CommitIndex: 9}, 3},
		{"of another term", nil, ReadIndexReply{Term: 4, Index: 3, CommitIndex: 3}, 1},
		{"of a leader that lost its office", nil, ReadIndexReply{Index: 3}, 1},
		{"in a new term, of entries nobody has compared", func(s *script) {
			s.handleAppend(heartbeatArgs("n3", 6, 0, 0, 0))
		}, ReadIndexReply{Term: 6, Index: 3, CommitIndex: 3}, 1},
		{"in a new term, of entries compared in part", func(s *script) {
			s.handleAppend(heartbeatArgs("n3", 6, 2, 5, 0))
		}, ReadIndexReply{Term: 6, Index: 3, CommitIndex: 3}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := followsN2(t)
				if c.before != nil {
					c.before(s)
				}
				s.read(within(t, time.Minute))
				s.answerRead(s.wire.takeReads()[0], c.reply)
				if got := s.Status().CommitIndex; got != c.commit {
					t.Errorf("commitIndex %d, want %d", got, c.commit)
				}
			})
		})
	}
}

// TestL2LateRemoteReadsUseTheNextRequest: reads that arrive while a request is out
// use the next one, for its answer may be older than they are.
func TestL2LateRemoteReadsUseTheNextRequest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := followsN2(t)
		s.handleAppend(heartbeatArgs("n2", 5, 3, 5, 3))
		first := s.read(t.Context())
		second, third := s.read(t.Context()), s.read(t.Context())
		calls := s.wire.takeReads()
		if len(calls) != 1 {
			t.Fatalf("%d requests are out", len(calls))
		}
		s.answerRead(calls[0], ReadIndexReply{Term: 5, Index: 2})
		next := s.wire.takeReads()
		if !first.over() || first.index != 2 || second.over() || third.over() || len(next) != 1 {
			t.Fatalf("%+v %+v %+v, %d requests", first, second, third, len(next))
		}
		s.answerRead(next[0], ReadIndexReply{Term: 5, Index: 3})
		if !second.over() || second.index != 3 || !third.over() || third.index != 3 || len(s.wire.takeReads()) != 0 {
			t.Fatalf("%+v %+v", second, third)
		}
	})
}

func TestL7RemoteReadsThatFail(t *testing.T) {
	for name, answer := range map[string]func(*script, *readCall){
		"lost":        func(_ *script, call *readCall) { call.done(nil, errLost) },
		"not leading": func(s *script, call *readCall) { s.answerRead(call, ReadIndexReply{Refusal: RefusedNotLeader}) },
		"not for me":  func(s *script, call *readCall) { s.answerRead(call, ReadIndexReply{Refusal: RefusedNotForMe}) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := followsN2(t)
				first, second := s.read(t.Context()), s.read(t.Context())
				answer(s, s.wire.takeReads()[0])
				synctest.Wait()
				if !first.over() || !errors.Is(first.err, ErrNotLeader) || second.over() {
					t.Fatalf("%+v %+v", first, second)
				}
				next := s.wire.takeReads()
				if len(next) != 1 {
					t.Fatalf("%d requests for the read that came while one was out", len(next))
				}
				answer(s, next[0])
				synctest.Wait()
				if !second.over() || !errors.Is(second.err, ErrNotLeader) {
					t.Fatalf("%+v", second)
				}
			})
		})
	}
}

func TestRemoteReadWithAHostileIndex(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := followsN2(t)
		r := s.read(t.Context())
		s.answerRead(s.wire.takeReads()[0], ReadIndexReply{Term: 5, Index: maxIndex + 1})
		if !r.over() || !errors.Is(r.err, ErrMalformed) {
			t.Fatalf("%+v", r)
		}
	})
}

func TestL7ReadWithoutALeader(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 5})
		if r := s.read(within(t, time.Second)); !r.over() || !errors.Is(r.err, ErrNotLeader) {
			t.Fatalf("nobody is known to lead, and the read was not refused: over %v", r.over())
		}
		s.handleAppend(heartbeatArgs("n2", 5, 0, 0, 0))
		if s.read(within(t, time.Second)); len(s.wire.takeReads()) != 1 {
			t.Fatal("the gate was not freed")
		}
	})
}

// The leader's side: an index for another server, after a round.
func TestHandleReadIndex(t *testing.T) {
	ask := func(s *script) (*ReadIndexReply, error) {
		return s.HandleReadIndex(&ReadIndexArgs{Header: header("n2", 2)})
	}
	bubble(t, func(t *testing.T) {
		s := ready(t)
		replies := make(chan *ReadIndexReply, 1)
		answer := func() { reply, _ := ask(s); replies <- reply }
		go answer()
		beats := s.beats()
		if len(replies) != 0 || len(beats) != 2 {
			t.Fatalf("answered without a round: %+v", <-replies)
		}
		s.agree(beats[0])
		if reply := <-replies; *reply != (ReadIndexReply{Term: 2, Index: 2, CommitIndex: 2, Leader: "n1"}) {
			t.Fatalf("%+v", reply)
		}
		go answer()
		synctest.Wait()
		s.handleAppend(heartbeatArgs("n3", 9, 0, 0, 0))
		if reply := <-replies; reply.Refusal != RefusedNotLeader || reply.Leader != "n3" {
			t.Fatalf("deposed: %+v", reply)
		}
		if reply, err := ask(s); err != nil || reply.Refusal != RefusedNotLeader {
			t.Fatalf("a follower: %+v, %v", reply, err)
		}
		args := &ReadIndexArgs{Header: header("n2", 9)}
		args.To = "n5"
		if reply, err := s.HandleReadIndex(args); err != nil || reply.Refusal != RefusedNotForMe {
			t.Fatalf("misdirected: %+v, %v", reply, err)
		}
	})
}

// TestL2CutOffLeaderAnswersNothing, over whole servers: a read waits on a leader
// that is cut off until the others have another and have committed more. It must
// fail when the old leader is back.
func TestL2CutOffLeaderAnswersNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3)
		old := c.leader()
		if _, err := old.Propose(within(t, time.Second), []byte("1")); err != nil {
			t.Fatal(err)
		}
		c.net.isolate(old.config.ID, true)
		ended := make(chan error, 1)
		go func() { _, err := old.ReadIndex(t.Context()); ended <- err }()
		eventually(t, "another leader", func() bool {
			for id, rf := range c.servers {
				if s := rf.Status(); id != old.config.ID && s.Role == Leader {
					_, err := rf.Propose(within(t, time.Second), []byte("2"))
					return err == nil
				}
			}
			return false
		})
		c.net.isolate(old.config.ID, false)
		if err := <-ended; !errors.Is(err, ErrNotLeader) {
			t.Fatalf("a deposed leader answered a read: %v", err)
		}
	})
}
