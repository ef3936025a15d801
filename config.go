package raft

import (
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"time"
)

// Config is what New needs. Only the first four fields have no default.
type Config struct {
	ID           ServerID
	Store        Persister
	Transport    Transport
	StateMachine StateMachine

	// Heartbeat is the interval of heartbeats; 0 means 100 ms. A follower starts a
	// campaign when it has heard no leader for a random time between
	// ElectionTimeoutMin and ElectionTimeoutMax; 0 means 500 ms, and for the maximum
	// 1 s or twice the minimum, whichever is more. At least two heartbeats must fit
	// into the minimum. "The
	// election timeout" in a bound is the maximum.
	Heartbeat          time.Duration
	ElectionTimeoutMin time.Duration
	ElectionTimeoutMax time.Duration

	// Byte budgets. 0 means the default.
	MaxCommandBytes     int    // of one command; 2 MiB
	MaxInboxBytes       uint64 // proposed and not yet appended; 64 MiB
	MaxUncommittedBytes uint64 // appended by a leader and not committed; 64 MiB
	MaxApplyBytes       uint64 // committed and not applied, and on a follower appended and not flushed; 64 MiB
	MaxAppendBytes      uint64 // entries of one AppendEntries; 512 KiB. One entry always fits.
	MaxInflightBytes    uint64 // sent to one follower and not answered; 16 MiB
	MaxInflight         int    // AppendEntries sent to one follower and not answered; 128

	// Rand is the source of election deadlines; nil means math/rand/v2. It is
	// called under a lock and must not block.
	Rand func() uint64
	// Logger hears who becomes leader and steps down, of a campaign put off by a
	// slow disk, and the cause of a stop; nil is slog.Default. It is called with no
	// lock held.
	Logger *slog.Logger
	// CheckInvariants checks the invariants of invariants.go at every unlock,
	// as the build tag raftdebug does for every server.
	CheckInvariants bool
}

func orDefault[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

// complete fills in the defaults and refuses what cannot work.
func (c *Config) complete() error {
	orDefault(&c.Heartbeat, 100*time.Millisecond)
	orDefault(&c.ElectionTimeoutMin, 500*time.Millisecond)
	orDefault(&c.ElectionTimeoutMax, max(time.Second, 2*c.ElectionTimeoutMin))
	orDefault(&c.MaxCommandBytes, 2<<20)
	orDefault(&c.MaxInboxBytes, 64<<20)
	orDefault(&c.MaxUncommittedBytes, 64<<20)
	orDefault(&c.MaxApplyBytes, 64<<20)
	orDefault(&c.MaxAppendBytes, 512<<10)
	orDefault(&c.MaxInflightBytes, 16<<20)
	orDefault(&c.MaxInflight, 128)
	if c.Rand == nil {
		c.Rand = rand.Uint64
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	switch {
	case c.ID == "" || len(c.ID) > maxNameLength:
		return fmt.Errorf("%w: ID %q; an id has 1 to %d bytes", ErrConfig, c.ID, maxNameLength)
	case c.Store == nil || c.Transport == nil || c.StateMachine == nil:
		return fmt.Errorf("%w: Store, Transport and StateMachine must be set", ErrConfig)
	case c.Heartbeat < 0 || 2*c.Heartbeat > c.ElectionTimeoutMin:
		return fmt.Errorf("%w: heartbeat %v; at least two must fit into ElectionTimeoutMin %v", ErrConfig, c.Heartbeat, c.ElectionTimeoutMin)
	case c.ElectionTimeoutMax <= c.ElectionTimeoutMin:
		return fmt.Errorf("%w: ElectionTimeoutMax %v must be above ElectionTimeoutMin %v, or candidates collide", ErrConfig, c.ElectionTimeoutMax, c.ElectionTimeoutMin)
	case c.MaxCommandBytes < 0 || c.MaxCommandBytes > 1<<30:
		return fmt.Errorf("%w: MaxCommandBytes %d; it is between 1 and 1 GiB", ErrConfig, c.MaxCommandBytes)
	case largestBatch(c.Transport) < max(uint64(c.MaxCommandBytes)+entryHeaderSize, c.MaxAppendBytes):
		return fmt.Errorf("%w: the transport carries batches of %d bytes; lower MaxCommandBytes (%d) and MaxAppendBytes (%d), or raise its limit", ErrConfig, largestBatch(c.Transport), c.MaxCommandBytes, c.MaxAppendBytes)
	case c.MaxInflight < 0:
		return fmt.Errorf("%w: MaxInflight %d is negative", ErrConfig, c.MaxInflight)
	}
	return nil
}

// largestBatch asks a transport for the most bytes of entries one AppendEntries
// may hold. One that does not say takes any.
func largestBatch(t Transport) uint64 {
	if limited, ok := t.(interface{ LargestBatch() int }); ok {
		return uint64(max(0, limited.LargestBatch()))
	}
	return math.MaxUint64
}

// StateMachine is the application. Apply is called by one goroutine, in index
// order, with no lock of Raft held; it may call any method of Raft but Stop. The
// batch holds commands only, their numbers dense. results is nil where nobody on
// this server waits; else it has one element for each entry of the batch, and
// Apply fills in the Value of each. Apply must depend on nothing but the entries:
// neither clock nor randomness nor which server it is. A panic stops the server.
type StateMachine interface {
	Apply(batch []Entry, results []Result)
}

// Result is what the state machine made of one command, and where the command
// stands in the log.
type Result struct {
	Index, Term, Number uint64
	Value               []byte
}
