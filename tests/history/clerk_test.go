package history

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"lockstep.example/raft"
	"lockstep.example/raft/kv"
	"lockstep.example/raft/session"
)

// oneServer is a kv.Caller: a store without Raft, whose answers can be lost or
// late, and requests refused.
type oneServer struct {
	store    *kv.Store
	sessions *session.Sessions
	index    uint64
	fail     func(r *kv.Request) (before, after error)
}

func newOneServer(t *testing.T) *oneServer {
	t.Helper()
	s := &oneServer{store: kv.NewStore(), fail: func(*kv.Request) (error, error) { return nil, nil }}
	var err error
	if s.sessions, err = session.New(s.store, session.DefaultLimits()); err != nil {
		t.Fatal(err)
	}
	return s
}

type notSent struct{}

func (notSent) Error() string { return "not sent" }
func (notSent) NotSent() bool { return true }

func (s *oneServer) Call(_ context.Context, _, _ string, args, reply any) error {
	r, answer := args.(*kv.Request), reply.(*kv.Reply)
	before, after := s.fail(r)
	if before != nil {
		return before
	}
	if r.Op == kv.OpGet {
		answer.Revision = s.store.Revision()
		if item, ok := s.store.Get(r.Key); ok {
			answer.Items = []kv.KeyValue{item}
		}
		return after
	}
	e := session.Envelope{Kind: session.KindCommand, Client: r.Client, Seq: r.Seq, Floor: r.Floor}
	if r.Op == kv.OpOpenSession {
		e = session.Envelope{Kind: session.KindOpen}
	} else {
		c := kv.Command{Op: r.Op, Key: r.Key, Value: r.Value, Revision: r.Revision}
		e.Command = c.Append(nil)
	}
	s.index++
	results := make([]raft.Result, 1)
	s.sessions.Apply([]raft.Entry{{Index: s.index, Term: 1, Number: s.index, Kind: raft.EntryCommand, Data: e.Append(nil)}}, results)
	answer.Answer = results[0].Value
	return after
}

func TestClerk(t *testing.T) {
	server := newOneServer(t)
	clerk, err := kv.NewClerk(kv.ClerkConfig{Servers: []string{"s"}, Caller: server})
	if err != nil {
		t.Fatal(err)
	}
	defer clerk.Close()
	r := New()
	c, ctx := r.Clerk(7, clerk), t.Context()
	check := func(what string, err error, wants error) {
		t.Helper()
		if !errors.Is(err, wants) {
			t.Fatalf("%s: %v", what, err)
		}
	}
	soon := func() context.Context {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	_, err = c.Get(ctx, "k")
	check("get of no key", err, nil)
	_, err = c.Put(ctx, "k", "a")
	check("put", err, nil)
	_, err = c.Append(ctx, "k", "b")
	check("append", err, nil)
	_, err = c.CompareAndSwap(ctx, "k", "c", 1)
	check("swap", err, kv.ErrConflict)
	_, err = c.CompareAndSwap(ctx, "k", "c", 2)
	check("swap", err, nil)
	_, err = c.Delete(ctx, "k")
	check("delete", err, nil)
	_, err = c.Delete(ctx, "k")
	check("delete again", err, nil)

	server.fail = func(*kv.Request) (error, error) { return notSent{}, nil }
	_, err = c.Put(soon(), "k", "refused")
	check("put", err, kv.ErrUnavailable)
	_, err = c.Get(soon(), "k")
	check("get", err, kv.ErrUnavailable)
	server.fail = func(*kv.Request) (error, error) { return nil, errors.New("lost") }
	_, err = c.Put(soon(), "k", "unheard")
	check("put", err, kv.ErrUnknown)
	server.fail = func(*kv.Request) (error, error) { return nil, nil }
	got, err := c.Get(ctx, "k")
	check("get", err, nil)
	if string(got.Value) != "unheard" {
		t.Fatalf("%+v", got)
	}

	if n := r.Counts(); n != (Counts{Operations: 11, Open: 2, Conflicts: 1, NotExecuted: 1, Keys: 1}) {
		t.Errorf("%+v", n)
	}
	for _, op := range r.Operations() {
		if op.Client != 7 || op.Call.Key != "k" {
			t.Errorf("recorded as %v", &op)
		}
	}
	if err := r.Check(Steps).Err(); err != nil {
		t.Errorf("refused:\n%v", err)
	}
	// Each number counts: an answer that the store did not give is refused.
	for i, op := range r.Operations() {
		if op.Answer.Outcome != Done || !op.Answer.Found {
			continue
		}
		for name, change := range map[string]func(*Answer){
			"create":  func(a *Answer) { a.CreateRevision += 10 },
			"mod":     func(a *Answer) { a.ModRevision += 10 },
			"version": func(a *Answer) { a.Version += 10 },
		} {
			ops := r.Operations()
			change(&ops[i].Answer)
			if Check(ops, Steps).Verdict != Violated {
				t.Errorf("accepted with another %s: %v", name, &ops[i])
			}
		}
	}
}

// TestWriteAnswer: what proves nothing is open, also if it wraps a refusal.
func TestWriteAnswer(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Outcome
	}{
		{&kv.UnknownError{Op: "put", Cause: kv.ErrClosed}, Open},
		{&kv.SessionError{}, Open},
		{errors.New("never heard of"), Open},
		{fmt.Errorf("put: %w", &kv.ConflictError{Actual: 3, Revision: 4}), Conflict},
		{&kv.UnavailableError{Op: "put", Cause: kv.ErrNotLeader}, NotExecuted},
		{&kv.LimitError{}, NotExecuted},
		{kv.ErrEmptyKey, NotExecuted},
		{kv.ErrInvalid, NotExecuted},
		{kv.ErrClosed, NotExecuted},
		{kv.ErrUnsupported, NotExecuted},
		{kv.ErrMalformed, NotExecuted},
	} {
		if got := WriteAnswer(kv.WriteResult{}, c.err).Outcome; got != c.want {
			t.Errorf("%v: outcome %d, expected %d", c.err, got, c.want)
		}
	}
}
