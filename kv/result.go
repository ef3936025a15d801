package kv

import (
	"encoding/binary"
	"fmt"
)

// status is what the store made of a command. The numbers travel, and sessions
// keep them; never reuse one.
type status uint8

const (
	statusDone        status = 0 // the store changed
	statusMissing     status = 1 // Delete: there was no such key, nothing changed
	statusConflict    status = 2 // CompareAndSwap: modRevision is the actual one
	statusEmptyKey    status = 3
	statusLongKey     status = 4 // size is the key's
	statusLongValue   status = 5 // size is the value's, or the one Append would have led to
	statusUnsupported status = 6
	statusMalformed   status = 7
)

// result is what the store made of one command, all integers little-endian:
//
//	0        1          9                 17             25        33     41
//	+--------+----------+-----------------+--------------+---------+------+
//	| status | revision | create revision | mod revision | version | size |
//	+--------+----------+-----------------+--------------+---------+------+
//
// revision is the store's after the command; the next three are the key's after
// it (before it, of a deleted key), zero if there is no such key.
type result struct {
	status                               status
	revision, create, mod, version, size uint64
}

const resultBytes = 41

func (r *result) append(dst []byte) []byte {
	dst = append(dst, byte(r.status))
	for _, v := range [...]uint64{r.revision, r.create, r.mod, r.version, r.size} {
		dst = binary.LittleEndian.AppendUint64(dst, v)
	}
	return dst
}

// WriteResult is what a command did.
type WriteResult struct {
	Revision       uint64 // the store's, after the command
	Found          bool   // Delete: the key existed, and what follows is what it was; else true
	CreateRevision uint64 // the key's, as KeyValue has them
	ModRevision    uint64
	Version        uint64
}

// ParseResult reads the result of a command as session.ParseAnswer returned it.
// The command is what was asked, for the error's text. A command that changed
// nothing, but for a Delete of a missing key, gives ErrConflict, ErrLimit,
// ErrEmptyKey, ErrUnsupported or ErrMalformed.
func ParseResult(data []byte, c *Command) (WriteResult, error) {
	if len(data) != resultBytes {
		return WriteResult{}, fmt.Errorf("%w: a result of %d bytes, expected %d; a newer version may have written it", ErrMalformed, len(data), resultBytes)
	}
	u64 := func(at int) uint64 { return binary.LittleEndian.Uint64(data[at:]) }
	r := result{status(data[0]), u64(1), u64(9), u64(17), u64(25), u64(33)}
	switch r.status {
	case statusDone, statusMissing:
		return WriteResult{r.revision, r.status == statusDone, r.create, r.mod, r.version}, nil
	case statusConflict:
		return WriteResult{}, &ConflictError{Key: c.Key, Expected: c.Revision, Actual: r.mod, Revision: r.revision}
	case statusEmptyKey:
		return WriteResult{}, ErrEmptyKey
	case statusLongKey:
		return WriteResult{}, &LimitError{What: "key", Size: r.size, Limit: MaxKeyBytes}
	case statusLongValue:
		return WriteResult{}, &LimitError{What: "value", Size: r.size, Limit: MaxValueBytes}
	case statusUnsupported:
		return WriteResult{}, fmt.Errorf("%w: the servers do not know this command; it had no effect: upgrade them first", ErrUnsupported)
	case statusMalformed:
		return WriteResult{}, fmt.Errorf("%w: the servers could not read it; it had no effect", ErrMalformed)
	}
	return WriteResult{}, fmt.Errorf("%w: a result of status %d; a newer version may have written it", ErrMalformed, r.status)
}
