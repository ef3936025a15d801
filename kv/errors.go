package kv

import (
	"errors"
	"fmt"

	"lockstep.example/raft"
)

// Match on these with errors.Is, never on text. doc.go has the table of what each
// means for a command. Where the concept is that of package raft, so is the
// sentinel.
var (
	ErrUnknown     = raft.ErrUnknown
	ErrNotLeader   = raft.ErrNotLeader
	ErrOverloaded  = raft.ErrOverloaded
	ErrRejected    = raft.ErrRejected
	ErrStopped     = raft.ErrStopped
	ErrUnavailable = errors.New("unavailable")
	ErrConflict    = errors.New("revision conflict")
	ErrLimit       = errors.New("limit exceeded")
	ErrEmptyKey    = errors.New("empty key: a key has at least one byte")
	ErrInvalid     = errors.New("invalid request")
	ErrSession     = errors.New("session lost")
	ErrClosed      = errors.New("clerk closed")
	ErrUnsupported = errors.New("unsupported command")
	ErrMalformed   = errors.New("malformed command")
)

// UnknownError ends an operation whose command may have been executed once, or
// may yet be, or never: some server may have received it, and no answer to it came.
// Nobody will send it again. errors.Is ErrUnknown; it also wraps the latest cause.
type UnknownError struct {
	Op    string // "put", ...
	Cause error
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("%s: outcome unknown: the command may have been executed once, or not at all (%v); read the key to find out", e.Op, e.Cause)
}

func (e *UnknownError) Is(target error) bool { return target == ErrUnknown }
func (e *UnknownError) Unwrap() error        { return e.Cause }

// UnavailableError ends an operation that no server took before its deadline: a
// command was not executed, a read not served. errors.Is ErrUnavailable; it also
// wraps the latest cause.
type UnavailableError struct {
	Op    string
	Cause error
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("%s: unavailable: no server could do it before the deadline, and it had no effect (%v); try again, or see the status of the servers", e.Op, e.Cause)
}

func (e *UnavailableError) Is(target error) bool { return target == ErrUnavailable }
func (e *UnavailableError) Unwrap() error        { return e.Cause }

// unavailable makes an UnavailableError. Its cause is told in words only where it
// is an unknown outcome of something else than the operation itself, such as of
// opening the session: the error must not be taken for ErrUnknown.
func unavailable(op string, cause error) error {
	if errors.Is(cause, ErrUnknown) {
		cause = errors.New(cause.Error())
	}
	return &UnavailableError{Op: op, Cause: cause}
}

// SessionError ends an operation whose session the servers do not know: it was
// evicted, being the least recently used one. An earlier copy of the command may
// have been executed, so the error is ErrSession and ErrUnknown by errors.Is. The
// Clerk opens a new session for the operations after it.
type SessionError struct {
	Op     string
	Client uint64
}

func (e *SessionError) Error() string {
	return fmt.Sprintf("%s: session %d lost, outcome unknown: it was evicted while idle; the next operation opens a new one; read the key to find out", e.Op, e.Client)
}

func (e *SessionError) Is(target error) bool { return target == ErrSession || target == ErrUnknown }

// ConflictError says that CompareAndSwap found another revision: it changed
// nothing. errors.Is ErrConflict.
type ConflictError struct {
	Key              []byte
	Expected, Actual uint64 // mod revisions; 0: the key does not exist
	Revision         uint64 // of the store
}

func (e *ConflictError) Error() string {
	state := fmt.Sprintf("is at revision %d", e.Actual)
	if e.Actual == 0 {
		state = "does not exist"
	}
	want := fmt.Sprintf("revision %d", e.Expected)
	if e.Expected == 0 {
		want = "a new key"
	}
	return fmt.Sprintf("revision conflict: key %q %s, expected %s; nothing was changed: read it and decide again", e.Key, state, want)
}

func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// LimitError names the limit that a key, a value or a list is above. Nothing was
// changed. errors.Is ErrLimit.
type LimitError struct {
	What        string // "key", "value", "prefix", "start-after key"
	Size, Limit uint64 // bytes
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("limit exceeded: the %s would have %d bytes, the limit is %d; nothing was changed", e.What, e.Size, e.Limit)
}

func (e *LimitError) Is(target error) bool { return target == ErrLimit }

// RefusedError is a server's answer that it did not do what was asked. It is, by
// errors.Is, the sentinel of its code.
type RefusedError struct {
	Server  string // the ID of who refused
	Code    Code
	Message string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("server %s refused: %v: %s", e.Server, e.Code, e.Message)
}

func (e *RefusedError) Is(target error) bool { return codeErrors[e.Code] == target }

// codeErrors gives each code of a reply its sentinel.
var codeErrors = map[Code]error{
	CodeNotLeader: ErrNotLeader, CodeOverloaded: ErrOverloaded, CodeRejected: ErrRejected, CodeStopped: ErrStopped,
	CodeUnknown: ErrUnknown, CodeUnavailable: ErrUnavailable, CodeInvalid: ErrInvalid,
}

// NotSentError is implemented by an error of a Caller. If NotSent returns true
// nothing of the request can have left: it had no effect.
type NotSentError interface {
	error
	NotSent() bool
}

// notSent tells whether err proves that a request had no effect.
func notSent(err error) bool {
	var e NotSentError
	return errors.As(err, &e) && e.NotSent()
}
