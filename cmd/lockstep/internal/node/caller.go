package node

import (
	"context"
	"errors"

	"lockstep.example/raft/rpc"
)

// Caller carries the store's requests over rpc. It is a kv.Caller: it tells the
// store, which does not know rpc, which errors prove that a request had no
// effect.
type Caller struct{ *rpc.Client }

// Call implements kv.Caller.
func (c Caller) Call(ctx context.Context, address, method string, args, reply any) error {
	err := c.Client.Call(ctx, address, method, args, reply)
	if errors.Is(err, rpc.ErrNotSent) {
		return notSent{err}
	}
	return err
}

// notSent is a kv.NotSentError.
type notSent struct{ error }

func (e notSent) NotSent() bool { return true }
func (e notSent) Unwrap() error { return e.error }
