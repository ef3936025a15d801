package kv

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// ClerkConfig is what NewClerk needs. Servers and Caller are required.
type ClerkConfig struct {
	Servers []string // addresses to try; a few are enough, the leader is found from any
	Caller  Caller

	// Timeout ends an operation whose context has no deadline; 0 means 10 s.
	// AttemptTimeout is how long one server may take before another is asked; 0
	// means 2 s.
	Timeout        time.Duration
	AttemptTimeout time.Duration
	// The pause between attempts doubles from BackoffMin to BackoffMax, and is
	// drawn between half of that and all of it; 0 means 10 ms and 300 ms.
	BackoffMin, BackoffMax time.Duration
	// Rand draws the pauses and the first server to ask; nil means math/rand/v2.
	// It must be safe for concurrent use.
	Rand func() uint64
}

// Clerk is a client of the store. It finds the leader, retries until the context
// ends, and makes each command happen once at most, however often it is sent:
// through a session, opened by the first command. Opening is not idempotent: one
// that is retried may leave a session behind that nobody uses; being used least
// recently it is evicted before any other.
//
// All methods may be called by many goroutines at once; each call is an operation
// of its own, in flight together with the others. A Clerk starts no goroutine.
type Clerk struct {
	// immutable after NewClerk
	config  ClerkConfig
	base    context.Context // ends at Close
	cancel  context.CancelFunc
	targets *targets

	mu sync.Mutex
	// guarded by mu
	closed  bool
	current *clerkSession // nil: none is open
	opening chan struct{} // closed when an attempt to open one ends; nil: nobody is at it
	running sync.WaitGroup
}

// NewClerk returns a clerk. It calls nobody yet.
func NewClerk(config ClerkConfig) (*Clerk, error) {
	if len(config.Servers) == 0 || config.Caller == nil {
		return nil, fmt.Errorf("%w: a clerk needs the address of a server and a Caller", ErrInvalid)
	}
	if config.Rand == nil {
		config.Rand = rand.Uint64
	}
	for _, d := range []struct {
		value     *time.Duration
		otherwise time.Duration
	}{
		{&config.Timeout, 10 * time.Second}, {&config.AttemptTimeout, 2 * time.Second},
		{&config.BackoffMin, 10 * time.Millisecond}, {&config.BackoffMax, 300 * time.Millisecond},
	} {
		if *d.value <= 0 {
			*d.value = d.otherwise
		}
	}
	config.BackoffMax = max(config.BackoffMax, config.BackoffMin)
	c := &Clerk{config: config, targets: newTargets(config.Servers, config.Rand())}
	c.base, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// Close ends all operations under way and waits for them. Their outcomes are as
// at a deadline. Later ones fail with ErrClosed. It may be called again.
func (c *Clerk) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.running.Wait()
}

// GetResult is what Get read.
type GetResult struct {
	KeyValue        // zero but for Key if the key does not exist
	Found    bool   // the key exists
	Revision uint64 // the store's
	Applied  uint64 // the log index of the last command the read saw
	Stale    bool   // it may miss writes that were acknowledged before
}

// Get reads a key, linearizably: it sees every write that was acknowledged before
// Get was called. A missing key is no error. It fails with ErrUnavailable,
// ErrEmptyKey, ErrLimit or ErrClosed.
func (c *Clerk) Get(ctx context.Context, key []byte) (GetResult, error) {
	return c.get(ctx, key, false)
}

// GetStale reads a key from whatever server is asked, as far as that has applied
// the log; Applied and Revision say how far. It needs no leader. Errors as Get.
func (c *Clerk) GetStale(ctx context.Context, key []byte) (GetResult, error) {
	return c.get(ctx, key, true)
}

func (c *Clerk) get(ctx context.Context, key []byte, stale bool) (GetResult, error) {
	reply, err := c.read(ctx, &Request{Op: OpGet, Key: key, Stale: stale})
	if err != nil {
		return GetResult{}, err
	}
	r := GetResult{KeyValue: KeyValue{Key: key}, Revision: reply.Revision, Applied: reply.Applied, Stale: reply.Stale}
	if len(reply.Items) > 0 {
		r.KeyValue, r.Found = reply.Items[0], true
	}
	return r, nil
}

// ListOptions says what to list.
type ListOptions struct {
	Prefix []byte // only keys that begin with it; empty: all
	After  []byte // only keys above it: the last key of the previous answer
	Limit  int    // at most so many; 0 or above MaxListItems: MaxListItems
	Stale  bool   // as GetStale
}

// ListResult is what List read, all at one revision.
type ListResult struct {
	Items    []KeyValue // in the order of their keys
	More     bool       // others follow: list again After the last key
	Revision uint64     // the store's
	Applied  uint64     // the log index of the last command the read saw
	Stale    bool       // it may miss writes that were acknowledged before
}

// List reads keys in order, at most Limit of them and MaxListBytes (unless the
// first alone has more). Linearizable and with errors as Get.
func (c *Clerk) List(ctx context.Context, o ListOptions) (ListResult, error) {
	if o.Limit < 0 {
		return ListResult{}, fmt.Errorf("list: %w: limit %d is negative", ErrInvalid, o.Limit)
	}
	limit := uint32(min(o.Limit, MaxListItems))
	reply, err := c.read(ctx, &Request{Op: OpList, Key: o.Prefix, After: o.After, Limit: limit, Stale: o.Stale})
	if err != nil {
		return ListResult{}, err
	}
	return ListResult{reply.Items, reply.More, reply.Revision, reply.Applied, reply.Stale}, nil
}

// Put gives key a value. It fails with ErrUnknown (ErrSession among them) if it
// may have happened, and with ErrUnavailable, ErrEmptyKey, ErrLimit or ErrClosed
// if it did not. Key and value must not change until it returns.
func (c *Clerk) Put(ctx context.Context, key, value []byte) (WriteResult, error) {
	return c.write(ctx, &Command{Op: OpPut, Key: key, Value: value})
}

// Append adds value to the end of what key holds; a missing key is made. Errors
// as Put; ErrLimit also if the two together are too long.
func (c *Clerk) Append(ctx context.Context, key, value []byte) (WriteResult, error) {
	return c.write(ctx, &Command{Op: OpAppend, Key: key, Value: value})
}

// Delete removes a key. A missing key is no error: Found tells. Errors as Put.
func (c *Clerk) Delete(ctx context.Context, key []byte) (WriteResult, error) {
	return c.write(ctx, &Command{Op: OpDelete, Key: key})
}

// CompareAndSwap gives key a value if its mod revision is revision; 0 means that
// the key must not exist. ErrConflict if it is another: then nothing changed.
// Other errors as Put.
func (c *Clerk) CompareAndSwap(ctx context.Context, key, value []byte, revision uint64) (WriteResult, error) {
	return c.write(ctx, &Command{Op: OpCompareAndSwap, Key: key, Value: value, Revision: revision})
}

// Status asks one server, by its address, what it is doing. It asks once.
func (c *Clerk) Status(ctx context.Context, server string) (StatusReply, error) {
	ctx, leave, err := c.enter(ctx)
	if err != nil {
		return StatusReply{}, fmt.Errorf("status of %s: %w", server, err)
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, c.config.AttemptTimeout)
	defer cancel()
	var reply StatusReply
	if err := c.config.Caller.Call(ctx, server, MethodStatus, &StatusRequest{}, &reply); err != nil {
		return StatusReply{}, unavailable("status of "+server, err)
	}
	return reply, nil
}

// enter begins an operation: its context ends by a deadline, and at Close.
func (c *Clerk) enter(ctx context.Context) (context.Context, func(), error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, nil, ErrClosed
	}
	c.running.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.base, func() { cancel(ErrClosed) })
	free := func() {}
	if _, ok := ctx.Deadline(); !ok {
		ctx, free = context.WithTimeout(ctx, c.config.Timeout)
	}
	return ctx, func() {
		free()
		stop()
		cancel(nil)
		c.running.Done()
	}, nil
}

// read runs a read; it may be sent any number of times.
func (c *Clerk) read(ctx context.Context, r *Request) (*Reply, error) {
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("%v: %w", r.Op, err)
	}
	ctx, leave, err := c.enter(ctx)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", r.Op, err)
	}
	defer leave()
	return c.run(ctx, r, nil)
}

// errUnsent is the cause of an operation that did not come as far as a server.
var errUnsent = errors.New("no server was asked")
