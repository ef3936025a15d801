package kv

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep.example/raft/session"
)

func newTestClerk(t testing.TB, c *fakeCluster, seed uint64) *Clerk {
	t.Helper()
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 5))
	clerk, err := NewClerk(ClerkConfig{Servers: c.addresses(), Caller: c, Rand: func() uint64 {
		mu.Lock()
		defer mu.Unlock()
		return random.Uint64()
	}})
	if err != nil {
		t.Fatal(err)
	}
	return clerk
}

// bubble runs f in virtual time with a cluster and a clerk.
func bubble(t *testing.T, n int, limits session.Limits, f func(t *testing.T, c *fakeCluster, clerk *Clerk)) {
	synctest.Test(t, func(t *testing.T) {
		c := newFakeCluster(t, n, 1, limits)
		clerk := newTestClerk(t, c, 1)
		f(t, c, clerk)
		clerk.Close()
		c.late.Wait()
	})
}

func within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	_ = cancel // the bubble ends after it
	return ctx
}

func TestClerkOperations(t *testing.T) {
	bubble(t, 3, session.DefaultLimits(), func(t *testing.T, c *fakeCluster, clerk *Clerk) {
		ctx := t.Context()
		if r, err := clerk.Get(ctx, []byte("k")); err != nil || r.Found || string(r.Key) != "k" || r.Revision != 0 {
			t.Fatalf("get of a missing key: %+v, %v", r, err)
		}
		if r, err := clerk.Put(ctx, []byte("k"), []byte("a")); err != nil || r.Revision != 1 || r.Version != 1 || !r.Found {
			t.Fatalf("put: %+v, %v", r, err)
		}
		if r, err := clerk.Append(ctx, []byte("k"), []byte("b")); err != nil || r.ModRevision != 2 || r.Version != 2 {
			t.Fatalf("append: %+v, %v", r, err)
		}
		if r, err := clerk.CompareAndSwap(ctx, []byte("k"), []byte("c"), 2); err != nil || r.ModRevision != 3 {
			t.Fatalf("swap: %+v, %v", r, err)
		}
		var conflict *ConflictError
		if _, err := clerk.CompareAndSwap(ctx, []byte("k"), []byte("d"), 2); !errors.As(err, &conflict) || !errors.Is(err, ErrConflict) ||
			conflict.Actual != 3 || conflict.Expected != 2 || string(conflict.Key) != "k" || errors.Is(err, ErrUnknown) {
			t.Fatalf("swap of an old revision: %v", err)
		}
		if r, err := clerk.Get(ctx, []byte("k")); err != nil || string(r.Value) != "c" || r.ModRevision != 3 || r.CreateRevision != 1 || r.Version != 3 || r.Stale || r.Revision != 3 {
			t.Fatalf("get: %+v, %v", r, err)
		}
		if r, err := clerk.List(ctx, ListOptions{Prefix: []byte("k"), Limit: 5}); err != nil || len(r.Items) != 1 || r.More || r.Revision != 3 || r.Stale {
			t.Fatalf("list: %+v, %v", r, err)
		}
		if r, err := clerk.Delete(ctx, []byte("k")); err != nil || !r.Found || r.Revision != 4 || r.ModRevision != 3 {
			t.Fatalf("delete: %+v, %v", r, err)
		}
		if r, err := clerk.Delete(ctx, []byte("k")); err != nil || r.Found || r.Revision != 4 {
			t.Fatalf("delete again: %+v, %v", r, err)
		}
		if got := len(c.log); got != 7 { // open, put, append, two swaps, two deletes
			t.Errorf("%d entries in the log, want 7: reads are not to be there", got)
		}
	})
}

// TestClerkMisuse: what no server will take is refused before anything is sent.
func TestClerkMisuse(t *testing.T) {
	bubble(t, 1, session.DefaultLimits(), func(t *testing.T, c *fakeCluster, clerk *Clerk) {
		ctx, long := t.Context(), []byte(strings.Repeat("x", MaxValueBytes+1))
		calls := map[string]struct {
			call func() error
			want error
		}{
			"get without key":  {func() error { _, err := clerk.Get(ctx, nil); return err }, ErrEmptyKey},
			"put without key":  {func() error { _, err := clerk.Put(ctx, nil, nil); return err }, ErrEmptyKey},
			"long key":         {func() error { _, err := clerk.Delete(ctx, long[:MaxKeyBytes+1]); return err }, ErrLimit},
			"long value":       {func() error { _, err := clerk.Append(ctx, []byte("k"), long); return err }, ErrLimit},
			"long prefix":      {func() error { _, err := clerk.List(ctx, ListOptions{Prefix: long}); return err }, ErrLimit},
			"long start-after": {func() error { _, err := clerk.List(ctx, ListOptions{After: long}); return err }, ErrLimit},
			"negative limit":   {func() error { _, err := clerk.List(ctx, ListOptions{Limit: -1}); return err }, ErrInvalid},
		}
		for name, c := range calls {
			if err := c.call(); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", name, err, c.want)
			}
		}
		if c.calls != 0 {
			t.Errorf("%d requests were sent", c.calls)
		}
		clerk.Close()
		if _, err := clerk.Put(ctx, []byte("k"), nil); !errors.Is(err, ErrClosed) {
			t.Errorf("put after close: %v", err)
		}
		if _, err := NewClerk(ClerkConfig{Caller: c}); !errors.Is(err, ErrInvalid) {
			t.Errorf("a clerk without servers: %v", err)
		}
	})
}

// TestClerkOutcomes: what an operation says at its deadline, for each thing that
// can go wrong all the time.
func TestClerkOutcomes(t *testing.T) {
	for name, c := range map[string]struct {
		faults faults
		leader int
		want   error
		also   error // wrapped too
	}{
		"connection refused": {faults{refuse: 100}, 0, ErrUnavailable, context.DeadlineExceeded},
		"request lost":       {faults{loseRequest: 100}, 0, ErrUnknown, context.DeadlineExceeded},
		"reply lost":         {faults{loseReply: 100}, 0, ErrUnknown, context.DeadlineExceeded},
		"connection reset":   {faults{breakReply: 100}, 0, ErrUnknown, context.DeadlineExceeded},
		"no leader":          {faults{}, -1, ErrUnavailable, ErrNotLeader},
		"always rejected":    {faults{rejected: 100}, 0, ErrUnavailable, ErrRejected},
		"unknown, done":      {faults{unknownDone: 100}, 0, ErrUnknown, context.DeadlineExceeded},
		"unknown, not done":  {faults{unknownUndone: 100}, 0, ErrUnknown, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 3, session.DefaultLimits(), func(t *testing.T, f *fakeCluster, clerk *Clerk) {
				if _, err := clerk.Put(t.Context(), []byte("k"), []byte("old")); err != nil {
					t.Fatal(err)
				}
				f.set(func() { f.faults = c.faults })
				f.lead(c.leader)
				began := time.Now()
				_, err := clerk.Put(within(3*time.Second), []byte("k"), []byte("new"))
				if !errors.Is(err, c.want) || !errors.Is(err, c.also) || c.want == ErrUnavailable && errors.Is(err, ErrUnknown) {
					t.Errorf("put: %v, want %v", err, c.want)
				}
				if took := time.Since(began); took > 3100*time.Millisecond {
					t.Errorf("it took %v", took)
				}
				// The same for the first command: that the session is not open is
				// never an unknown outcome of the command.
				fresh := newTestClerk(t, f, 2)
				if _, err := fresh.Put(within(3*time.Second), []byte("fresh"), nil); !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrUnknown) {
					t.Errorf("first put: %v, want ErrUnavailable", err)
				}
				fresh.Close()
				// And once all is well a clerk goes on.
				f.set(func() { f.faults = faults{} })
				f.lead(1)
				if _, err := clerk.Put(t.Context(), []byte("k"), []byte("last")); err != nil {
					t.Errorf("put in the end: %v", err)
				}
				if r, err := clerk.Get(t.Context(), []byte("k")); err != nil || string(r.Value) != "last" {
					t.Errorf("get in the end: %q, %v", r.Value, err)
				}
			})
		})
	}
}

// TestClerkUnknownStaysUnknown: an attempt that may have been executed is not
// forgotten for a later one that was refused.
func TestClerkUnknownStaysUnknown(t *testing.T) {
	bubble(t, 3, session.DefaultLimits(), func(t *testing.T, c *fakeCluster, clerk *Clerk) {
		if _, err := clerk.Put(t.Context(), []byte("k"), []byte("1")); err != nil {
			t.Fatal(err)
		}
		c.set(func() { c.faults = faults{unknownDone: 100} })
		go func() {
			time.Sleep(8 * time.Millisecond)
			c.lead(-1)
		}()
		_, err := clerk.Append(within(time.Second), []byte("k"), []byte("2"))
		if !errors.Is(err, ErrUnknown) || errors.Is(err, ErrUnavailable) {
			t.Errorf("append: %v, want ErrUnknown", err)
		}
	})
}

// TestClerkFindsLeader: the leader moves and servers die; operations go on within
// a second of the new leader's election, and a settled clerk asks the leader alone.
func TestClerkFindsLeader(t *testing.T) {
	bubble(t, 5, session.DefaultLimits(), func(t *testing.T, c *fakeCluster, clerk *Clerk) {
		for round := range 20 {
			c.set(func() { clear(c.down) })
			if round%2 == 0 {
				c.set(func() { c.down[max(0, c.leader)] = true }) // its followers still name it
				time.Sleep(200 * time.Millisecond)
			}
			c.lead((round*3 + 1) % 5)
			c.set(func() { c.down[c.leader] = false })
			began := time.Now()
			if _, err := clerk.Append(t.Context(), []byte("k"), []byte("x")); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("round %d: it took %v", round, took)
			}
			clerk.Put(t.Context(), []byte("settled"), nil)
			before := c.calls
			for range 10 {
				clerk.Put(t.Context(), []byte("settled"), nil)
			}
			if calls := c.calls - before; calls != 10 {
				t.Errorf("round %d: 10 operations took %d calls", round, calls)
			}
		}
	})
}

// TestClerkFollowsHints: hints are followed at once, but not round in a circle, and
// not to a server that just could not be reached.
func TestClerkFollowsHints(t *testing.T) {
	bubble(t, 2, session.DefaultLimits(), func(t *testing.T, c *fakeCluster, clerk *Clerk) {
		for i, s := range c.servers {
			s.Attach(misled{&fakeRaft{c, i}, c.address(1 - i)})
			s.config.Caller = nil // told who leads instead of forwarded
		}
		_, err := clerk.Put(within(time.Second), []byte("k"), nil)
		if !errors.Is(err, ErrNotLeader) || c.calls > 40 {
			t.Errorf("%v after %d calls", err, c.calls)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		targets := newTargets([]string{"a", "b", "c"}, 0)
		expect := func(what, want string) {
			t.Helper()
			if got := targets.pick(); got != want {
				t.Errorf("after %s: asks %s, want %s", what, got, want)
			}
		}
		targets.worked("a", "c")
		expect("a passed it on to c", "c")
		if targets.failed("c", false, "") {
			t.Error("there is nobody to follow")
		}
		expect("c did not answer", "b")
		if targets.failed("b", true, "c") {
			t.Error("c is followed, which did not answer just now")
		}
		expect("b named c", "c") // its turn in the list
		targets.failed("c", false, "")
		targets.worked("a", "c")
		expect("a passed it on to c, which cannot be reached from here", "a")
		time.Sleep(avoidFor)
		if !targets.failed("a", true, "c") {
			t.Error("c is not tried again")
		}
		expect("a named c, some time later", "c")
		at := targets.at
		targets.failed("a", false, "") // another operation that asked a long ago
		expect("a late failure of another server", "c")
		if targets.at != at {
			t.Error("a late failure moved on in the list")
		}
		targets.failed("c", true, "d")
		expect("a hint from beyond the list", "d")
		two := newTargets([]string{"a", "b"}, 0)
		two.worked("b", "")
		if two.failed("b", false, ""); two.pick() != "a" {
			t.Error("the server that failed is asked again, and there is another")
		}
		one := newTargets([]string{"a"}, 7)
		one.failed("a", false, "")
		if one.pick() != "a" {
			t.Error("the only server is not asked again")
		}
	})
}

// TestClerkLosesSession: an evicted session ends the operation with an unknown
// outcome, and the next one opens another.
func TestClerkLosesSession(t *testing.T) {
	limits := session.DefaultLimits()
	limits.Sessions = 2
	bubble(t, 1, limits, func(t *testing.T, c *fakeCluster, clerk *Clerk) {
		ctx := t.Context()
		clerk.Put(ctx, []byte("k"), []byte("1"))
		for i := range uint64(2) {
			other := newTestClerk(t, c, i)
			other.Put(ctx, []byte("other"), nil)
			other.Close()
		}
		_, err := clerk.Append(ctx, []byte("k"), []byte("2"))
		var lost *SessionError
		if !errors.As(err, &lost) || !errors.Is(err, ErrSession) || !errors.Is(err, ErrUnknown) {
			t.Fatalf("append: %v, want ErrSession", err)
		}
		if r, err := clerk.Append(ctx, []byte("k"), []byte("3")); err != nil || r.Version != 2 {
			t.Fatalf("append in a new session: %+v, %v", r, err)
		}
		if r, _ := clerk.Get(ctx, []byte("k")); string(r.Value) != "13" {
			t.Errorf("the value is %q, want 13", r.Value)
		}
	})
}

// TestClerkWindow: with the oldest operation stuck, others go on as far as the
// window, and wait there with a deadline.
func TestClerkWindow(t *testing.T) {
	limits := session.DefaultLimits()
	limits.Window = 4
	bubble(t, 1, limits, func(t *testing.T, c *fakeCluster, clerk *Clerk) {
		clerk.Put(t.Context(), []byte("k"), nil) // number 1
		s := clerk.current
		stuck, err := s.begin(t.Context())
		if err != nil || stuck != 2 {
			t.Fatal(stuck, err)
		}
		for range 3 { // 3, 4, 5
			if _, err := clerk.Put(t.Context(), []byte("k"), nil); err != nil {
				t.Fatal(err)
			}
		}
		_, err = clerk.Put(within(time.Second), []byte("k"), nil)
		if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrUnknown) {
			t.Fatalf("put beyond the window: %v", err)
		}
		go func() {
			time.Sleep(time.Second)
			s.end(stuck)
		}()
		if _, err := clerk.Put(t.Context(), []byte("k"), nil); err != nil {
			t.Fatalf("put when the window moved: %v", err)
		}
		if got := s.currentFloor(); got != 6 || len(s.ended) != 0 {
			t.Errorf("floor %d with %d numbers above it, want 6 and 0", got, len(s.ended))
		}
	})
}

// TestClerkClose ends operations under way at once, with their true outcome.
func TestClerkClose(t *testing.T) {
	bubble(t, 1, session.DefaultLimits(), func(t *testing.T, c *fakeCluster, clerk *Clerk) {
		clerk.Put(t.Context(), []byte("k"), nil)
		c.set(func() { c.faults = faults{loseReply: 100} })
		errs := make(chan error, 2)
		go func() { _, err := clerk.Put(t.Context(), []byte("k"), nil); errs <- err }()
		go func() { _, err := clerk.Get(t.Context(), []byte("k")); errs <- err }()
		time.Sleep(500 * time.Millisecond)
		began := time.Now()
		clerk.Close()
		if took := time.Since(began); took != 0 {
			t.Errorf("close took %v", took)
		}
		unknown := 0
		for range 2 {
			err := <-errs
			if !errors.Is(err, ErrClosed) {
				t.Errorf("ended with %v", err)
			}
			if errors.Is(err, ErrUnknown) {
				unknown++
			}
		}
		if unknown != 1 {
			t.Errorf("%d operations of unknown outcome, want the put alone", unknown)
		}
	})
}
