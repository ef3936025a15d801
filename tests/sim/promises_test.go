package sim

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep.example/raft"
	"lockstep.example/raft/labrpc"
	"lockstep.example/raft/tests"
)

// TestPromises: s1 answers s0 before what it promises is durable, and after.
func TestPromises(t *testing.T) {
	vote := func(s *script) { s.vote("s1", 3, "s0") }
	entry := func(s *script) { s.stage("s1", 2, 2) }
	askVote := func(e *labrpc.Endpoint, done func(error)) {
		args := &raft.RequestVoteArgs{Header: raft.Header{From: "s0", To: "s1", Term: 3}}
		e.Call("s1", tests.MethodVote, args, new(raft.RequestVoteReply), time.Time{}, done)
	}
	askEntry := func(e *labrpc.Endpoint, done func(error)) {
		args := &raft.AppendEntriesArgs{Header: raft.Header{From: "s0", To: "s1", Term: 3}, PrevLogIndex: 1, PrevLogTerm: 1, Batch: batch(2)}
		e.Call("s1", tests.MethodAppend, args, new(raft.AppendEntriesReply), time.Time{}, done)
	}
	for _, row := range []struct {
		name, breach string
		stage        func(*script)
		ask          func(*labrpc.Endpoint, func(error))
	}{
		{"vote", "has its vote in term 3, which is not durable", vote, askVote},
		{"entry", "holds index 2 of term 2, which is not durable", entry, askEntry},
	} {
		for _, flushed := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				s := newScript(t)
				net := labrpc.New(nil, labrpc.Reliable())
				defer net.Close()
				net.Trace(s.d.promises)
				candidate, voter := net.Endpoint("s0"), net.Endpoint("s1")
				labrpc.Handle(voter, tests.MethodVote, func(string, *raft.RequestVoteArgs) (*raft.RequestVoteReply, error) {
					return &raft.RequestVoteReply{Term: 3, Granted: true}, nil
				})
				labrpc.Handle(voter, tests.MethodAppend, func(string, *raft.AppendEntriesArgs) (*raft.AppendEntriesReply, error) {
					return &raft.AppendEntriesReply{Term: 3, Refusal: raft.Agreed}, nil
				})
				row.stage(s)
				if flushed {
					s.flush("s1")
				}
				done := make(chan error)
				row.ask(candidate, func(err error) { done <- err })
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				err := s.d.Finish(nil)
				if flushed && err != nil {
					t.Errorf("%s, durable: %v", row.name, err)
				}
				if !flushed && (err == nil || !strings.Contains(err.Error(), row.breach)) {
					t.Errorf("%s, not durable: %v; it must tell %q", row.name, err, row.breach)
				}
			})
		}
	}
}
