package raft

import "time"

// ServerID names a server for as long as the cluster lives. A server's address
// is data in the configuration and may change; its ID may not.
type ServerID string

// Refusal says why a server did not do what an RPC asked. Only a conflict says
// where the logs part; any other refusal of entries means to send them again,
// later. A reply of a higher term makes the sender step down, whatever its
// Refusal.
type Refusal uint8

// The numbers travel; never reuse one.
const (
	Agreed            Refusal = 0  // not refused
	RefusedStaleTerm  Refusal = 1  // the receiver's term is higher; the reply carries it
	RefusedConflict   Refusal = 2  // AppendEntries: no entry of prevLogTerm at prevLogIndex
	RefusedBusy       Refusal = 3  // AppendEntries: a byte budget is used up; send again later
	RefusedNotForMe   Refusal = 4  // the message names another server, or a lower incarnation than the receiver knows
	RefusedLogBehind  Refusal = 5  // RequestVote: the candidate's log is less up to date than the voter's
	RefusedVoted      Refusal = 6  // RequestVote: the voter voted for another in this term
	RefusedHasLeader  Refusal = 7  // pre-vote: the voter heard from a leader within the minimum election timeout
	RefusedBlank      Refusal = 8  // the receiver was never admitted: incarnation 0
	RefusedNotLeader  Refusal = 9  // ReadIndex: the receiver does not lead, or lost the leadership meanwhile
	RefusedOverloaded Refusal = 10 // reserved
)

// Header is the part all requests share. From and To guard against a stale
// address book: a message for another server is refused before any state moves.
type Header struct {
	From            ServerID
	To              ServerID
	FromIncarnation uint64
	ToIncarnation   uint64
	Term            uint64 // the sender's currentTerm; of a pre-vote the term asked for
}

// RequestVoteArgs asks for a vote, or for a pre-vote (thesis §9.6) when PreVote
// is set.
type RequestVoteArgs struct {
	Header
	PreVote      bool
	Transfer     bool // reserved for leadership transfer
	LastLogIndex uint64
	LastLogTerm  uint64
}

// RequestVoteReply answers RequestVoteArgs.
type RequestVoteReply struct {
	Term    uint64 // the voter's durable currentTerm
	Granted bool
	Refusal Refusal // why not, if not Granted
}

// AppendEntriesArgs carries entries, a commit point, or both. With Heartbeat set
// it has no entries, and the answer proves a round (paper Figure 2; thesis §6.4
// for rounds).
type AppendEntriesArgs struct {
	Header
	PrevLogIndex uint64
	PrevLogTerm  uint64
	LeaderCommit uint64
	Round        uint64 // the leader's round when the message was built
	Heartbeat    bool   // no entries; the answer proves round and term only: no durability, no matchIndex
	Batch        Batch  // the entries after PrevLogIndex; empty for none
	Directory    []byte // reserved for admission: the directory id the configuration names for the receiver
}

// AppendEntriesReply answers AppendEntriesArgs. If Refusal is Agreed the
// receiver's log holds everything up to prevLogIndex + the entries sent, durably
// unless the request was a heartbeat.
type AppendEntriesReply struct {
	Term          uint64 // the receiver's currentTerm
	Refusal       Refusal
	ConflictTerm  uint64 // term of the receiver's entry at prevLogIndex; 0: the log is too short
	ConflictIndex uint64 // first index of ConflictTerm, or the receiver's last index + 1; always above its commitIndex
	CommitIndex   uint64 // the receiver's; a hint for nextIndex, never for matchIndex
	LastLogIndex  uint64 // the receiver's; told to people, never used to decide
}

// ReadIndexArgs asks the leader for an index a linearizable read must see.
type ReadIndexArgs struct {
	Header
}

// ReadIndexReply answers ReadIndexArgs. A read served at or after Index is
// linearizable.
type ReadIndexReply struct {
	Term        uint64
	Refusal     Refusal
	Index       uint64
	CommitIndex uint64 // the leader's, so that the follower need not wait for the next AppendEntries
	Leader      ServerID
}

// Transport connects a server to the others. Package rpc implements it over
// TCP; package tests over labrpc's simulated network.
type Transport interface {
	// Attach has incoming requests delivered to h from now on, each in a
	// goroutine of its own, replacing any earlier handler; Attach(nil) refuses
	// them. It never waits for calls that are under way.
	Attach(h Handler)
	// Connect returns the handle for calling another server. It does not wait
	// for a connection. A second Connect for the same id replaces the address.
	Connect(id ServerID, address string) Peer
}

// Peer sends requests to one server. No method blocks, whatever the state of the
// network: a request that cannot be queued fails. done is called exactly once,
// never from within the method itself, with either a reply or an error, at the
// latest about when the deadline passes; it may take locks but must not wait for
// events. Arguments belong to the transport until done is called.
//
// A transport keeps AppendEntries without Heartbeat in order where it can (rpc
// does); heartbeats, votes and reads travel apart from entries.
type Peer interface {
	RequestVote(args *RequestVoteArgs, deadline time.Time, done func(*RequestVoteReply, error))
	AppendEntries(args *AppendEntriesArgs, deadline time.Time, done func(*AppendEntriesReply, error))
	ReadIndex(args *ReadIndexArgs, deadline time.Time, done func(*ReadIndexReply, error))
}

// Handler receives requests: *Raft is one. A handler may wait (for a flush, for
// a round); an error means that no answer is given, as if the request were lost.
type Handler interface {
	HandleRequestVote(*RequestVoteArgs) (*RequestVoteReply, error)
	// HandleAppendEntries takes its turn, if it has one, and ends it after
	// staging on every way out. A nil turn means an unordered transport.
	HandleAppendEntries(*AppendEntriesArgs, Turn) (*AppendEntriesReply, error)
	HandleReadIndex(*ReadIndexArgs) (*ReadIndexReply, error)
	// Down tells what the transport saw of another server: its connections
	// closed, or another process answered in its name.
	Down(id ServerID, reason DownReason)
}

// DownReason is what a transport observed.
type DownReason uint8

const (
	// DownClosed is a hint: every connection to and from the server is closed.
	DownClosed DownReason = 1
	// DownRestarted is proof: the server's ID answers with another boot id.
	DownRestarted DownReason = 2
)

// Turn keeps the AppendEntries handlers of one connection in the order their
// bodies were read, although each runs in a goroutine of its own.
type Turn interface {
	// Wait returns when every earlier turn has ended; false if the connection
	// closed instead.
	Wait() bool
	// End lets the next one go. It may be called more than once.
	End()
}
