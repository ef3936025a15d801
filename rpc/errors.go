package rpc

import (
	"errors"
	"fmt"
)

// Match on these with errors.Is, never on text.
var (
	// Reasons to refuse a connection, told to the other side; see RefusedError.
	ErrProtocol      = errors.New("not this protocol")
	ErrVersion       = errors.New("no common wire version")
	ErrWrongCluster  = errors.New("wrong cluster")
	ErrWrongReceiver = errors.New("wrong receiver")
	ErrClone         = errors.New("clone: one server id, two processes")
	ErrNotPeer       = errors.New("not a peer")
	ErrBusy          = errors.New("too many connections")

	// Reasons why a call got no answer; see CallError.
	ErrNotSent      = errors.New("request not sent")
	ErrNotConnected = errors.New("not connected")
	ErrQueueFull    = errors.New("queue full")
	ErrTooLarge     = errors.New("message too large")
	ErrClosed       = errors.New("closed")
)

// RefusedError says why a connection was refused. It is, by errors.Is, the
// reason's sentinel: ErrWrongCluster and so on.
type RefusedError struct {
	Reason error  // one of the sentinels above
	By     string // who refused: an address, or "" for this process
	Detail string // for people
}

func (e *RefusedError) Error() string {
	by := ""
	if e.By != "" {
		by = " by " + e.By
	}
	return fmt.Sprintf("connection refused%s: %v: %s", by, e.Reason, e.Detail)
}

func (e *RefusedError) Unwrap() error { return e.Reason }

// refuse makes the error of a refusal by this process.
func refuse(reason error, format string, args ...any) *RefusedError {
	return &RefusedError{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// CallError says that a call was not answered, or answered with an error.
//
// If nothing of the request can have reached the server, Sent is false and the
// error is ErrNotSent by errors.Is: the request had no effect. Otherwise the
// outcome is unknown, unless Err is a net/rpc ServerError: then the method ran,
// and that is what it returned (or the server has no such method).
type CallError struct {
	Method string // "Service.Method"
	To     string // the peer's id and address, or the address
	Sent   bool
	Err    error // the cause
}

func (e *CallError) Error() string {
	how := "outcome unknown"
	if !e.Sent {
		how = "request not sent"
	}
	if isServerError(e.Err) {
		how = "it answered"
	}
	return fmt.Sprintf("call %s of %s: %s: %v", e.Method, e.To, how, e.Err)
}

func (e *CallError) Is(target error) bool { return target == ErrNotSent && !e.Sent }
func (e *CallError) Unwrap() error        { return e.Err }

// NotSent tells a caller that does not know this package what Sent says: package
// kv asks for it.
func (e *CallError) NotSent() bool { return !e.Sent }
