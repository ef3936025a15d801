package kv

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lockstep.example/raft"
	"lockstep.example/raft/session"
)

// Bugs that other systems had between client and log, each with the public report
// of it. A test is named for the number that the mutants of tests/mutants know the
// bug by.

// interceptor is a network on which after decides about each answer, once the
// request was served: what it returns takes the place of nil.
type interceptor struct {
	*fakeCluster
	mu    sync.Mutex
	calls int
	after func(call int) error
}

func (n *interceptor) Call(ctx context.Context, address, method string, args, reply any) error {
	n.mu.Lock()
	n.calls++
	call := n.calls
	n.mu.Unlock()
	if err := n.fakeCluster.Call(ctx, address, method, args, reply); err != nil {
		return err
	}
	return n.after(call)
}

var errReset = fakeError{"connection reset", false}

// intercepted runs f with a clerk that has a session open already; the calls that
// after sees begin with 1.
func intercepted(t *testing.T, limits session.Limits, f func(t *testing.T, n *interceptor, clerk *Clerk)) {
	t.Helper()
	bubble(t, 3, limits, func(t *testing.T, c *fakeCluster, _ *Clerk) {
		n := &interceptor{fakeCluster: c, after: func(int) error { return nil }}
		clerk, err := NewClerk(ClerkConfig{Servers: c.addresses(), Caller: n, Rand: func() uint64 { return 0 }})
		if err != nil {
			t.Fatal(err)
		}
		defer clerk.Close()
		if _, err := clerk.Put(t.Context(), []byte("before"), nil); err != nil {
			t.Fatal(err)
		}
		n.calls = 0
		f(t, n, clerk)
	})
}

func holds(t *testing.T, clerk *Clerk, key string) string {
	t.Helper()
	r, err := clerk.Get(t.Context(), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return string(r.Value)
}

// C1 (jetcd 0.8.2, found by Jepsen): the client library sent commands again that
// may have been executed, and they were, twice. Here the leader executes an append
// and the answer is lost; at the second time the leader is another one besides.
func TestC1RetryKeepsItsNumber(t *testing.T) {
	intercepted(t, session.DefaultLimits(), func(t *testing.T, n *interceptor, clerk *Clerk) {
		n.after = func(call int) error {
			if call > 2 {
				return nil
			}
			n.lead(call % 3)
			return errReset
		}
		_, err := clerk.Append(t.Context(), []byte("k"), []byte("x"))
		if got := holds(t, clerk, "k"); err != nil || got != "x" {
			t.Errorf("C1: one append whose answer was lost twice left %q, %v", got, err)
		}
	})
}

// C1: commands that share a number are taken for one, and the others are lost.
func TestC1EachCommandHasItsNumber(t *testing.T) {
	intercepted(t, session.DefaultLimits(), func(t *testing.T, _ *interceptor, clerk *Clerk) {
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				if _, err := clerk.Append(t.Context(), []byte("k"), fmt.Append(nil, i)); err != nil {
					t.Errorf("C1: append %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		got := holds(t, clerk, "k")
		for i := range 4 {
			if n := strings.Count(got, fmt.Sprint(i)); n != 1 {
				t.Errorf("C1: append %d is acknowledged and there %d times: %q", i, n, got)
			}
		}
	})
}

// C1: the append was executed, its answer lost, and the session evicted before it
// is sent again. In a new session it would be executed again.
func TestC1LostSessionIsNotRetried(t *testing.T) {
	limits := session.DefaultLimits()
	limits.Sessions = 1
	intercepted(t, limits, func(t *testing.T, n *interceptor, clerk *Clerk) {
		n.after = func(call int) error {
			if call > 1 {
				return nil
			}
			other := newTestClerk(t, n.fakeCluster, 2)
			defer other.Close()
			if _, err := other.Put(t.Context(), []byte("other"), nil); err != nil {
				t.Error(err)
			}
			return errReset
		}
		_, err := clerk.Append(t.Context(), []byte("k"), []byte("x"))
		if got := holds(t, clerk, "k"); !errors.Is(err, ErrSession) || !errors.Is(err, ErrUnknown) || got != "x" {
			t.Errorf("C1: an append whose session was evicted left %q, and ended with %v", got, err)
		}
	})
}

// C1: what may have happened must not be told as refused, for then the caller sends
// it again, in a new command. The answer to the first attempt is lost; those after
// it are refused in one way or another until the time is up.
func TestC1UnknownStaysUnknown(t *testing.T) {
	for _, c := range []struct {
		name  string
		first faults
		then  func(*interceptor)
	}{
		{"connection refused", faults{}, func(n *interceptor) { n.set(func() { n.faults = faults{refuse: 100} }) }},
		{"no leader", faults{}, func(n *interceptor) { n.lead(-1) }},
		{"rejected", faults{unknownUndone: 100}, func(n *interceptor) { n.set(func() { n.faults = faults{rejected: 100} }) }},
		{"invalid", faults{}, func(n *interceptor) {
			for i, s := range n.servers {
				s.Attach(strict{&fakeRaft{n.fakeCluster, i}})
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			intercepted(t, session.DefaultLimits(), func(t *testing.T, n *interceptor, clerk *Clerk) {
				n.set(func() { n.faults = c.first })
				n.after = func(call int) error {
					if call > 1 {
						return nil
					}
					c.then(n)
					return errReset
				}
				_, err := clerk.Append(within(3*time.Second), []byte("k"), []byte("x"))
				if !errors.Is(err, ErrUnknown) || errors.Is(err, ErrUnavailable) {
					t.Errorf("C1: an append that may have been executed ended with %v", err)
				}
			})
		})
	}
}

// strict is a Raft of lower limits than those the command was made for.
type strict struct{ *fakeRaft }

func (s strict) Propose(_ context.Context, command []byte) (raft.Result, error) {
	return raft.Result{}, &raft.TooLargeError{Size: len(command), Limit: 1}
}

// C1, on the way: a server passed the command on, the leader executed it, and its
// answer was lost. The server must not say that it had no effect.
func TestC1ForwardLost(t *testing.T) {
	serverBubble(t, 2, func(t *testing.T, c *fakeCluster) {
		id := openSession(t, c.servers[0])
		c.set(func() { c.faults = faults{breakReply: 100} })
		r := do(c.servers[1], Request{Op: OpPut, Key: []byte("k"), Client: id, Seq: 1, Timeout: time.Second})
		if !refusalUnknown(r.Code) || len(c.log) != 2 {
			t.Errorf("C1: the leader executed a forwarded command and its answer was lost; the server says %v", r.Code)
		}
	})
}

// ended is a Raft that took a proposal and stopped: it cannot know.
type ended struct{ *fakeRaft }

func (e ended) Propose(_ context.Context, command []byte) (raft.Result, error) {
	e.c.set(func() { e.c.append(-1, command) })
	return raft.Result{}, fmt.Errorf("propose: %w", &raft.UnknownError{Index: 1, Term: 1, Cause: raft.ErrStopped})
}

func TestC1StoppedAfterTheAppend(t *testing.T) {
	serverBubble(t, 1, func(t *testing.T, c *fakeCluster) {
		id := openSession(t, c.servers[0])
		c.servers[0].Attach(ended{&fakeRaft{c, 0}})
		r := do(c.servers[0], Request{Op: OpPut, Key: []byte("k"), Client: id, Seq: 1})
		if !refusalUnknown(r.Code) {
			t.Errorf("C1: the server stopped with the command in its log, and says %v", r.Code)
		}
	})
}

// ring is a Raft that takes the next server for the leader, and nobody once all of
// them together were asked often enough.
type ring struct {
	*fakeRaft
	next  string
	asked *atomic.Int32
}

func (r ring) Propose(context.Context, []byte) (raft.Result, error) {
	if r.asked.Add(1) > 20 {
		return raft.Result{}, &raft.NotLeaderError{}
	}
	return raft.Result{}, &raft.NotLeaderError{Leader: "next", Address: r.next}
}

// C2 (redisraft#13): servers passed a command round, each taking the next one for
// the leader.
func TestC2ForwardEndsAfterOneHop(t *testing.T) {
	serverBubble(t, 3, func(t *testing.T, c *fakeCluster) {
		var asked atomic.Int32
		for i, s := range c.servers {
			s.Attach(ring{&fakeRaft{c, i}, c.address((i + 1) % 3), &asked})
		}
		r := do(c.servers[0], Request{Op: OpPut, Key: []byte("k"), Client: 1, Seq: 1, Timeout: time.Second})
		if r.Code != CodeNotLeader || c.calls != 1 {
			t.Errorf("C2: a command was passed on %d times, and the answer is %v", c.calls, r.Code)
		}
	})
}

// C2 (RaftKeeper#332): a server that replays its log looks at its own clock, and
// what it keeps depends on when it started. Here an hour of commands is replayed
// in an instant.
func TestC2ReplayAtAnotherTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newFakeCluster(t, 1, 1, session.DefaultLimits())
		id := openSession(t, c.servers[0])
		for seq := range uint64(60) {
			time.Sleep(time.Minute)
			do(c.servers[0], Request{Op: OpAppend, Key: []byte("k"), Value: []byte("x"), Client: id, Seq: seq + 1, Floor: seq})
		}
		again, err := NewServer(Config{ID: "n1"})
		if err != nil {
			t.Fatal(err)
		}
		again.Apply(c.log, nil)
		var first, replayed StatusReply
		c.servers[0].Status(&StatusRequest{}, &first)
		again.Status(&StatusRequest{}, &replayed)
		if first.Hash != replayed.Hash || first.Revision != 60 {
			t.Errorf("C2: replayed in an instant the log leads to revision %d, hash %x; it was %d, %x", replayed.Revision, replayed.Hash, first.Revision, first.Hash)
		}
	})
}
