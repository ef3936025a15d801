package raft

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// Servers that are slow, stalled or behind must not hold up the others, nor pile
// up what waits for them.

// A follower whose answers take longer than a probe is waited for is repaired all
// the same: its answer counts when it comes.
func TestConflictOfAProbeGivenUpCounts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _ := led(t, setup{log: []uint64{2, 2, 2, 2}, commit: 3}) // the heartbeat is 1 s
		first := s.expect("elected", "5+1")[0]
		time.Sleep(2 * time.Second)
		s.expect("given up for another, from the commit point", "3+3")
		s.conflict(first, 0, 3)
		s.expect("where the first one's answer says", "2+4")
	})
}

// Once another probe was agreed to, what becomes of one given up before says
// nothing: the window that is open now stays.
func TestLossOfAProbeGivenUpKeepsTheWindow(t *testing.T) {
	for name, late := range map[string]func(*script, *wireCall){
		"lost":    func(_ *script, call *wireCall) { call.done(nil, errLost) },
		"refused": func(s *script, call *wireCall) { s.conflict(call, 0, 3) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s, p := led(t, setup{log: []uint64{2, 2, 2, 2}, commit: 3})
				first := s.expect("elected", "5+1")[0]
				time.Sleep(2 * time.Second)
				s.agree(s.expect("given up for another", "3+3")[0])
				s.expect("the commit point", "6+0")
				s.add(1, 20)
				s.expect("replicating", "6+1")
				late(s, first)
				synctest.Wait()
				s.expect("nothing more")
				s.wantState(p, "replicate 6<8")
			})
		})
	}
}

// A conflict at what matched already is answered by a message after a pause, not
// at once: the follower may have lost it for good.
func TestConflictAtTheMatchBacksOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _ := replicating(t, setup{})
		s.add(1, 20)
		s.conflict(s.expect("replicating", "2+1")[0], 0, 2)
		s.expect("nothing at once")
		time.Sleep(minBackoff)
		s.expect("after a pause", "2+1")
	})
}

// Requests that wait for a flush that does not come back end without an answer;
// they do not pile up, each with its entries.
func TestPromisesBehindAStalledDiskEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 5, config: func(c *Config) { c.ElectionTimeoutMin, c.ElectionTimeoutMax = 5*time.Second, 10*time.Second }})
		s.store.hold()
		ended := make(chan error, 1)
		go func() {
			_, err := s.HandleAppendEntries(appendArgs("n2", 5, 1, 1, 1, 5), nil)
			ended <- err
		}()
		time.Sleep(s.config.ElectionTimeoutMax / 2)
		synctest.Wait()
		if len(ended) != 0 {
			t.Fatal("it ended before the flush was overdue")
		}
		time.Sleep(s.config.ElectionTimeoutMax)
		if err := <-ended; !errors.Is(err, errStalled) {
			t.Fatalf("ended with %v", err)
		}
		s.store.release()
	})
}

// Replaying what was recovered does not make a follower busy, and the sentinel of
// a new leader is never refused: else a cluster that restarts would wait for its
// slowest state machine before it has a leader that can commit.
func TestReplayDoesNotRefuse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		terms := make([]uint64, 200)
		for i := range terms {
			terms[i] = 5
		}
		release := make(chan struct{})
		s := begin(t, setup{term: 5, log: terms, commit: 201, config: func(c *Config) {
			limited(c)
			c.StateMachine.(*recorder).before = func([]Entry) { <-release }
		}})
		defer close(release)
		synctest.Wait()
		if reply := s.handleAppend(appendArgs("n2", 5, 201, 5, 201, 5, 5, 5)); reply.Refusal != Agreed {
			t.Fatalf("commands after a long recovered log: %+v", reply)
		}
		// Now known committed and not applied: over the budget.
		big := bulk(204, 5, 204, 2*budget)
		if reply := s.handleAppend(big); reply.Refusal != Agreed && reply.Refusal != RefusedBusy {
			t.Fatalf("%+v", reply)
		}
		s.handleAppend(heartbeatArgs("n2", 5, s.Status().LastLogIndex, 5, s.Status().LastLogIndex))
		sentinel := appendArgs("n3", 6, s.Status().LastLogIndex, 5, 0)
		sentinel.Batch = NewBatch(AppendEntry(nil, EntrySentinel, 6, nil), 1)
		if reply := s.handleAppend(sentinel); reply.Refusal != Agreed {
			t.Fatalf("a sentinel: %+v", reply)
		}
	})
}

// lookingHandler asks the server for its status from within the logger.
type lookingHandler struct {
	slog.Handler
	look func()
}

func (h lookingHandler) Handle(context.Context, slog.Record) error {
	h.look()
	return nil
}

func (h lookingHandler) Enabled(context.Context, slog.Level) bool { return true }

func TestLoggerMayCallTheServer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var rf *Raft
		lines := 0
		s := begin(t, setup{config: func(c *Config) {
			c.Logger = slog.New(lookingHandler{Handler: slog.DiscardHandler, look: func() {
				lines++
				_ = rf.Status()
			}})
		}})
		rf = s.Raft
		s.elect()
		if lines == 0 {
			t.Fatal("an election is not logged")
		}
	})
}

// narrow is a transport that says how much it can carry.
type narrow struct {
	Transport
	most int
}

func (n narrow) LargestBatch() int { return n.most }

// S6: what is accepted can be sent.
func TestCommandsFitTheTransport(t *testing.T) {
	for most, ok := range map[int]bool{1<<20 + entryHeaderSize: true, 1<<20 + entryHeaderSize - 1: false} {
		config := Config{
			ID: "n1", Store: NewMemoryPersister(nil), Transport: narrow{most: most}, StateMachine: &recorder{},
			MaxCommandBytes: 1 << 20,
		}
		if err := config.complete(); (err == nil) != ok || err != nil && !errors.Is(err, ErrConfig) {
			t.Errorf("commands of 1 MiB over batches of %d bytes: %v", most, err)
		}
	}
}

// A store that is used again after a stop without a crash has forgotten what the
// last owner staged and never flushed.
func TestMemoryPersisterUsedAgain(t *testing.T) {
	store := NewMemoryPersister(nil)
	if err := bootstrap(store, NewConfiguration(serverIDs(3))); err != nil {
		t.Fatal(err)
	}
	store.Stage(Stage{HardState: &HardState{Term: 2}, FirstIndex: 2, Batch: commands(2, 2, 2)})
	store.Stage(Stage{CommitIndex: 3})
	if _, err := store.Recover(); err != nil {
		t.Fatal(err)
	}
	store.Stage(Stage{HardState: &HardState{Term: 3}, FirstIndex: 2, Batch: commands(2, 3)})
	position, err := store.Flush()
	recovered, _ := store.Recover()
	if err != nil || recovered.HardState.Term != 3 || recovered.CommitIndex != 1 || position != 2 {
		t.Fatalf("position %d, %v, %+v", position, err, recovered)
	}
}
