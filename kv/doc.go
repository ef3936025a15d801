// Package kv is a linearizable key-value store on Raft: keys and values are
// bytes, with etcd's revisions, compare-and-swap and ordered listing.
//
// The nouns:
//
//   - A Command is a change, as it lies in the log inside a session's envelope.
//   - The Store is the state machine: it executes commands, each once, and answers
//     reads. Its hash lets replicas be compared.
//   - A Server is one server's replica and the service clients talk to. Any
//     server takes any request: it forwards a command to the leader, one hop at
//     most, and serves a read itself after asking the leader what it must see.
//   - A Clerk is the client. Many operations may be in flight; each command
//     happens once at most, however often it is sent.
//
// Every error is, by errors.Is, one of these. What it says of a command:
//
//	ErrUnknown       the outcome is unknown: executed once, or not at all, or yet to be
//	ErrSession       the same, because the session was evicted; it is ErrUnknown too
//	ErrUnavailable   not executed: no server took it before the deadline
//	ErrConflict      not executed: CompareAndSwap found another revision
//	ErrLimit         not executed: a key or value is too long; LimitError names which
//	ErrEmptyKey      not executed
//	ErrInvalid       not executed: no server will take the request
//	ErrUnsupported   not executed: the servers are too old for the command
//	ErrMalformed     not executed: the servers could not read the command
//	ErrClosed        not executed: the Clerk was closed before
//
// ErrNotLeader, ErrOverloaded, ErrRejected and ErrStopped are a server's refusals:
// the Clerk tries elsewhere, and the latest one is wrapped in what it returns in
// the end. Match ErrUnknown first: an UnknownError may wrap a refusal, met by a
// later attempt.
//
// Reads fail with ErrUnavailable, ErrLimit, ErrEmptyKey, ErrInvalid or ErrClosed.
//
// Where to start: store.go for what a command does, server.go for a request's way
// in, clerk_run.go for what a client may conclude.
package kv
