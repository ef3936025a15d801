package raft

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"lockstep.example/raft/internal/lock"
	"lockstep.example/raft/internal/wake"
)

// Role is what a server is to its cluster.
type Role uint8

const (
	Follower     Role = iota
	PreCandidate      // asks whether it could win (thesis §9.6)
	Candidate         // asks for votes
	Leader
)

func (r Role) String() string {
	return [...]string{"follower", "pre-candidate", "candidate", "leader"}[r]
}

// Raft is one server of a cluster (paper Figure 2). Its methods may be called
// from any goroutine.
//
// This comment is the lock map. mu guards the heading it is named in; it is
// never held across an RPC, a flush, a callback or a blocking channel operation.
// Below it are leaves, of which nobody holds two: the election timer, the inbox
// of proposals, the joining reads, the stages of the Persister, the guard and
// wake.Batch. A method whose name ends in Locked, or whose
// comment says so, needs mu.
type Raft struct {
	// immutable after New
	config        Config
	incarnation   uint64
	configuration Configuration
	address       map[ServerID]string
	peers         map[ServerID]Peer // everyone but this server
	guard         *guard
	born          time.Time // when New began; other times are told from it where an atomic holds them
	checked       bool      // run the checks of invariants.go at every unlock

	mu lock.Mutex

	// guarded by mu: Figure 2, in its order
	currentTerm uint64
	votedFor    candidate
	log         raftLog
	commitIndex uint64
	lastApplied uint64

	// guarded by mu: the role, and what hangs on it
	role          Role
	leader        ServerID  // of currentTerm, as far as known
	termLeader    ServerID  // whoever was seen to lead currentTerm; kept when leader is forgotten
	leaderContact time.Time // when a message of the current leader last arrived
	agreedIndex   uint64    // follower: up to here the log is known to equal the leader's of currentTerm
	ledUntil      time.Time // when this server last stepped down
	tenure        *tenure   // not nil exactly while role is Leader
	lastCampaign  campaignReport
	contacts      map[ServerID]*contact
	earlyWaiting  int // AppendEntries that wait for the log to reach them

	// guarded by mu: durability
	staged        Position      // end of the staged stream
	recoveredLast uint64        // last index that New found in the store
	stagedLast    uint64        // highest index among the entries staged last (STAGED)
	stagedBytes   uint64        // entry bytes staged since the last capture
	flushingBytes uint64        // entry bytes in the flush under way
	stagedSince   time.Duration // after born: when the oldest stage since the last capture was made; 0: none
	flushTime     time.Duration // smoothed duration of a flush

	// guarded by mu: proposals appended here and not applied yet
	waiting []waiterRun

	lines []logLine // guarded by mu: to be logged at the unlock

	held heldState // guarded by mu: what the last unlock saw (invariants.go)

	// leaves, each with a lock of its own
	timer       electionTimer
	inbox       inbox
	reads       readGate // reads that join the next round of this leader
	remoteReads readGate // reads that join the next request to another leader
	observers   observers
	waiters     sync.Pool // of *waiter, not in use

	// written under mu, read anywhere
	durable        atomic.Uint64 // Position up to which the stream is durable
	applied        atomic.Uint64 // lastApplied
	leading        atomic.Bool   // role == Leader
	unflushedSince atomic.Int64  // disk watch: when the oldest unflushed stage was made, ns after born; 0: none

	// wakes one daemon each
	intakeWake wake.Signal // intake and flush: inbox no longer empty; something staged
	applyWake  wake.Signal // apply: commitIndex moved

	// releases a crowd
	flushed   wake.Batch // durable moved
	appliedUp wake.Batch // lastApplied moved
	logGrew   wake.Batch // log appended to, or the term moved
}

// candidate is whom a vote is for.
type candidate struct {
	id          ServerID
	incarnation uint64
}

// Bootstrap makes an empty store the store of server id of a new cluster. Every
// initial server is bootstrapped once, with the same configuration: it is entry
// 1 of term 1, byte for byte the same everywhere, and committed from birth.
// cluster is the name people know the cluster by; the id it gets, ClusterID,
// differs from that of any other cluster with the name. ErrBootstrapped if the
// store is in use, ErrConfig if the configuration is not valid or lacks id.
func Bootstrap(store Persister, cluster string, id ServerID, c Configuration) (Identity, error) {
	if err := c.Validate(); err != nil {
		return Identity{}, fmt.Errorf("bootstrap %s: %w", id, err)
	}
	self, ok := c.Server(id)
	if !ok {
		return Identity{}, fmt.Errorf("bootstrap %s: %w: the configuration does not name it", id, ErrConfig)
	}
	for _, s := range c.Servers {
		if s.Incarnation != bootstrapIndex {
			return Identity{}, fmt.Errorf("bootstrap %s: %w: %s has incarnation %d; the bootstrap entry admits every initial server with 1", id, ErrConfig, s.ID, s.Incarnation)
		}
	}
	if len(cluster) > maxNameLength {
		return Identity{}, fmt.Errorf("bootstrap %s: %w: the cluster name has %d bytes; the limit is %d", id, ErrConfig, len(cluster), maxNameLength)
	}
	body := AppendEntry(nil, EntryConfiguration, bootstrapTerm, c.Encode())
	identity := Identity{Cluster: ClusterID(cluster, c), Server: id, Incarnation: self.Incarnation}
	err := store.Bootstrap(identity, Stage{
		HardState:   &HardState{Term: bootstrapTerm},
		FirstIndex:  bootstrapIndex,
		Batch:       NewBatch(body, 1),
		CommitIndex: bootstrapIndex,
	})
	if err != nil {
		return Identity{}, fmt.Errorf("bootstrap %s: %w", id, err)
	}
	return identity, nil
}

// New recovers a server from its store and starts it. The store must have been
// bootstrapped (ErrNotBootstrapped) for this ID (ErrConfig); ErrMalformed if what it
// holds cannot be right, the Persister's own error if it cannot be read. The caller
// owns store and transport and closes them after Done.
func New(config Config) (*Raft, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	recovered, err := config.Store.Recover()
	if err != nil {
		return nil, fmt.Errorf("recover %s: %w", config.ID, err)
	}
	rf := &Raft{
		config:     config,
		born:       time.Now(),
		address:    map[ServerID]string{},
		peers:      map[ServerID]Peer{},
		contacts:   map[ServerID]*contact{},
		checked:    config.CheckInvariants || lock.Debug,
		intakeWake: wake.NewSignal(),
		applyWake:  wake.NewSignal(),
	}
	rf.guard = newGuard(rf.ended)
	if err := rf.recover(recovered); err != nil {
		return nil, fmt.Errorf("recover %s: %w", config.ID, err)
	}
	for _, s := range rf.configuration.Servers {
		rf.address[s.ID] = s.Address
		rf.contacts[s.ID] = &contact{}
		if s.ID != config.ID {
			rf.peers[s.ID] = config.Transport.Connect(s.ID, s.Address)
		}
	}
	rf.timer.init(config.ElectionTimeoutMin, config.ElectionTimeoutMax, config.Rand)
	rf.timer.reset()

	rf.guard.start("election timer", rf.electionDaemon)
	rf.guard.start("intake and flush", rf.intakeDaemon)
	rf.guard.start("apply", rf.applyDaemon)
	rf.guard.start("disk watch", rf.diskWatch)
	// The sync log and authority daemons belong to a leader: becomeLeader
	// starts them.
	config.Transport.Attach(rf)
	rf.applyWake.Notify()
	return rf, nil
}

// recover sets the state from what the store held. No lock is needed yet.
func (rf *Raft) recover(r Recovered) error {
	if r.Empty {
		return fmt.Errorf("%w: the store is empty; bootstrap every initial server once, with the same configuration", ErrNotBootstrapped)
	}
	if r.Identity.Server != rf.config.ID {
		return fmt.Errorf("%w: the store belongs to server %s of cluster %s", ErrConfig, r.Identity.Server, r.Identity.Cluster)
	}
	if r.FirstIndex != 1 {
		return fmt.Errorf("%w: the log in the store begins at index %d and there is no snapshot; restore the directory or rejoin as a new server", ErrMalformed, r.FirstIndex)
	}
	for _, b := range r.Batches {
		if err := rf.log.append(b); err != nil {
			return err
		}
	}
	if rf.log.lastIndex() == 0 {
		return fmt.Errorf("%w: the store has an identity and no entries", ErrMalformed)
	}
	for i := uint64(1); i < rf.log.end(); i++ {
		if rf.log.at(i).kind() == EntryConfiguration && i != bootstrapIndex {
			return fmt.Errorf("%w: a configuration at index %d; membership changes need a newer version of this program", ErrMalformed, i)
		}
	}
	first := rf.log.entry(bootstrapIndex)
	if first.Kind != EntryConfiguration {
		return fmt.Errorf("%w: entry 1 is a %v, not the bootstrap configuration", ErrMalformed, first.Kind)
	}
	c, err := DecodeConfiguration(first.Data)
	if err != nil {
		return err
	}
	rf.configuration, rf.incarnation = c, r.Identity.Incarnation
	rf.currentTerm = r.HardState.Term
	rf.votedFor = candidate{r.HardState.VotedFor, r.HardState.VotedForIncarnation}
	if rf.log.lastTerm() > rf.currentTerm {
		return fmt.Errorf("%w: the last entry has term %d, the current term is %d", ErrMalformed, rf.log.lastTerm(), rf.currentTerm)
	}
	rf.stagedLast, rf.recoveredLast = rf.log.lastIndex(), rf.log.lastIndex()
	rf.commitIndex = max(bootstrapIndex, min(r.CommitIndex, rf.log.lastIndex()))
	rf.held = heldState{term: rf.currentTerm, votedFor: rf.votedFor, commitIndex: rf.commitIndex}
	return nil
}

// Stop ends the server: it hands over nothing, ends every waiting proposal
// (unknown if it was appended, else ErrStopped) and read (ErrStopped), and returns
// once Done is closed. If ctx ends first the error wraps its error and says what is
// still running; the stop goes on. It may be called again, from any goroutine but
// one that runs Apply.
func (rf *Raft) Stop(ctx context.Context) error {
	rf.guard.fail(nil)
	return rf.guard.wait(ctx)
}

// Done is closed when the server has ended, by Stop or by a failure that Err
// tells: no goroutine of it runs any more, and it will call neither store nor
// state machine again.
func (rf *Raft) Done() <-chan struct{} { return rf.guard.done }

// Err returns why the server stopped by itself; nil if it runs or was stopped.
func (rf *Raft) Err() error { return rf.guard.err() }

// ended runs once, after everything else has ended and before Done closes.
func (rf *Raft) ended() {
	rf.leading.Store(false)
	cause := rf.guard.err()
	if cause != nil {
		rf.config.Logger.Error("raft: stopped", "server", rf.config.ID, "cause", cause)
	}
	rf.observers.close(cause)
}

// lock and unlock enclose every use of mu, so that what one change did is
// checked before anyone else can see it.
func (rf *Raft) lock() { rf.mu.Lock() }

func (rf *Raft) unlock() {
	for _, l := range rf.unlockQuietly() {
		rf.config.Logger.Log(context.Background(), l.level, l.message, l.args...)
	}
}

// unlockQuietly returns what is to be logged now that nothing is held: a logger
// is a callback.
func (rf *Raft) unlockQuietly() []logLine {
	defer rf.mu.Unlock()
	if rf.checked {
		rf.checkLocked()
	}
	lines := rf.lines
	rf.lines = nil
	return lines
}

// stageLocked queues a change for the disk and returns the position at which it is
// durable. rf.mu must be held: the order on disk is the order of decisions.
func (rf *Raft) stageLocked(s Stage) Position {
	s.CommitIndex = rf.commitIndex
	rf.staged = rf.config.Store.Stage(s)
	if s.Batch.Count > 0 {
		rf.stagedLast = s.FirstIndex + uint64(s.Batch.Count) - 1
	}
	rf.stagedBytes += uint64(len(s.Batch.Body))
	if rf.stagedSince == 0 {
		rf.stagedSince = time.Since(rf.born) + 1
		rf.unflushedSince.CompareAndSwap(0, int64(rf.stagedSince))
	}
	rf.intakeWake.Notify()
	return rf.staged
}

// setTermLocked moves to a term, with a vote or without, and stages both as one.
// rf.mu must be held.
func (rf *Raft) setTermLocked(term uint64, vote candidate) {
	if !rf.guardTermLocked(term, vote) {
		return
	}
	if term > rf.currentTerm {
		rf.setLeaderLocked("")
		rf.termLeader = ""
		rf.agreedIndex = rf.commitIndex
		rf.logGrew.Release() // early requests of the old term
	}
	rf.currentTerm, rf.votedFor = term, vote
	rf.stageLocked(Stage{HardState: &HardState{Term: term, VotedFor: vote.id, VotedForIncarnation: vote.incarnation}})
}

// becomeFollowerLocked adopts a term that is at least currentTerm; leader is
// empty if nobody is known to lead it. A leader that steps down lets its reads
// and unappended proposals go and sets the election timer; nobody else's timer
// moves. rf.mu must be held.
func (rf *Raft) becomeFollowerLocked(term uint64, leader ServerID, why string) {
	if term > rf.currentTerm {
		rf.setTermLocked(term, candidate{})
	}
	rf.setLeaderLocked(leader)
	if rf.role == Follower {
		return
	}
	if t := rf.tenure; t != nil {
		rf.tenure, rf.ledUntil = nil, time.Now()
		rf.leading.Store(false)
		close(t.done)
		gone := rf.notLeaderLocked(why)
		t.failReads(gone)
		rf.reads.fail(gone)
		rf.inbox.reject(gone)
		rf.timer.reset()
		rf.logLocked(slog.LevelInfo, "stepped down", "led", t.term, "why", why)
	}
	rf.setRoleLocked(Follower)
}

// higherTermLocked steps down if a reply carries a higher term. rf.mu must be held.
func (rf *Raft) higherTermLocked(from ServerID, term uint64) bool {
	if term <= rf.currentTerm || term > maxIndex {
		return false
	}
	rf.becomeFollowerLocked(term, "", fmt.Sprintf("%s has term %d", from, term))
	return true
}

func (rf *Raft) setRoleLocked(role Role) {
	if rf.role != role {
		rf.role = role
		rf.observers.send(RoleChanged{Role: role, Term: rf.currentTerm})
	}
}

func (rf *Raft) setLeaderLocked(leader ServerID) {
	if rf.leader != leader {
		rf.leader = leader
		rf.observers.send(LeaderChanged{Leader: leader, Term: rf.currentTerm})
	}
}

// notLeaderLocked refuses with the hint this server has.
func (rf *Raft) notLeaderLocked(reason string) error {
	e := &NotLeaderError{Reason: reason}
	if rf.leader != rf.config.ID {
		e.Leader, e.Address = rf.leader, rf.address[rf.leader]
	}
	return e
}

// headerLocked begins a request of the current term to a server. rf.mu must be held.
func (rf *Raft) headerLocked(to ServerID) Header {
	s, _ := rf.configuration.Server(to)
	return Header{
		From: rf.config.ID, FromIncarnation: rf.incarnation,
		To: to, ToIncarnation: s.Incarnation, Term: rf.currentTerm,
	}
}
