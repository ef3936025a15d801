package kv

import (
	"context"
	"fmt"
	"time"
)

// ServiceName is the name to register a Server's methods under, on the port
// that also serves Raft.
const ServiceName = "KV"

// The methods of the service, in the form net/rpc wants.
const (
	MethodDo     = ServiceName + ".Do"     // *Request -> *Reply
	MethodStatus = ServiceName + ".Status" // *StatusRequest -> *StatusReply
)

// Caller sends a request to the service of the server at address and fills in
// reply; rpc.Client is one. It returns by the end of ctx at the latest, and then
// touches neither args nor reply any more. An error that is a NotSentError with
// NotSent true proves that the request had no effect; after any other error the
// outcome is unknown. It delivers a request once at most: a command would be
// executed once all the same, but the refusal of one copy would say nothing of the
// other.
type Caller interface {
	Call(ctx context.Context, address, method string, args, reply any) error
}

// Op is what a request asks for. The numbers travel; never reuse one.
type Op uint8

const (
	OpGet            Op = 1 // Key
	OpList           Op = 2 // Key is the prefix; After, Limit
	OpOpenSession    Op = 3
	OpPut            Op = 4 // Key, Value
	OpAppend         Op = 5 // Key, Value
	OpDelete         Op = 6 // Key
	OpCompareAndSwap Op = 7 // Key, Value, Revision
)

var opNames = map[Op]string{
	OpGet: "get", OpList: "list", OpOpenSession: "open session", OpPut: "put", OpAppend: "append", OpDelete: "delete",
	OpCompareAndSwap: "compare-and-swap",
}

func (op Op) String() string {
	if name, ok := opNames[op]; ok {
		return name
	}
	return fmt.Sprintf("unknown operation %d", uint8(op))
}

// reads tells whether op leaves the store as it is; such a request never enters
// the log.
func (op Op) reads() bool { return op == OpGet || op == OpList }

// Request asks a server for one operation. It travels as an array: a field may be
// added at the end, none removed or moved.
type Request struct {
	Op        Op
	Key       []byte
	Value     []byte
	Revision  uint64        // CompareAndSwap: the expected mod revision; 0: the key must not exist
	After     []byte        // List: only keys above this one
	Limit     uint32        // List: at most so many keys; 0: MaxListItems
	Client    uint64        // of a command: its session
	Seq       uint64        // of a command: its sequence number
	Floor     uint64        // of a command: the client has finished with all numbers up to this one
	Stale     bool          // of a read: what this server has applied will do
	Forwarded bool          // a server passed it on; it goes no further
	Timeout   time.Duration // the time budget; 0: DefaultTimeout; at most MaxTimeout
}

// Code is the outcome of a request. The numbers travel; never reuse one.
type Code uint8

const (
	CodeOK          Code = 0 // a read was served; or a command was applied, and Answer says what became of it
	CodeNotLeader   Code = 1 // no effect: no leader took it; Leader may say who leads
	CodeOverloaded  Code = 2 // no effect: a bound is reached; try again after a pause
	CodeRejected    Code = 3 // no effect: another entry took the command's place
	CodeStopped     Code = 4 // no effect: the server is stopping
	CodeUnknown     Code = 5 // the command may be executed, now, later or never
	CodeUnavailable Code = 6 // the read could not be served here
	CodeInvalid     Code = 7 // no effect: no server will ever take this request
)

var codeNames = map[Code]string{
	CodeOK: "ok", CodeNotLeader: "not the leader", CodeOverloaded: "overloaded", CodeRejected: "rejected", CodeStopped: "stopped",
	CodeUnknown: "outcome unknown", CodeUnavailable: "unavailable", CodeInvalid: "invalid request",
}

func (c Code) String() string {
	if name, ok := codeNames[c]; ok {
		return name
	}
	return fmt.Sprintf("unknown code %d", uint8(c))
}

// Reply answers a Request.
type Reply struct {
	Code     Code
	Message  string     // why, for people; empty if CodeOK
	Server   string     // ID of the server that did or refused it
	Leader   string     // address of the leader as that server knows it; empty if it knows of none
	Answer   []byte     // of a command: for session.ParseAnswer, then ParseResult
	Items    []KeyValue // of a read; a Get of a missing key has none
	More     bool       // List: there are keys after the last item
	Revision uint64     // of a read: the store's revision it was served at
	Applied  uint64     // of a read: the log index it was served at
	Stale    bool       // of a read: it may miss writes that were acknowledged before it
}

// KeyValue is one key with its value and revisions.
type KeyValue struct {
	Key            []byte
	Value          []byte
	CreateRevision uint64 // the store's revision when the key was made
	ModRevision    uint64 // the store's revision when it last changed
	Version        uint64 // how many changes it has seen since it was made; 1 for a new key
}

// StatusRequest asks a server for its status.
type StatusRequest struct{}

// StatusReply is what one server says of itself. Raft's part and the store's part
// are each consistent, but not taken at the same moment: Hash is of the state
// after HashIndex, so servers with equal HashIndex must have equal Hash.
type StatusReply struct {
	ID            string
	Role          string
	Term          uint64
	Leader        string // ID; empty if it knows of none
	LeaderAddress string
	CommitIndex   uint64
	LastApplied   uint64
	LastLogIndex  uint64
	Lag           uint64 // entries in its log that it has not applied
	Why           string // one line: what it does, or what is missing for writes to work
	Live          bool   // the server runs and its disk answers
	Ready         bool   // it leads with a quorum, or hears a leader
	Revision      uint64
	Keys          uint64
	Sessions      uint64
	InFlight      uint64           // requests it is working on
	Hash          uint64           // of store and sessions
	HashIndex     uint64           // index of the last command applied when Hash was taken
	Followers     []FollowerStatus // of a leader
}

// FollowerStatus is what a leader knows of a follower.
type FollowerStatus struct {
	ID         string
	State      string
	MatchIndex uint64
	Lag        uint64 // entries it is behind the leader's log
	LastError  string // of the latest call to it; empty if that succeeded
}
