package raft

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lockstep.example/raft/internal/lock"
)

// panicsPassOn skips what the build tag raftdebug changes: there a panic is not
// caught, so that it is seen where it happens.
func panicsPassOn(t *testing.T) {
	t.Helper()
	if lock.Debug {
		t.Skip("under raftdebug a panic ends the process")
	}
}

func TestPanicOfTheStateMachineStopsTheServer(t *testing.T) {
	panicsPassOn(t)
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 5})
		s.machine.before = func([]Entry) { panic("the application is broken") }
		events, _ := s.Observe(16)
		_, _ = s.HandleAppendEntries(appendArgs("n2", 5, 1, 1, 2, 5), nil)
		err := s.broken(ErrPanic)
		var panicked *PanicError
		if !errors.As(err, &panicked) || panicked.Where != "apply" || panicked.Value != "the application is broken" || !strings.Contains(string(panicked.Stack), "Apply") {
			t.Errorf("%+v", panicked)
		}
		if got := s.Status(); got.LastApplied != 1 {
			t.Errorf("lastApplied is %d: the batch counts as applied", got.LastApplied)
		}
		if why := s.Why(); !strings.HasPrefix(why, "stopped: panic in apply: the application is broken") || strings.Contains(why, "\n") {
			t.Errorf("why: %q", why)
		}
		if health := s.Health(); health.Live || health.Ready || health.Reason == "" {
			t.Errorf("%+v", health)
		}
		var last Event
		for e := range events { // closed at the end
			last = e
		}
		if fatal, ok := last.(Fatal); !ok || !errors.Is(fatal.Err, ErrPanic) {
			t.Errorf("the last event is %+v", last)
		}
	})
}

// panicStore panics at a stage; the lock must be free, the turn over and the
// server stopped after it.
type panicStore struct {
	Persister
	armed atomic.Bool
}

func (p *panicStore) Stage(s Stage) Position {
	if p.armed.Load() {
		panic("the store is broken")
	}
	return p.Persister.Stage(s)
}

func TestPanicInAHandler(t *testing.T) {
	panicsPassOn(t)
	bubble(t, func(t *testing.T) {
		broken := &panicStore{}
		s := begin(t, setup{term: 5, config: func(c *Config) {
			broken.Persister, c.Store = c.Store, broken
			c.CheckInvariants = false // a step cut short by a panic leaves its state half changed
		}})
		broken.armed.Store(true)
		line, _ := turns(2)
		if _, err := s.HandleAppendEntries(appendArgs("n2", 5, 1, 1, 0, 5), line[0]); !errors.Is(err, ErrStopped) {
			t.Errorf("answered with %v", err)
		}
		if !line[0].over() {
			t.Error("the turn goes on")
		}
		if err := s.broken(ErrPanic); !strings.Contains(err.Error(), "panic in append") {
			t.Error(err)
		}
		if !s.mu.TryLock() {
			t.Fatal("the lock is still held")
		}
		s.mu.Unlock()
	})
}

func TestFailedFlushStopsTheServer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{})
		s.elect()
		s.store.fail(errors.New("disk on fire"))
		_, err := s.Propose(t.Context(), []byte("x"))
		if !errors.Is(err, ErrUnknown) {
			t.Errorf("proposed: %v", err)
		}
		var storage *StorageError
		if err := s.broken(ErrStorage); !errors.As(err, &storage) || storage.Op != "flush" || !strings.Contains(err.Error(), "disk on fire") {
			t.Error(err)
		}
		if _, err := s.Start([]byte("y")); !errors.Is(err, ErrStopped) {
			t.Errorf("R9: the index is used again: %v", err)
		}
	})
}

// A store that claims less than what was staged before the flush breaks its
// contract: nothing may be promised on it.
func TestFlushThatReturnsTooLittleIsABreach(t *testing.T) {
	bubble(t, func(t *testing.T) {
		short := &shortStore{}
		s := begin(t, setup{config: func(c *Config) { short.Persister, c.Store = c.Store, short }})
		if reply, err := s.HandleRequestVote(voteArgs("n2", 5, 1, 1)); err == nil {
			t.Errorf("answered %+v", reply)
		}
		s.breach("DURABLE")
	})
}

type shortStore struct{ Persister }

func (s *shortStore) Flush() (Position, error) {
	p, err := s.Persister.Flush()
	return p - 1, err
}

// Once Done is closed nobody calls the store or the state machine, whatever is
// asked of the server.
func TestNothingHappensAfterDone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{})
		tenure := s.elect()
		calls := s.wire.takeAppends("n2", false)
		stop(t, s.Raft)
		store, applied := s.store.calls, len(s.machine.entries())
		for name, ask := range map[string]func() error{
			"vote":       func() error { _, err := s.HandleRequestVote(voteArgs("n2", 9, 9, 9)); return err },
			"append":     func() error { _, err := s.HandleAppendEntries(appendArgs("n2", 9, 1, 1, 0, 9), nil); return err },
			"heartbeat":  func() error { _, err := s.HandleAppendEntries(heartbeatArgs("n2", 9, 0, 0, 0), nil); return err },
			"read":       func() error { _, err := s.HandleReadIndex(&ReadIndexArgs{Header: header("n2", 2)}); return err },
			"propose":    func() error { _, err := s.Propose(t.Context(), nil); return err },
			"start":      func() error { _, err := s.Start(nil); return err },
			"read index": func() error { _, err := s.ReadIndex(t.Context()); return err },
		} {
			if err := ask(); !errors.Is(err, ErrStopped) {
				t.Errorf("%s: %v", name, err)
			}
		}
		s.Down("n2", DownClosed)
		for _, call := range calls {
			s.agree(call)
		}
		for _, p := range tenure.followers {
			p.wake.Notify()
		}
		time.Sleep(time.Minute)
		if s.store.calls != store || len(s.machine.entries()) != applied || len(s.wire.takeAppends("n2", false)) != 0 {
			t.Error("the server went on after Done")
		}
		if err := s.Stop(t.Context()); err != nil || s.Err() != nil {
			t.Errorf("stopped twice: %v, %v", err, s.Err())
		}
		if why := s.Why(); why != "stopped on request" {
			t.Errorf("why: %q", why)
		}
	})
}

func TestStopSaysWhatItWaitsFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 5})
		gate := make(chan struct{})
		s.machine.before = func([]Entry) { <-gate }
		s.handleAppend(appendArgs("n2", 5, 1, 1, 2, 5))
		synctest.Wait()
		err := s.Stop(within(t, time.Second))
		if !errors.Is(err, context.DeadlineExceeded) || err.Error() != "stop still waits for 1 apply: context deadline exceeded" {
			t.Errorf("%v", err)
		}
		select {
		case <-s.Done():
			t.Fatal("done while Apply runs")
		default:
		}
		close(gate)
		synctest.Wait()
		<-s.Done()
	})
}

// Stop answers everyone who waits: proposals as unknown, reads and handlers as
// stopped.
func TestStopReleasesEveryone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{})
		s.elect()
		s.store.hold()
		ended := make(chan error, 3)
		go func() { _, err := s.Propose(t.Context(), []byte("x")); ended <- err }()
		go func() { _, err := s.ReadIndex(t.Context()); ended <- err }()
		synctest.Wait()
		go s.Stop(context.Background())
		synctest.Wait()
		unknown, gone := 0, 0
		for range 2 {
			switch err := <-ended; {
			case errors.Is(err, ErrUnknown) && !errors.Is(err, ErrStopped):
				unknown++
			case errors.Is(err, ErrStopped):
				gone++
			}
		}
		if unknown != 1 || gone != 1 {
			t.Errorf("%d unknown, %d stopped", unknown, gone)
		}
	})
}

func TestFirstCauseStays(t *testing.T) {
	ended := 0
	g := newGuard(func() { ended++ })
	if !g.enter("one") || !g.enter("two") {
		t.Fatal("refused before the stop")
	}
	first := errors.New("first")
	g.fail(first)
	g.fail(errors.New("second"))
	if g.err() != first || g.enter("three") || g.start("four", func() {}) || g.run("five", func() {}) {
		t.Fatalf("cause %v; someone entered after the stop", g.err())
	}
	g.leave("one")
	if ended != 0 {
		t.Fatal("ended while one runs")
	}
	g.leave("two")
	<-g.done
	if ended != 1 {
		t.Fatalf("ended %d times", ended)
	}
}
