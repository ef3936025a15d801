package raft

import (
	"bytes"
	"slices"
	"testing"
	"testing/synctest"
)

// The byte budget of a follower: what requests add and is not flushed yet, and
// what it knows committed and has not applied.

const budget = 1000

func limited(c *Config) { c.MaxApplyBytes = budget }

// bulk is a request with one entry of size bytes, encoding included.
func bulk(prev, prevTerm uint64, commit uint64, size int) *AppendEntriesArgs {
	args := appendArgs("n2", 5, prev, prevTerm, commit)
	args.Batch = NewBatch(AppendEntry(nil, EntryCommand, 5, bytes.Repeat([]byte("x"), size-entryHeaderSize)), 1)
	return args
}

// ask sends a request whose answer may have to wait; the log tells what was done.
func (s *script) ask(args *AppendEntriesArgs) (reply *AppendEntriesReply) {
	s.t.Helper()
	before := s.store.staged()
	answer := make(chan *AppendEntriesReply, 1)
	go func() {
		reply, _ := s.HandleAppendEntries(args, nil)
		answer <- reply
	}()
	synctest.Wait()
	select {
	case reply = <-answer:
		return reply
	default:
	}
	// It waits for a flush: it was agreed if it staged something, else look.
	if s.store.staged() > before {
		return &AppendEntriesReply{Refusal: Agreed}
	}
	s.store.release()
	reply = <-answer
	s.store.hold()
	return reply
}

func TestR13BusyBudgetOfUnflushedBytes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 5, config: limited})
		s.store.hold()
		if reply := s.ask(bulk(1, 1, 0, 2*budget)); reply.Refusal != Agreed {
			t.Fatalf("one batch with nothing pending: %+v", reply)
		}
		reply := s.ask(bulk(2, 5, 0, 20))
		if reply.Refusal != RefusedBusy || reply.LastLogIndex != 2 {
			t.Fatalf("R13: over the budget: %+v", reply)
		}
		// The flush above has freed the budget again.
		if reply := s.ask(bulk(2, 5, 0, 600)); reply.Refusal != Agreed {
			t.Fatalf("R13: after the flush: %+v", reply)
		}
		if reply := s.ask(bulk(3, 5, 0, budget-600)); reply.Refusal != Agreed {
			t.Fatalf("up to the budget: %+v", reply)
		}
		if reply := s.ask(bulk(4, 5, 0, 20)); reply.Refusal != RefusedBusy {
			t.Fatalf("over the budget: %+v", reply)
		}
	})
}

// Bytes whose flush is under way are pending as well.
func TestBusyBudgetCountsTheFlushUnderWay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 5, config: limited})
		s.store.hold()
		s.ask(bulk(1, 1, 0, 600)) // captured by the held flush
		var pending uint64
		s.mutate(func() { pending = s.pendingBytesLocked() })
		if pending != 600 {
			t.Fatalf("%d bytes pending", pending)
		}
	})
}

// Term, timer, prev check, truncation and commit come first; only new bytes are
// refused.
func TestBusyRefusesNewBytesOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 5, log: []uint64{3, 3}, config: limited})
		s.store.hold()
		s.ask(bulk(3, 3, 0, budget))
		version, _ := s.timer.read()
		args := heartbeatArgs("n3", 6, 0, 0, 0) // a new leader whose log parts after index 2
		s.handleAppend(args)
		busy := appendArgs("n3", 6, 2, 3, 2, 6)
		reply := s.ask(busy)
		if reply.Refusal != RefusedBusy || reply.Term != 6 {
			t.Fatalf("%+v", reply)
		}
		now, _ := s.timer.read()
		if got := s.Status(); got.CommitIndex != 2 || !slices.Equal(s.terms(), []uint64{3}) || now == version {
			t.Fatalf("commitIndex %d, log %v, timer moved: %v", got.CommitIndex, s.terms(), now != version)
		}
	})
}

func TestRequestWithoutNewBytesIsNeverBusy(t *testing.T) {
	for name, args := range map[string]*AppendEntriesArgs{
		"duplicate": bulk(1, 1, 0, 2*budget), "empty": appendArgs("n2", 5, 2, 5, 2), "heartbeat": heartbeatArgs("n2", 5, 2, 5, 2),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := begin(t, setup{term: 5, config: limited})
				s.store.hold()
				s.ask(bulk(1, 1, 0, 2*budget))
				if reply := s.ask(args); reply.Refusal != Agreed {
					t.Errorf("%+v", reply)
				}
			})
		})
	}
}

// What is committed and not applied counts; what was recovered, or is flushed and
// not committed, does not.
func TestBusyBudgetOfUnappliedBytes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 5, config: limited})
		gate := make(chan struct{})
		s.machine.before = func([]Entry) { <-gate }
		s.handleAppend(bulk(1, 1, 0, 2*budget))
		if reply := s.handleAppend(bulk(2, 5, 0, 2*budget)); reply.Refusal != Agreed {
			t.Fatalf("with all flushed and nothing committed: %+v", reply)
		}
		s.handleAppend(heartbeatArgs("n2", 5, 3, 5, 2)) // Apply is stuck with index 2
		synctest.Wait()
		if reply := s.handleAppend(bulk(3, 5, 0, 20)); reply.Refusal != RefusedBusy {
			t.Fatalf("with committed bytes unapplied: %+v", reply)
		}
		close(gate)
		synctest.Wait()
		if reply := s.handleAppend(bulk(3, 5, 0, 20)); reply.Refusal != Agreed {
			t.Fatalf("with all applied: %+v", reply)
		}
	})
}
