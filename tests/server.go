package tests

import (
	"context"
	"time"

	"lockstep.example/raft/labrpc"
)

// Maker starts a server, new or again after a crash, from what its disk holds.
type Maker func(env Env) (Server, error)

// Env is the world of one server, for one life.
type Env struct {
	ID       string
	Peers    []string         // IDs of all servers, its own among them, in the same order for all
	Endpoint *labrpc.Endpoint // its place on the network; IDs are the names there
	Disk     *Disk            // what outlives it
	Rand     func() uint64    // seeded; safe for concurrent use

	// FlushTime says how long the next flush of the disk takes. Safe for
	// concurrent use.
	FlushTime func() time.Duration

	// Apply takes each command as the server applies it, from number 1 in every
	// life. Trace takes what else the monitors may know: Leads and Holds events.
	// Fail reports what must never happen; the test fails. All may be called
	// from any goroutine, with no lock that Start or State needs.
	Apply func(Applied)
	Trace func(Event)
	Fail  func(error)

	// Replied, if not nil, is shown every reply the server gives to another.
	Replied func(reply any)
}

// Applied is one command as a server applied it.
type Applied struct {
	Number  uint64 // 1 for the first command; dense
	Index   uint64 // its place in the log
	Term    uint64
	Command []byte
}

// Disk keeps whatever a server stores, from one life to the next.
type Disk struct {
	Contents any // nil before the first life
	// AfterCrash returns what a power loss leaves of the contents: everything
	// that was flushed, and of the writes that were only staged as many of the
	// oldest as keep says. If nil, a crash loses nothing.
	AfterCrash func(contents any, keep func(staged int) int) any
}

// Server is one Raft server under test.
type Server interface {
	// Start proposes a command and does not wait. If the server leads, it returns
	// the number the command has if it is ever committed, and the term.
	Start(command []byte) (number, term uint64, leads bool)
	// State returns the current term and whether the server believes to lead.
	State() (term uint64, leads bool)
	// Kill ends the server. When it returns nothing of it runs any more. Its
	// endpoint is already closed and its disk as a power loss left it.
	Kill() error
}

// Proposer is a Server whose callers can wait for the outcome of a proposal.
type Proposer interface {
	Propose(ctx context.Context, command []byte) (number uint64, outcome Outcome)
}

// Outcome is what is known of a proposal.
type Outcome uint8

const (
	Unknown      Outcome = iota // may be applied, now, later or never
	Acknowledged                // applied, at the number told
	Rejected                    // never applied
)

// Reader is a Server that serves linearizable reads.
type Reader interface {
	// Read returns once this server has applied everything a read that begins now
	// must see, or with an error when it cannot.
	Read(ctx context.Context) error
}

// Explainer is a Server that can say what it is waiting for.
type Explainer interface{ Why() string }

// Inspector is a Server that shows its inner state, in the words of Figure 2.
type Inspector interface {
	Inspect() Inspection
	// OnRole has f told of every role the server takes from now on, in order, until
	// it ends.
	OnRole(f func(role string, term uint64))
}

// Inspection is what one server holds at one moment.
type Inspection struct {
	Role                string // follower, pre-candidate, candidate or leader
	Term                uint64
	VotedFor            string // empty: nobody, in this term
	LastIndex, LastTerm uint64 // of its log
	Commit, Applied     uint64
}
