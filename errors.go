package raft

import (
	"errors"
	"fmt"
)

// The errors of this package, to be matched by errors.Is, never by text. doc.go
// has the table of what each means for a proposal, and says which calls return
// others.
var (
	ErrNotLeader       = errors.New("not the leader")
	ErrOverloaded      = errors.New("overloaded")
	ErrTooLarge        = errors.New("too large")
	ErrStopped         = errors.New("stopped")
	ErrUnknown         = errors.New("outcome unknown")
	ErrRejected        = errors.New("rejected: another entry took its place")
	ErrNoAuthority     = errors.New("leader authority not verified")
	ErrMalformed       = errors.New("malformed")
	ErrConfig          = errors.New("bad configuration")
	ErrNotBootstrapped = errors.New("not bootstrapped")
	ErrBootstrapped    = errors.New("already bootstrapped")
	ErrStorage         = errors.New("storage failed")
	ErrInvariant       = errors.New("invariant broken")
	ErrPanic           = errors.New("panic")
)

// NotLeaderError refuses a proposal or a read: it had no effect. errors.Is
// ErrNotLeader.
type NotLeaderError struct {
	Leader  ServerID // the leader this server knows of; empty if none
	Address string   // its address in the configuration
	Reason  string   // what else is known, for people
}

func (e *NotLeaderError) Error() string {
	msg := "not the leader; no leader is known: try another server or again shortly"
	if e.Leader != "" {
		msg = fmt.Sprintf("not the leader; %s at %s was the last one heard: ask it", e.Leader, e.Address)
	}
	if e.Reason != "" {
		msg += " (" + e.Reason + ")"
	}
	return msg
}

func (e *NotLeaderError) Is(target error) bool { return target == ErrNotLeader }

// OverloadedError refuses a proposal because a byte budget is used up: it had no
// effect; propose again after a pause. errors.Is ErrOverloaded.
type OverloadedError struct {
	Budget string // which one: "uncommitted", "apply" or "inbox"
	Used   uint64 // bytes
	Limit  uint64 // bytes
}

func (e *OverloadedError) Error() string {
	if e.Used == 0 {
		return "overloaded: the command was not appended in time; nothing was written; propose again"
	}
	return fmt.Sprintf("overloaded: %d of %d bytes of the %s budget are used; propose again after a pause", e.Used, e.Limit, e.Budget)
}

func (e *OverloadedError) Is(target error) bool { return target == ErrOverloaded }

// TooLargeError refuses a command above the size limit: it had no effect.
// errors.Is ErrTooLarge.
type TooLargeError struct {
	Size, Limit int // bytes
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("too large: a command of %d bytes, the limit is %d", e.Size, e.Limit)
}

func (e *TooLargeError) Is(target error) bool { return target == ErrTooLarge }

// UnknownError ends the wait for a proposal that was appended and not seen
// applied: it may be applied later, or never. errors.Is ErrUnknown; it also
// wraps the cause, a context's error or that the server stopped.
type UnknownError struct {
	Index, Term uint64 // where it was appended
	Cause       error
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("outcome unknown: the proposal at index %d of term %d may yet be applied (%v); retry only what may happen twice, or through a session", e.Index, e.Term, e.Cause)
}

func (e *UnknownError) Is(target error) bool { return target == ErrUnknown }
func (e *UnknownError) Unwrap() error        { return e.Cause }

// RejectedError ends the wait for a proposal whose place in the log was taken by
// an entry of another term: it will never be applied. errors.Is ErrRejected.
type RejectedError struct {
	Index, Term uint64 // where it was appended
	Winner      uint64 // the term of an entry that was applied there or below
}

func (e *RejectedError) Error() string {
	return fmt.Sprintf("rejected: an entry of term %d was applied at or below index %d, so the one of term %d there never will be; propose it again", e.Winner, e.Index, e.Term)
}

func (e *RejectedError) Is(target error) bool { return target == ErrRejected }

// StorageError says what the Persister was doing when it failed. It is final:
// the server stops, for after a failed flush nothing staged can be trusted.
// errors.Is ErrStorage.
type StorageError struct {
	Op   string // "flush", "write", "open", ...
	Path string
	Err  error
}

func (e *StorageError) Error() string {
	return fmt.Sprintf("storage failed: %s %s: %v; mend the disk, then start the server again", e.Op, e.Path, e.Err)
}

func (e *StorageError) Is(target error) bool { return target == ErrStorage }
func (e *StorageError) Unwrap() error        { return e.Err }

// InvariantError names the invariant (invariants.go) that a server found broken. The operation was refused and the server stopped. errors.Is
// ErrInvariant.
type InvariantError struct {
	Name   string // COMMIT_END, ONE_LEADER, ...
	Detail string
}

func (e *InvariantError) Error() string {
	return fmt.Sprintf("invariant %s broken: %s; the server stopped: keep its directory and report this", e.Name, e.Detail)
}

func (e *InvariantError) Is(target error) bool { return target == ErrInvariant }

// PanicError is a panic of a daemon, a handler or the state machine, caught by
// the guard all of them run in. errors.Is ErrPanic.
type PanicError struct {
	Where string
	Value any
	Stack []byte
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("panic in %s: %v\n%s", e.Where, e.Value, e.Stack)
}

func (e *PanicError) Is(target error) bool { return target == ErrPanic }
