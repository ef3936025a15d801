package raft

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// proposal is a Propose under way.
type proposal struct {
	result Result
	err    error
	ended  chan struct{} // closed once result and err are set
}

func (p *proposal) over() bool { return closed(p.ended) }

func (s *script) propose(ctx context.Context, command string) *proposal {
	p := &proposal{ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		p.result, p.err = s.Propose(ctx, []byte(command))
	}()
	synctest.Wait()
	return p
}

// settleAll answers everything sent to n2 until nothing more comes.
func (s *script) settleAll() {
	for calls := s.wire.takeAppends("n2", false); len(calls) > 0; calls = s.wire.takeAppends("n2", false) {
		for _, call := range calls {
			s.agree(call)
		}
	}
}

func TestProposalCommits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _ := replicating(t, setup{log: []uint64{2, 2}}) // sentinel at 4
		p := s.propose(t.Context(), "x")
		if p.over() {
			t.Fatalf("before a quorum has it: %+v", p)
		}
		s.settleAll()
		if !p.over() || p.err != nil || string(p.result.Value) != "3" || p.result.Index != 5 || p.result.Term != 3 || p.result.Number != 3 {
			t.Fatalf("%+v", p)
		}
	})
}

// Results find their proposals also where other entries lie between: here what was
// recovered, the sentinel and two proposals are applied as one batch.
func TestResultsOfAMixedBatch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _ := led(t, setup{log: []uint64{2, 2}}) // sentinel at 4
		first, second := s.propose(t.Context(), "first"), s.propose(t.Context(), "second")
		batches := 0
		s.machine.before = func([]Entry) { batches++ }
		s.conflict(s.expect("elected", "3+1")[0], 0, 3)
		s.settleAll() // everything in one message
		if batches != 1 || !first.over() || first.err != nil || !second.over() || second.err != nil {
			t.Fatalf("%d batches; %+v; %+v", batches, first, second)
		}
		if string(first.result.Value) != "3" || first.result.Index != 5 || string(second.result.Value) != "4" || second.result.Index != 6 {
			t.Fatalf("%+v; %+v", first.result, second.result)
		}
	})
}

// The command is the caller's again as soon as Propose returns.
func TestProposalIsCopied(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _ := replicating(t, setup{servers: 3})
		command := []byte("before")
		if _, err := s.Start(command); err != nil {
			t.Fatal(err)
		}
		copy(command, "after!")
		s.settleAll()
		if got := s.machine.entries(); len(got) != 1 || string(got[0].Data) != "before" {
			t.Fatalf("applied %+v", got)
		}
	})
}

func TestRejectedProposals(t *testing.T) {
	for _, c := range []struct {
		name   string
		s      setup
		before func(*script)
		size   int
		want   error
	}{
		{"not the leader", setup{term: 5}, func(s *script) { s.handleAppend(heartbeatArgs("n2", 5, 0, 0, 0)) }, 1, ErrNotLeader},
		{"too large", setup{config: func(c *Config) { c.MaxCommandBytes = 10 }}, func(s *script) { s.elect() }, 11, ErrTooLarge},
		{"too large, not leading", setup{config: func(c *Config) { c.MaxCommandBytes = 10 }}, nil, 11, ErrTooLarge},
		{"stopped", setup{}, func(s *script) { s.elect(); stop(s.t, s.Raft) }, 1, ErrStopped},
		{"uncommitted budget", setup{config: func(c *Config) { c.MaxUncommittedBytes = 100 }}, func(s *script) {
			s.elect()
			s.settleAll()
			s.add(1, 90)
		}, 0, ErrOverloaded},
		{"apply budget", setup{config: func(c *Config) { c.MaxApplyBytes = 100 }}, func(s *script) {
			gate := make(chan struct{})
			s.machine.before = func([]Entry) { <-gate }
			s.t.Cleanup(func() { close(gate) })
			s.elect()
			s.settleAll()
			s.add(1, 200)
			s.settleAll()
		}, 0, ErrOverloaded},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := begin(t, c.s)
				if c.before != nil {
					c.before(s)
				}
				end := s.Status().LastLogIndex
				p := s.propose(t.Context(), strings.Repeat("x", c.size))
				if !p.over() || !errors.Is(p.err, c.want) || errors.Is(p.err, ErrUnknown) || !strings.HasPrefix(p.err.Error(), "propose: ") {
					t.Errorf("proposed: %+v: %v", p, p.err)
				}
				if ticket, err := s.Start(make([]byte, c.size)); !errors.Is(err, c.want) || !strings.HasPrefix(err.Error(), "start: ") || ticket != (Ticket{}) {
					t.Errorf("started: %+v, %v", ticket, err)
				}
				if got := s.Status().LastLogIndex; got != end {
					t.Errorf("the log went from %d to %d", end, got)
				}
			})
		})
	}
}

func TestBudgetsCountExactly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _ := replicating(t, setup{config: func(c *Config) { c.MaxUncommittedBytes = 100 }})
		s.add(1, 60)
		s.add(1, 40)
		var full *OverloadedError
		if _, err := s.Start(nil); !errors.As(err, &full) || full.Budget != "uncommitted" || full.Used != 100 || full.Limit != 100 {
			t.Fatal(err)
		}
		s.settleAll()
		s.add(1, 5000) // one command fits when nothing is pending
	})
}

func TestR13InboxBudget(t *testing.T) {
	var b inbox
	put := func(size int) (bool, error) { return b.put(&waiter{command: make([]byte, size-entryHeaderSize)}, 100) }
	if first, err := put(500); !first || err != nil { // one always fits
		t.Fatal(first, err)
	}
	var full *OverloadedError
	if _, err := put(20); !errors.As(err, &full) || full.Budget != "inbox" || full.Used != 500 || full.Limit != 100 {
		t.Fatalf("R13: 20 bytes beside 500, with a limit of 100: %v", err)
	}
	if taken := b.take(); len(taken) != 1 {
		t.Fatal(len(taken))
	}
	for i, size := range []int{60, 40} {
		if first, err := put(size); first != (i == 0) || err != nil {
			t.Fatal(i, first, err)
		}
	}
	if _, err := put(13); err == nil {
		t.Fatal("R13: the inbox takes more than its limit")
	}
}

// A caller that gives up while its command is in the inbox is told that it has no
// effect, and it has none.
func TestC1ContextEndsWhileQueued(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _ := replicating(t, setup{})
		s.store.hold()
		s.add(1, 20) // the intake is in a flush now and takes up nothing
		p := s.propose(within(t, time.Minute), "withdrawn")
		kept := s.propose(t.Context(), "kept")
		time.Sleep(time.Minute)
		synctest.Wait()
		if !p.over() || !errors.Is(p.err, ErrOverloaded) || !errors.Is(p.err, context.DeadlineExceeded) || errors.Is(p.err, ErrUnknown) {
			t.Fatalf("%v", p.err)
		}
		s.store.release()
		s.settleAll()
		if got := s.machine.entries(); !kept.over() || kept.err != nil || len(got) != 2 || string(got[1].Data) != "kept" {
			t.Fatalf("C1: one command was refused as withdrawn; %+v; applied %+v", kept, got)
		}
	})
}

// A caller that gives up after its command was appended is told where it is; it
// may yet be applied.
func TestC1ContextEndsWhileAppended(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _ := replicating(t, setup{})
		p := s.propose(within(t, time.Minute), "x")
		time.Sleep(time.Minute)
		synctest.Wait()
		var unknown *UnknownError
		if !p.over() || !errors.As(p.err, &unknown) || unknown.Index != 3 || unknown.Term != 2 || !errors.Is(p.err, context.DeadlineExceeded) {
			t.Fatalf("C1: a command that is in the log ended with %v", p.err)
		}
		next := s.propose(t.Context(), "y")
		s.settleAll()
		if got := s.machine.entries(); len(got) != 2 || !next.over() || next.err != nil || next.result.Number != 2 {
			t.Fatalf("%+v; applied %+v", next, got)
		}
	})
}

// Losing the leadership does not end the wait of what was appended; what is in
// the inbox then is rejected.
func TestStepDownWithProposals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _ := replicating(t, setup{})
		appended := s.propose(t.Context(), "appended")
		s.store.hold()
		s.add(1, 20)
		queued := s.propose(t.Context(), "queued")
		s.handleAppend(heartbeatArgs("n3", 3, 2, 2, 0))
		synctest.Wait()
		var hint *NotLeaderError
		if !queued.over() || !errors.As(queued.err, &hint) || hint.Leader != "n3" || appended.over() {
			t.Fatalf("queued %+v, appended %+v", queued, appended)
		}
		s.store.release()
		s.handleAppend(appendArgs("n3", 3, 4, 2, 4)) // the next leader has it and commits it
		synctest.Wait()
		if !appended.over() || appended.err != nil || appended.result.Index != 3 || appended.result.Term != 2 {
			t.Fatalf("%+v", appended)
		}
	})
}

// A proposal that slips into the inbox just after a step-down is rejected by
// whoever drains it.
func TestInboxOfAFollowerIsRejected(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 5})
		w := s.newWaiter()
		if _, err := s.inbox.put(w, 100); err != nil {
			t.Fatal(err)
		}
		s.intakeWake.Notify()
		if out := <-w.done; !errors.Is(out.err, ErrNotLeader) {
			t.Fatalf("%+v", out)
		}
	})
}

// Where another term was applied at its index a proposal is rejected for good;
// also if this server proposed at that index again, in a term of its own.
func TestC1ProposalSettledByAnotherTerm(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _ := replicating(t, setup{})
		first, second := s.propose(t.Context(), "first"), s.propose(t.Context(), "second") // 3 and 4 of term 2
		s.handleAppend(appendArgs("n3", 3, 2, 2, 0, 3))                                    // takes 3, removes 4
		s.elect()                                                                          // term 4, sentinel at 4
		third := s.propose(t.Context(), "third")                                           // 5
		if first.over() || second.over() {
			t.Fatal("settled before anything was applied")
		}
		s.settleAll()
		for i, p := range []*proposal{first, second} {
			var rejected *RejectedError
			if !p.over() || !errors.As(p.err, &rejected) || rejected.Index != uint64(3+i) || rejected.Term != 2 || rejected.Winner != uint64(3+i) {
				t.Errorf("C1: another term has its index, and proposal %d ended with %+v, %v", i, p, p.err)
			}
		}
		if !third.over() || third.err != nil || third.result.Index != 5 || third.result.Number != 2 {
			t.Errorf("%+v, %v", third, third.err)
		}
	})
}

// A proposal that another leader removed is rejected as soon as anything of a
// later term is applied below it: nothing need ever be applied at its index.
func TestC1ProposalSettledByALaterTermBelow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _ := replicating(t, setup{})
		first, second := s.propose(t.Context(), "first"), s.propose(t.Context(), "second") // 3 and 4 of term 2
		s.handleAppend(appendArgs("n3", 3, 2, 2, 3, 3))                                    // takes 3, removes 4, commits 3
		s.settleAll()
		for i, p := range []*proposal{first, second} {
			var rejected *RejectedError
			if !p.over() || !errors.As(p.err, &rejected) || rejected.Index != uint64(3+i) || rejected.Term != 2 || rejected.Winner != 3 {
				t.Errorf("C1: a later term was applied, and proposal %d ended (%v) with %v", i, p.over(), p.err)
			}
		}
	})
}

// Start takes in first who came before: order of calls is order in the log.
func TestStartDrainsTheInboxFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _ := replicating(t, setup{})
		s.store.hold()
		s.add(1, 20)
		queued := s.propose(t.Context(), "queued")
		ticket, err := s.Start([]byte("started"))
		if err != nil || ticket != (Ticket{Index: 5, Term: 2, Number: 3}) {
			t.Fatalf("%+v, %v", ticket, err)
		}
		s.store.release()
		s.settleAll()
		if got := s.machine.entries(); !queued.over() || queued.result.Index != 4 || string(got[1].Data) != "queued" || string(got[2].Data) != "started" {
			t.Fatalf("%+v; %+v", queued, got)
		}
	})
}

// Numbers are dense over commands, whatever sentinels lie between (NUMBER).
func TestNumbersAreDense(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{})
		for range 4 {
			s.elect()
			s.settleAll()
			s.add(2, 20)
			s.settleAll()
			s.handleAppend(heartbeatArgs("n3", s.Status().Term+1, 0, 0, 0))
		}
		for i, e := range s.machine.entries() {
			if e.Number != uint64(i)+1 || e.Kind != EntryCommand {
				t.Fatalf("entry %d is %+v", i, e)
			}
		}
		if got := len(s.machine.entries()); got != 8 {
			t.Fatalf("%d applied", got)
		}
	})
}

// A big inbox is taken in by batches of a bounded size, each one stage.
func TestIntakeBatches(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _ := replicating(t, setup{})
		s.store.hold()
		s.add(1, 20)
		before := s.store.staged()
		var proposals []*proposal
		for i := range 5 {
			proposals = append(proposals, s.propose(t.Context(), strings.Repeat(fmt.Sprint(i), 400_000)))
		}
		s.store.release()
		s.settleAll()
		if got := s.store.staged() - before; got != 3 { // 2 + 2 + 1 commands of 400 kB
			t.Errorf("%d stages", got)
		}
		for i, p := range proposals {
			if !p.over() || p.err != nil || p.result.Number != uint64(i)+2 {
				t.Errorf("%d: %+v", i, p)
			}
		}
	})
}
