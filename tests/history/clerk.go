package history

import (
	"context"
	"errors"

	"lockstep.example/raft/kv"
)

// Clerk is a kv.Clerk whose operations are recorded.
type Clerk struct {
	recorder *Recorder
	client   int
	clerk    *kv.Clerk
}

// Clerk wraps a clerk; client is how its operations are called in a report.
func (r *Recorder) Clerk(client int, clerk *kv.Clerk) *Clerk { return &Clerk{r, client, clerk} }

// Get is kv.Clerk.Get.
func (c *Clerk) Get(ctx context.Context, key string) (kv.GetResult, error) {
	op := c.recorder.Begin(c.client, Call{Kind: Get, Key: key})
	r, err := c.clerk.Get(ctx, []byte(key))
	if err == nil {
		c.recorder.End(op, Answer{
			Done, r.Found, string(r.Value), r.CreateRevision, r.ModRevision, r.Version, r.Revision,
		})
	}
	return r, err // a read that failed tells nothing
}

// Put is kv.Clerk.Put.
func (c *Clerk) Put(ctx context.Context, key, value string) (kv.WriteResult, error) {
	return c.write(Call{Kind: Put, Key: key, Value: value}, func() (kv.WriteResult, error) {
		return c.clerk.Put(ctx, []byte(key), []byte(value))
	})
}

// Append is kv.Clerk.Append.
func (c *Clerk) Append(ctx context.Context, key, value string) (kv.WriteResult, error) {
	return c.write(Call{Kind: Append, Key: key, Value: value}, func() (kv.WriteResult, error) {
		return c.clerk.Append(ctx, []byte(key), []byte(value))
	})
}

// Delete is kv.Clerk.Delete.
func (c *Clerk) Delete(ctx context.Context, key string) (kv.WriteResult, error) {
	return c.write(Call{Kind: Delete, Key: key}, func() (kv.WriteResult, error) {
		return c.clerk.Delete(ctx, []byte(key))
	})
}

// CompareAndSwap is kv.Clerk.CompareAndSwap.
func (c *Clerk) CompareAndSwap(ctx context.Context, key, value string, revision uint64) (kv.WriteResult, error) {
	return c.write(Call{CompareAndSwap, key, value, revision}, func() (kv.WriteResult, error) {
		return c.clerk.CompareAndSwap(ctx, []byte(key), []byte(value), revision)
	})
}

func (c *Clerk) write(call Call, do func() (kv.WriteResult, error)) (kv.WriteResult, error) {
	op := c.recorder.Begin(c.client, call)
	r, err := do()
	c.recorder.End(op, WriteAnswer(r, err))
	return r, err
}

// WriteAnswer sorts what a kv.Clerk returned of a write, by the table of package
// kv's errors. ErrUnknown comes first, for it may wrap another.
func WriteAnswer(r kv.WriteResult, err error) Answer {
	var conflict *kv.ConflictError
	switch {
	case err == nil:
		return Answer{Done, r.Found, "", r.CreateRevision, r.ModRevision, r.Version, r.Revision}
	case errors.Is(err, kv.ErrUnknown):
		return Answer{}
	case errors.As(err, &conflict):
		return Answer{Outcome: Conflict, CreateRevision: Untold, ModRevision: conflict.Actual, Version: Untold, Revision: conflict.Revision}
	}
	for _, sure := range notExecuted {
		if errors.Is(err, sure) {
			return Answer{Outcome: NotExecuted}
		}
	}
	return Answer{} // an error that the table does not have proves nothing
}

// notExecuted is, of that table, what remains.
var notExecuted = []error{
	kv.ErrUnavailable, kv.ErrLimit, kv.ErrEmptyKey, kv.ErrInvalid, kv.ErrUnsupported, kv.ErrMalformed, kv.ErrClosed,
}
