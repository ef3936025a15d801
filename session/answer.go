package session

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// status is the first byte of an answer. The numbers travel; never reuse one.
type status uint8

const (
	statusExecuted    status = 0
	statusOpened      status = 1
	statusUnknown     status = 2
	statusGone        status = 3
	statusAhead       status = 4
	statusUnsupported status = 5
	statusMalformed   status = 6
)

// statusFields is how many integers follow each status.
var statusFields = map[status]int{
	statusOpened: 2, statusUnknown: 1, statusGone: 3, statusAhead: 4, statusUnsupported: 2, statusMalformed: 0,
}

// Answer is what became of one entry: a status byte, then either the result of
// the machine inside or the numbers of the status, as little-endian uint64s.
type Answer struct {
	Result []byte // of a command
	Client uint64 // of KindOpen: the new client id
	Window uint64 // of KindOpen: how far above its floor the client may number
}

// appendAnswer appends an answer without a result.
func appendAnswer(dst []byte, s status, numbers ...uint64) []byte {
	dst = append(dst, byte(s))
	for _, n := range numbers {
		dst = binary.LittleEndian.AppendUint64(dst, n)
	}
	return dst
}

// refusal returns the answer to an envelope that Decode refused with err.
func refusal(err error) []byte {
	var unsupported *UnsupportedError
	if errors.As(err, &unsupported) {
		return appendAnswer(nil, statusUnsupported, uint64(unsupported.Version), uint64(unsupported.Kind))
	}
	return appendAnswer(nil, statusMalformed)
}

// ParseAnswer reads what Sessions.Apply left in a result's Value. A command that
// was not executed gives one of this package's errors. Result shares value's
// memory, which other callers may share too: it is not to be written.
func ParseAnswer(value []byte) (Answer, error) {
	if len(value) == 0 {
		return Answer{}, fmt.Errorf("parse answer: %w: it is empty", ErrMalformed)
	}
	s, rest := status(value[0]), value[1:]
	if s == statusExecuted {
		return Answer{Result: rest}, nil
	}
	count, known := statusFields[s]
	if !known || len(rest) != 8*count {
		return Answer{}, fmt.Errorf("parse answer: %w: status %d with %d bytes; a newer version may have written it", ErrMalformed, s, len(rest))
	}
	var n [4]uint64
	for i := range count {
		n[i] = binary.LittleEndian.Uint64(rest[8*i:])
	}
	switch s {
	case statusOpened:
		return Answer{Client: n[0], Window: n[1]}, nil
	case statusUnknown:
		return Answer{}, &UnknownSessionError{Client: n[0]}
	case statusGone:
		return Answer{}, &GoneError{Client: n[0], Seq: n[1], Floor: n[2]}
	case statusAhead:
		return Answer{}, &AheadError{Client: n[0], Seq: n[1], Floor: n[2], Window: n[3]}
	case statusUnsupported:
		return Answer{}, &UnsupportedError{Version: uint8(n[0]), Kind: Kind(n[1])}
	}
	return Answer{}, fmt.Errorf("%w: the log holds an entry that is no command of a session; it was not executed", ErrMalformed)
}
