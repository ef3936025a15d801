package raft

// Position is a place in the stream of everything ever staged into a Persister.
// It only grows, also across restarts. Durability is a position, never an index:
// an index can be overwritten, a position cannot.
type Position uint64

// HardState is what a server must remember to keep its promises (paper Figure 2,
// persistent state). It is always written whole: term and vote in one frame.
type HardState struct {
	Term                uint64
	VotedFor            ServerID // empty: no vote in this term
	VotedForIncarnation uint64
}

// Identity is what a data directory says about itself. It is made once, by
// Bootstrap; only BootCounter changes, at each start.
type Identity struct {
	Cluster     string // ClusterID
	Server      ServerID
	Incarnation uint64 // 0 = blank: neither votes nor acknowledges
	Directory   []byte // random, from the directory's creation
	BootCounter uint64 // raised durably at each start; a clone is seen by it
}

// Stage is one group of changes, durable all or none. The zero value of a field
// means that it does not change.
type Stage struct {
	HardState  *HardState // the new term and vote
	FirstIndex uint64     // index of the first entry of Batch; replaces whatever is at or above it
	Batch      Batch      // entries, verbatim as they travelled
	// CommitIndex is the commit point known when this was staged. Recovery uses
	// it as a hint, up to the end of the log recovered before this stage.
	CommitIndex uint64
}

// Recovered is what a Persister held when it was opened.
type Recovered struct {
	Identity    Identity
	HardState   HardState
	FirstIndex  uint64  // index of the first entry of Batches; 1 until snapshots exist
	Batches     []Batch // the whole log from FirstIndex on, without gap or overlap
	CommitIndex uint64  // hint: everything up to it is committed
	Empty       bool    // never bootstrapped; nothing else is set
}

// Persister keeps what a server must not forget: package wal implements it on
// disk, MemoryPersister in memory.
//
// Stage and Flush are two verbs. Stage is called with Raft.mu held, so that the
// order on disk is the order of decisions; it must only append to memory. Flush
// is called by one goroutine at a time without any lock, and makes durable, in
// order, at least everything staged before it was called. Its error is final:
// the server stops and calls neither again.
//
// The caller of New opens the Persister, and closes it once the server's Done
// channel is closed.
type Persister interface {
	// Recover returns what was stored when it was opened. It is called once, by
	// New, before anything is staged.
	Recover() (Recovered, error)
	// Bootstrap makes an empty store the store of one server of a new cluster,
	// durably, all or nothing. ErrBootstrapped if it is not empty.
	Bootstrap(id Identity, s Stage) error
	// Stage queues s and returns the position of the end of the stream after it.
	// It keeps s.Batch.Body without copying; nobody changes it afterwards.
	Stage(s Stage) Position
	// Flush makes everything staged before the call durable and returns a
	// position up to which the stream is.
	Flush() (Position, error)
}
