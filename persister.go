package raft

import (
	"errors"
	"runtime"
	"time"
)

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

// capture is what a flush will have made durable when it returns: the end of the
// staged stream, and with it the end of the log at that moment.
type capture struct {
	position Position
	tenure   *tenure // nil if this server did not lead
	logEnd   uint64
}

// intakeDaemon is group commit. Woken when the inbox is no longer empty or
// something was staged, it drains the inbox, appends and stages all of it under
// one lock, in batches of up to 1 MiB, lets the sync loops send it, and flushes:
// the leader's disk works while the network does. What arrives during a flush is
// the next batch. After the flush, promises that waited for it are spoken, and a leader
// counts itself.
func (rf *Raft) intakeDaemon() {
	for {
		select {
		case <-rf.intakeWake:
		case <-rf.guard.stopping:
			return
		}
		for !rf.stopped() && rf.flushOnce() {
		}
	}
}

// flushOnce takes in what waits and flushes what is staged; false if there was
// nothing to flush.
func (rf *Raft) flushOnce() bool {
	c, ok := rf.takeIn()
	if !ok {
		return false
	}
	runtime.Gosched() // sockets are written before the local disk
	began := time.Now()
	position, err := rf.config.Store.Flush()
	if err != nil {
		var storage *StorageError
		if !errors.As(err, &storage) {
			err = &StorageError{Op: "flush", Path: "store", Err: err}
		}
		rf.guard.fail(err)
		return false
	}
	rf.flushedUpTo(c, position, time.Since(began))
	rf.flushed.Release()
	return true
}

// takeIn drains the inbox and captures what the next flush will make durable;
// false if all is durable already.
func (rf *Raft) takeIn() (capture, bool) {
	rf.lock()
	defer rf.unlock()
	rf.drainInboxLocked()
	c := capture{position: rf.staged, tenure: rf.tenure, logEnd: rf.log.lastIndex()}
	if c.position <= Position(rf.durable.Load()) {
		return c, false
	}
	rf.flushingBytes, rf.stagedBytes, rf.stagedSince = rf.stagedBytes, 0, 0
	return c, true
}

// flushedUpTo takes note of a finished flush. The leader's own match moves to
// the log end captured with the position, only if the tenure is still the one of
// the capture: in another the entries there may be others.
func (rf *Raft) flushedUpTo(c capture, position Position, took time.Duration) {
	rf.lock()
	defer rf.unlock()
	if position < c.position {
		rf.breachLocked("DURABLE", "a flush of everything up to position %d returned %d", c.position, position)
		return
	}
	// What was staged after the capture may be durable too, but nobody has looked
	// at what hangs on it: the next pass does, and finds nothing left to write.
	rf.durable.Store(uint64(c.position))
	rf.flushingBytes = 0
	rf.flushTime += (took - rf.flushTime) / 8
	rf.unflushedSince.Store(int64(rf.stagedSince))
	if t := rf.tenure; t != nil && t == c.tenure {
		t.selfMatch = max(t.selfMatch, c.logEnd)
		rf.advanceCommitLocked(t)
	}
}

// errStalled ends the wait for a flush that is overdue: whoever asked has given up
// long ago, and what waits must not pile up behind a disk that hangs.
var errStalled = errors.New("own disk is stalled: a flush is overdue")

// promise waits until everything up to position is durable and the server still
// lives; only then may a reply be given.
func (rf *Raft) promise(position Position) error {
	return rf.awaitDurable(nil, position)
}

// awaitDurable returns nil once the stream is durable up to position; errCancelled
// when cancelled closes first, ErrStopped when the server stops, errStalled when
// a flush is overdue (the disk watch wakes those who wait).
func (rf *Raft) awaitDurable(cancelled <-chan struct{}, position Position) error {
	if Position(rf.durable.Load()) >= position && !rf.stopped() {
		return nil
	}
	for {
		moved := rf.flushed.Join()
		if rf.stopped() {
			return ErrStopped
		}
		if Position(rf.durable.Load()) >= position {
			return nil
		}
		if rf.flushOverdue() {
			return errStalled
		}
		select {
		case <-moved:
		case <-rf.guard.stopping:
			return ErrStopped
		case <-cancelled:
			return errCancelled
		}
	}
}
