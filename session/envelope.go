package session

import (
	"encoding/binary"
	"fmt"
	"time"
)

// Kind says what an entry asks of the table. The numbers are on disk; never
// reuse one.
type Kind uint8

const (
	KindOpen    Kind = 1 // open a session; its client id will be the entry's index
	KindCommand Kind = 2 // a command of a session
)

// Version is the envelope format this program writes, and the only one it reads.
const Version = 1

// Envelope is what the log holds of one command, all integers little-endian:
//
//	0         1      2         10       18    26      34
//	+---------+------+---------+--------+-----+-------+--- ... ---+
//	| version | kind | elapsed | client | seq | floor | command   |
//	+---------+------+---------+--------+-----+-------+--- ... ---+
//
// Of KindOpen, client, seq and floor are zero and there is no command. A byte is
// never given a second meaning: whatever changes raises the version.
type Envelope struct {
	Kind    Kind
	Elapsed time.Duration // since the leader took office, by its monotonic clock; stamped by the leader
	Client  uint64        // index of the entry that opened the session
	Seq     uint64        // 1 for the session's first command
	Floor   uint64        // the client has finished with every sequence number up to this one
	Command []byte        // for the machine inside
}

// HeaderBytes is what an envelope adds to a command.
const HeaderBytes = 34

// AppendHeader appends everything of e but its command to dst, so that a caller
// can encode the command straight behind it.
func AppendHeader(dst []byte, e *Envelope) []byte {
	dst = append(dst, Version, byte(e.Kind))
	for _, v := range [...]uint64{uint64(max(0, e.Elapsed)), e.Client, e.Seq, e.Floor} {
		dst = binary.LittleEndian.AppendUint64(dst, v)
	}
	return dst
}

// Append appends the encoding of e to dst.
func (e *Envelope) Append(dst []byte) []byte {
	return append(AppendHeader(dst, e), e.Command...)
}

// Decode reads an entry's data. The command shares its memory. The error is
// ErrUnsupported or ErrMalformed.
func Decode(data []byte) (Envelope, error) {
	if len(data) == 0 {
		return Envelope{}, fmt.Errorf("decode envelope: %w: it is empty", ErrMalformed)
	}
	if data[0] != Version {
		return Envelope{}, fmt.Errorf("decode envelope: %w", &UnsupportedError{Version: data[0]})
	}
	if len(data) < HeaderBytes {
		return Envelope{}, fmt.Errorf("decode envelope: %w: %d bytes, its header alone has %d", ErrMalformed, len(data), HeaderBytes)
	}
	u64 := func(at int) uint64 { return binary.LittleEndian.Uint64(data[at:]) }
	e := Envelope{
		Kind: Kind(data[1]), Elapsed: time.Duration(u64(2)),
		Client: u64(10), Seq: u64(18), Floor: u64(26), Command: data[HeaderBytes:],
	}
	switch {
	case e.Elapsed < 0:
		return Envelope{}, fmt.Errorf("decode envelope: %w: %d ns since a leader took office is above 2^63", ErrMalformed, u64(2))
	case e.Kind == KindCommand:
		return e, nil
	case e.Kind != KindOpen:
		return Envelope{}, fmt.Errorf("decode envelope: %w", &UnsupportedError{Version: data[0], Kind: e.Kind})
	case e.Client != 0 || e.Seq != 0 || e.Floor != 0 || len(e.Command) != 0:
		return Envelope{}, fmt.Errorf("decode envelope: %w: opening a session takes neither client, numbers nor command", ErrMalformed)
	}
	return e, nil
}
