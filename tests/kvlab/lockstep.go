package kvlab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"lockstep.example/raft"
	"lockstep.example/raft/kv"
	"lockstep.example/raft/session"
	"lockstep.example/raft/tests"
)

// Lockstep plugs in this module's own key-value store. A version is the mod
// revision; Put is CompareAndSwap. The server alone is a cluster of one.
func Lockstep() System {
	store := &KV{Server: tests.LockstepKV, Clerk: lockstepClerk}
	return System{RSM: RSMOver(tests.Lockstep), KV: store, Alone: store, Lock: SwapLock, ManyClients: lockstepClients}
}

func lockstepClerk(env ClerkEnv) (Clerk, error) {
	c, err := kv.NewClerk(kv.ClerkConfig{
		Servers: env.Servers, Caller: tests.Caller{Endpoint: env.Endpoint}, Rand: env.Rand,
		AttemptTimeout: 300 * time.Millisecond, // the labs' partitions last a second
	})
	return swapClerk{c}, err
}

// swapClerk makes a lab's clerk of ours.
type swapClerk struct{ *kv.Clerk }

// Get implements Clerk.
func (c swapClerk) Get(key string) (value string, version uint64, err error) {
	r, err := tryOn(func() (kv.GetResult, error) { return c.Clerk.Get(context.Background(), []byte(key)) })
	switch {
	case err != nil:
		return "", 0, err
	case !r.Found:
		return "", 0, ErrNoKey
	}
	return string(r.Value), r.ModRevision, nil
}

// Put implements Clerk.
func (c swapClerk) Put(key, value string, version uint64) (now uint64, err error) {
	r, err := tryOn(func() (kv.WriteResult, error) {
		return c.Clerk.CompareAndSwap(context.Background(), []byte(key), []byte(value), version)
	})
	var conflict *kv.ConflictError
	switch {
	case err == nil:
		return r.ModRevision, nil
	case errors.Is(err, kv.ErrUnknown):
		return Untold, fmt.Errorf("%w: %w", ErrMaybe, err)
	case errors.As(err, &conflict) && conflict.Actual == 0:
		return Untold, ErrNoKey
	case errors.As(err, &conflict):
		return Untold, ErrVersion
	}
	return Untold, fmt.Errorf("%w: %w", ErrNotExecuted, err)
}

// tryOn repeats an operation that no server took until one does or the clerk is
// closed: a lab's clerk has no deadline.
func tryOn[R any](do func() (R, error)) (R, error) {
	for {
		r, err := do()
		if !errors.Is(err, kv.ErrUnavailable) || errors.Is(err, kv.ErrClosed) {
			return r, err
		}
	}
}

// lockstepClients has clients write to a kv.Server as its Raft would have it apply
// their commands: the opening of a session and one swap.
func lockstepClients() (put func(client int) error) {
	server, err := kv.NewServer(kv.Config{ID: "s"})
	var index, version uint64
	apply := func(e *session.Envelope) session.Answer {
		index++
		results := make([]raft.Result, 1)
		server.Apply([]raft.Entry{{Index: index, Term: 1, Number: index, Kind: raft.EntryCommand, Data: e.Append(nil)}}, results)
		answer, failed := session.ParseAnswer(results[0].Value)
		err = errors.Join(err, failed)
		return answer
	}
	value := bytes.Repeat([]byte("x"), 1000)
	return func(int) error {
		id := apply(&session.Envelope{Kind: session.KindOpen}).Client
		command := &kv.Command{Op: kv.OpCompareAndSwap, Key: []byte("k"), Value: value, Revision: version}
		answer := apply(&session.Envelope{Kind: session.KindCommand, Client: id, Seq: 1, Command: command.Append(nil)})
		if err != nil {
			return err
		}
		result, err := kv.ParseResult(answer.Result, command)
		version = result.ModRevision
		return err
	}
}
