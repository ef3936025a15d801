package session

import (
	"errors"
	"fmt"
)

// Every error of this package is, by errors.Is, exactly one of these. doc.go has
// the table of what each means for a command.
var (
	ErrUnknownSession = errors.New("unknown session")
	ErrGone           = errors.New("result gone")
	ErrAhead          = errors.New("sequence number too far ahead")
	ErrUnsupported    = errors.New("unsupported envelope")
	ErrMalformed      = errors.New("malformed envelope")
)

// UnknownSessionError says that a client id is not in the table: never opened, or
// evicted since. The command was not executed now; an earlier copy of it may have
// been. errors.Is ErrUnknownSession.
type UnknownSessionError struct {
	Client uint64
}

func (e *UnknownSessionError) Error() string {
	return fmt.Sprintf("unknown session %d: never opened, or evicted because it was the least recently used one; whether an earlier copy of the command was executed is unknown; open a new session", e.Client)
}

func (e *UnknownSessionError) Is(target error) bool { return target == ErrUnknownSession }

// GoneError says that the result of a sequence number is no longer kept: the
// client told that it had finished with it, or it was too long to keep. The
// command was not executed now; an earlier copy of it may have been. errors.Is
// ErrGone.
type GoneError struct {
	Client, Seq, Floor uint64
}

func (e *GoneError) Error() string {
	return fmt.Sprintf("result gone: command %d of session %d is not executed a second time and its result is not kept (floor %d); whether it was executed is unknown", e.Seq, e.Client, e.Floor)
}

func (e *GoneError) Is(target error) bool { return target == ErrGone }

// AheadError says that a sequence number is beyond the window: the command was
// not executed. errors.Is ErrAhead.
type AheadError struct {
	Client, Seq, Floor, Window uint64
}

func (e *AheadError) Error() string {
	return fmt.Sprintf("sequence number %d of session %d is too far ahead: the floor is %d and the window %d; finish with earlier commands first", e.Seq, e.Client, e.Floor, e.Window)
}

func (e *AheadError) Is(target error) bool { return target == ErrAhead }

// UnsupportedError says that an envelope is of a version or kind this program
// does not know. It was not executed, on any server of this version. errors.Is
// ErrUnsupported.
type UnsupportedError struct {
	Version uint8
	Kind    Kind // zero if even the version is not known
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("unsupported envelope: version %d, kind %d; this program reads version %d, kinds %d and %d", e.Version, e.Kind, Version, KindOpen, KindCommand)
}

func (e *UnsupportedError) Is(target error) bool { return target == ErrUnsupported }
