package raft

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Bugs that other Rafts had between replication and the disk.

// R4 (camunda, pull request 30354): commitIndex was beyond what a failed flush had
// made durable, and the follower acknowledged by it. It may be ahead; a promise may
// not. Nothing but the failure comes of this flush, so nothing may be answered.
func TestR4NoAnswerWithoutTheFlush(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 5})
		s.store.hold()
		var answers tally[string]
		ask := func(args *AppendEntriesArgs) {
			go func() {
				if reply, err := s.HandleAppendEntries(args, nil); err == nil {
					answers.add(fmt.Sprintf("%+v", *reply))
				}
			}()
			synctest.Wait()
		}
		ask(appendArgs("n2", 5, 1, 1, 2, 5)) // its entry is committed
		ask(appendArgs("n2", 5, 1, 1, 2, 5)) // a duplicate, which stages nothing
		ask(appendArgs("n2", 5, 2, 5, 2))    // nor does this
		if got := answers.all(); len(got) > 0 || s.Status().CommitIndex != 2 {
			t.Errorf("R4: answered %v before index 2 was durable; commitIndex is %d", got, s.Status().CommitIndex)
		}
		s.store.fail(errors.New("no"))
		s.store.release()
		synctest.Wait()
		if got := answers.all(); len(got) > 0 {
			t.Errorf("R4: answered %v although the flush failed", got)
		}
		s.broken(ErrStorage)
	})
}

// R4: what is staged while a flush is under way is made durable by the next one.
func TestR4FlushCoversWhatWasStagedBeforeIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 5})
		var agreed tally[uint64]
		ask := func(prev, prevTerm uint64) {
			go func() {
				if reply, err := s.HandleAppendEntries(appendArgs("n2", 5, prev, prevTerm, 0, 5), nil); err == nil && reply.Refusal == Agreed {
					agreed.add(prev + 1)
				}
			}()
			synctest.Wait()
		}
		s.store.hold()
		ask(1, 1) // in the flush that hangs
		first := s.nextFlush()
		ask(2, 5) // in the next one
		close(first)
		synctest.Wait()
		if got := agreed.all(); !slices.Equal(got, []uint64{2}) {
			t.Errorf("R4: the first flush ended and index 3 is in the second: acknowledged %v", got)
		}
		s.store.release()
		synctest.Wait()
		if got := agreed.all(); !slices.Equal(got, []uint64{2, 3}) {
			t.Errorf("R4: in the end acknowledged %v", got)
		}
	})
}

// nextFlush has the flushes after the held one wait for a gate of their own, and
// returns the gate of the held one.
func (s *script) nextFlush() chan struct{} {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	held := s.store.gate
	s.store.gate = make(chan struct{})
	return held
}

// hinted is a store that recovers a commit hint beyond its log: the frame that
// held the hint survived, the entries it spoke of did not.
type hinted struct{ *heldStore }

func (h hinted) Recover() (Recovered, error) {
	r, err := h.heldStore.Recover()
	r.CommitIndex = 9
	return r, err
}

func TestR4CommitHintBeyondTheLog(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{log: []uint64{2, 2}, config: func(c *Config) { c.Store = hinted{c.Store.(*heldStore)} }})
		if got := s.Status(); got.CommitIndex != 3 || got.LastApplied != 3 || s.Err() != nil {
			t.Errorf("R4: recovered commitIndex %d, lastApplied %d with a log that ends at 3; ended with %v", got.CommitIndex, got.LastApplied, s.Err())
		}
	})
}

// R9 (canonical/raft#320): a leader whose own disk failed took back what it had
// appended, and used the indexes again in the same term, for other commands, while
// the first ones were on followers.
func TestR9IndexIsNotUsedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _ := replicating(t, setup{config: func(c *Config) { c.CheckInvariants = false }}) // they would see it too
		s.store.fail(errors.New("no"))
		_, first := s.Start([]byte("first"))
		synctest.Wait()
		s.store.fail(nil) // the disk works again
		_, second := s.Start([]byte("second"))
		if first != nil || !errors.Is(second, ErrStopped) {
			t.Errorf("R9: after the failure of its flush the leader answers a proposal with %v", second)
		}
		time.Sleep(10 * s.config.Heartbeat)
		synctest.Wait()
		sent := map[uint64]string{}
		for _, call := range s.wire.takeAppends("n2", false) {
			entries, err := call.args.Batch.Entries(call.args.PrevLogIndex + 1)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				if was, ok := sent[e.Index]; ok && was != string(e.Data) {
					t.Errorf("R9: index %d of term %d was sent as %q and as %q", e.Index, e.Term, was, e.Data)
				}
				sent[e.Index] = string(e.Data)
			}
		}
	})
}

// forgetful is a disk that loses what a failed flush was to write, and whose next
// flush succeeds all the same, as those of real kernels do.
type forgetful struct {
	*heldStore
	failed  atomic.Bool
	flushes atomic.Int32 // after the failure
}

func (f *forgetful) Flush() (Position, error) {
	if f.failed.Load() {
		f.flushes.Add(1)
		return f.heldStore.Flush()
	}
	f.heldStore.mu.Lock()
	failure := f.failure
	f.failure = nil
	f.heldStore.mu.Unlock()
	if failure != nil {
		f.failed.Store(true)
		return 0, failure
	}
	return f.heldStore.Flush()
}

func TestR9FailedFlushIsNotTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		disk := &forgetful{}
		s, _ := replicating(t, setup{config: func(c *Config) {
			disk.heldStore = c.Store.(*heldStore)
			c.Store = disk
		}})
		s.store.fail(errors.New("no"))
		_, _ = s.Start([]byte("x"))
		synctest.Wait()
		if n := disk.flushes.Load(); n > 0 || !errors.Is(s.Err(), ErrStorage) {
			t.Errorf("R9: after its flush failed the server flushed %d times more, and ended with %v", n, s.Err())
		}
	})
}

// R11 (hashicorp/raft#612): replication to one follower stopped for good, while
// its heartbeats flowed and everything looked well. Here the disk of one hangs for
// 30 s under load; once it works the follower must have everything, and the leader
// must still be the same.
func TestR11StalledFollowerCatchesUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, stores := clusterOnHeldStores(t)
		leader := c.leader()
		slow := ServerID("n1")
		if leader.config.ID == slow {
			slow = "n2"
		}
		term := leader.Status().Term
		propose := func(n int) {
			for range n {
				if _, err := leader.Propose(within(t, time.Second), make([]byte, 100)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(150 * time.Millisecond)
			}
		}
		propose(10)
		stores[slow].hold()
		propose(200)
		stores[slow].release()
		time.Sleep(10 * time.Second)
		if got := len(c.machines[slow].entries()); got != 210 {
			t.Errorf("R11: heartbeats flow, and 10 s after its disk came back the follower has %d of 210 commands", got)
		}
		if got := leader.Status(); got.Role != Leader || got.Term != term {
			t.Errorf("R11: the leader of term %d is %v in term %d", term, got.Role, got.Term)
		}
	})
}

// clusterOnHeldStores is newCluster, of three, on stores that can be held.
func clusterOnHeldStores(t *testing.T) (*cluster, map[ServerID]*heldStore) {
	t.Helper()
	c := &cluster{t, newNetwork(), map[ServerID]*Raft{}, map[ServerID]*recorder{}}
	t.Cleanup(c.net.inFlight.Wait)
	stores := map[ServerID]*heldStore{}
	for id := range serverIDs(3) {
		stores[id] = &heldStore{MemoryPersister: NewMemoryPersister(nil)}
		if _, err := Bootstrap(stores[id], "test", id, NewConfiguration(serverIDs(3))); err != nil {
			t.Fatal(err)
		}
		c.machines[id] = &recorder{}
		rf, err := New(Config{
			ID: id, Store: stores[id], Transport: endpoint{c.net, id}, StateMachine: c.machines[id],
			Logger: slog.New(slog.DiscardHandler), CheckInvariants: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		c.servers[id] = rf
		t.Cleanup(func() { stop(t, rf) })
	}
	return c, stores
}

// R13 (etcd, pull request 10167): a leader without a quorum took in proposals
// until its memory was full.
func TestR13LogWithoutAQuorumIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const limit = 10_000
		s, _ := replicating(t, setup{config: func(c *Config) { c.MaxUncommittedBytes = limit }})
		refused := 0
		for range 600 { // ten minutes of proposals; nobody answers
			if _, err := s.Start(make([]byte, 100)); errors.Is(err, ErrOverloaded) {
				refused++
			}
			time.Sleep(time.Second)
		}
		var used uint64
		s.mutate(func() { used = s.log.bytesBetween(s.commitIndex, s.log.lastIndex()) })
		if used > limit || refused == 0 {
			t.Errorf("R13: without a quorum %d bytes are in the log, the limit is %d; %d of 600 proposals were refused", used, limit, refused)
		}
		s.settleAll()
		if _, err := s.Start(make([]byte, 100)); err != nil {
			t.Errorf("R13: everything is committed, and the budget is not free again: %v", err)
		}
	})
}

// R13, across terms (etcd-io/raft#11): each term of a leader began with an empty
// account, whatever was in its log.
func TestR13BudgetHoldsAcrossTerms(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const limit = 1000
		s := begin(t, setup{config: func(c *Config) { c.MaxUncommittedBytes = limit }})
		for range 10 {
			s.elect() // nobody answers it
			for err := error(nil); err == nil; {
				_, err = s.Start(make([]byte, 100))
			}
			s.handleAppend(heartbeatArgs("n3", s.Status().Term+1, 0, 0, 0))
		}
		var used uint64
		s.mutate(func() { used = s.log.bytesBetween(s.commitIndex, s.log.lastIndex()) })
		if most := uint64(limit + 10*entryHeaderSize); used > most { // sentinels are exempt
			t.Errorf("R13: after ten terms without a commit %d bytes are in the log, the limit is %d and the sentinels", used, limit)
		}
	})
}
