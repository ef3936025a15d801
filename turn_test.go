package raft

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// turn is one place in the order of a connection.
type turn struct {
	mine   chan struct{} // closed when it is this turn
	closed chan struct{} // closed with the connection
	next   *turn
	ended  sync.Once
	onEnd  func()
}

func (t *turn) Wait() bool {
	select {
	case <-t.mine:
		return true
	case <-t.closed:
		return false
	}
}

func (t *turn) End() {
	t.ended.Do(func() {
		if t.onEnd != nil {
			t.onEnd()
		}
		if t.next != nil {
			close(t.next.mine)
		}
	})
}

// turns makes n places of one connection, the first of which may go.
func turns(n int) ([]*turn, chan struct{}) {
	closed := make(chan struct{})
	list := make([]*turn, n)
	for i := n - 1; i >= 0; i-- {
		list[i] = &turn{mine: make(chan struct{}), closed: closed}
		if i < n-1 {
			list[i].next = list[i+1]
		}
	}
	close(list[0].mine)
	return list, closed
}

func (t *turn) over() (ended bool) {
	ended = true
	t.ended.Do(func() { ended = false })
	return ended
}

// Requests are handled in the order of their turns, whatever the order in which
// their goroutines run, and each lets the next go before it waits for the flush.
func TestTurnsKeepTheOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 5})
		s.store.hold()
		line, _ := turns(10)
		var agreed tally[int]
		for i := len(line) - 1; i >= 0; i-- { // backwards
			prevTerm := uint64(5)
			if i == 0 {
				prevTerm = 1
			}
			go func() {
				reply, err := s.HandleAppendEntries(appendArgs("n2", 5, uint64(i)+1, prevTerm, 0, 5), line[i])
				if err != nil || reply.Refusal != Agreed {
					t.Errorf("turn %d: %+v, %v", i, reply, err)
				}
				agreed.add(i)
			}()
			synctest.Wait()
		}
		if got, spoken := len(s.terms()), agreed.all(); got != 10 || len(spoken) != 0 {
			t.Fatalf("%d of 10 appended, %v answered before the flush", got, spoken)
		}
		s.store.release()
		synctest.Wait()
		if spoken := agreed.all(); len(spoken) != 10 {
			t.Fatalf("%d of 10 answered", len(spoken))
		}
	})
}

func TestTurnEndsOnEveryWayOut(t *testing.T) {
	corrupt := appendArgs("n2", 5, 1, 1, 0, 5)
	corrupt.Batch.CRC++
	misdirected := appendArgs("n2", 5, 1, 1, 0, 5)
	misdirected.To = "n2"
	for name, args := range map[string]*AppendEntriesArgs{
		"agreed": appendArgs("n2", 5, 1, 1, 0, 5), "conflict": appendArgs("n2", 5, 9, 5, 0, 5), "stale": appendArgs("n2", 4, 1, 1, 0, 4),
		"malformed": corrupt, "misdirected": misdirected,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := begin(t, setup{term: 5})
				line, _ := turns(2)
				_, _ = s.HandleAppendEntries(args, line[0])
				if !line[0].over() {
					t.Error("the turn goes on")
				}
			})
		})
	}
}

func TestTurnEndsWhenTheServerStops(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 5})
		stop(t, s.Raft)
		line, _ := turns(2)
		if _, err := s.HandleAppendEntries(appendArgs("n2", 5, 1, 1, 0, 5), line[0]); !errors.Is(err, ErrStopped) {
			t.Errorf("a stopped server: %v", err)
		}
		if !line[0].over() {
			t.Error("the turn goes on")
		}
	})
}

func TestTurnOfAClosedConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 5})
		line, closed := turns(2)
		var err error
		go func() { _, err = s.HandleAppendEntries(appendArgs("n2", 5, 1, 1, 0, 5), line[1]) }()
		synctest.Wait()
		if len(s.terms()) != 0 {
			t.Fatal("handled out of turn")
		}
		close(closed)
		synctest.Wait()
		if err == nil || len(s.terms()) != 0 || !line[1].over() {
			t.Fatalf("answered %v; log %v; turn over: %v", err, s.terms(), line[1].over())
		}
	})
}

// The turn ends with Raft.mu released: the next request is not let into a lock
// that is still held.
func TestTurnEndsAfterTheLockIsReleased(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 5})
		line, _ := turns(1)
		free := false
		line[0].onEnd = func() {
			// A daemon may hold it for a moment; the handler would for ever.
			for range 1_000_000 {
				if free = s.mu.TryLock(); free {
					s.mu.Unlock()
					return
				}
				runtime.Gosched()
			}
		}
		if _, err := s.HandleAppendEntries(appendArgs("n2", 5, 1, 1, 0, 5), line[0]); err != nil || !free {
			t.Errorf("%v; the lock is free at the end of the turn: %v", err, free)
		}
	})
}

// early sends a request with the given prev and tells how it was answered.
func (s *script) early(prev uint64, out *tally[string]) {
	go func() {
		reply, err := s.HandleAppendEntries(appendArgs("n2", 5, prev, 5, 0, 5), nil)
		if err != nil {
			reply = &AppendEntriesReply{Refusal: 99}
		}
		out.add(fmt.Sprint(prev, ":", reply.Refusal))
	}()
	synctest.Wait()
}

// TestEarlyRequestWaits: without turns, a request that comes before its
// predecessor waits for it, at most half a heartbeat.
func TestEarlyRequestWaits(t *testing.T) {
	begun := func(t *testing.T) *script {
		s := begin(t, setup{term: 5})
		s.handleAppend(heartbeatArgs("n2", 5, 0, 0, 0))
		return s
	}
	run := func(name string, f func(*testing.T, *script)) {
		t.Run(name, func(t *testing.T) { bubble(t, func(t *testing.T) { f(t, begun(t)) }) })
	}
	run("until the log reaches it", func(t *testing.T, s *script) {
		var answers tally[string]
		s.early(3, &answers)
		s.early(2, &answers)
		time.Sleep(s.config.Heartbeat/2 - 1)
		if out := answers.all(); len(out) != 0 {
			t.Fatalf("answered %v", out)
		}
		s.handleAppend(appendArgs("n2", 5, 1, 1, 0, 5))
		synctest.Wait()
		out := answers.all()
		if slices.Sort(out); !slices.Equal(out, []string{"2:0", "3:0"}) || len(s.terms()) != 3 {
			t.Fatalf("answered %v; log %v", out, s.terms())
		}
	})
	run("half a heartbeat", func(t *testing.T, s *script) {
		var answers tally[string]
		s.early(2, &answers)
		time.Sleep(s.config.Heartbeat / 2)
		synctest.Wait()
		if out := answers.all(); !slices.Equal(out, []string{fmt.Sprint("2:", RefusedConflict)}) {
			t.Fatalf("answered %v", out)
		}
	})
	run("until the term moves", func(t *testing.T, s *script) {
		var answers tally[string]
		s.early(2, &answers)
		s.handleAppend(heartbeatArgs("n3", 6, 0, 0, 0))
		synctest.Wait()
		if out := answers.all(); !slices.Equal(out, []string{fmt.Sprint("2:", RefusedStaleTerm)}) {
			t.Fatalf("answered %v", out)
		}
	})
	run("until the server stops", func(t *testing.T, s *script) {
		var answers tally[string]
		s.early(2, &answers)
		began := time.Now()
		stop(t, s.Raft)
		synctest.Wait()
		if out := answers.all(); !slices.Equal(out, []string{"2:99"}) || time.Since(began) > 0 {
			t.Fatalf("answered %v after %v", out, time.Since(began))
		}
	})
	run("a bounded few", func(t *testing.T, s *script) {
		var answers tally[string]
		for range maxEarly + 3 {
			s.early(2, &answers)
		}
		if out := answers.all(); len(out) != 3 {
			t.Fatalf("%d of %d are refused at once", len(out), maxEarly+3)
		}
	})
	run("not a heartbeat", func(t *testing.T, s *script) {
		began := time.Now()
		if reply := s.handleAppend(heartbeatArgs("n2", 5, 9, 5, 0)); reply.Refusal != RefusedConflict || time.Since(began) > 0 {
			t.Fatalf("%+v after %v", reply, time.Since(began))
		}
	})
}
