package kv

import (
	"encoding/binary"
	"fmt"
)

// commandVersion is the command format this program writes, and the only one it
// reads.
const commandVersion = 1

// Command is what the log holds of an operation, inside a session's envelope. All
// integers are little-endian:
//
//	0         1    2            4     4+n
//	+---------+----+------------+-----+----------------------+-------+
//	| version | op | key length | key | revision, only of    | value |
//	|         |    |            |     | CompareAndSwap       |       |
//	+---------+----+------------+-----+----------------------+-------+
//
// op has the numbers of Op. Reads are not in the log.
type Command struct {
	Op       Op
	Key      []byte
	Value    []byte
	Revision uint64 // CompareAndSwap: the expected mod revision
}

// check refuses what breaks a limit or makes no sense, before the log.
func (c *Command) check() error {
	if err := checkKey(c.Key); err != nil {
		return err
	}
	if c.Op == OpDelete && len(c.Value) != 0 {
		return fmt.Errorf("%w: a delete has no value", ErrInvalid)
	}
	return checkSize("value", len(c.Value), MaxValueBytes)
}

// Append appends the encoding of c to dst. c must have been checked.
func (c *Command) Append(dst []byte) []byte {
	dst = append(dst, commandVersion, byte(c.Op))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(c.Key)))
	dst = append(dst, c.Key...)
	if c.Op == OpCompareAndSwap {
		dst = binary.LittleEndian.AppendUint64(dst, c.Revision)
	}
	return append(dst, c.Value...)
}

// DecodeCommand reads what Append wrote; key and value share data's memory. The
// error is ErrUnsupported or ErrMalformed. Limits are not checked.
func DecodeCommand(data []byte) (Command, error) {
	if len(data) == 0 {
		return Command{}, fmt.Errorf("%w: it is empty", ErrMalformed)
	}
	if data[0] != commandVersion {
		return Command{}, fmt.Errorf("%w: version %d; this program reads version %d", ErrUnsupported, data[0], commandVersion)
	}
	if len(data) < 4 {
		return Command{}, fmt.Errorf("%w: %d bytes, its header alone has 4", ErrMalformed, len(data))
	}
	c := Command{Op: Op(data[1])}
	if c.Op < OpPut || c.Op > OpCompareAndSwap {
		return Command{}, fmt.Errorf("%w: %v", ErrUnsupported, c.Op)
	}
	n, rest := int(binary.LittleEndian.Uint16(data[2:])), data[4:]
	if n > len(rest) {
		return Command{}, fmt.Errorf("%w: a key of %d bytes in %d", ErrMalformed, n, len(rest))
	}
	c.Key, rest = rest[:n:n], rest[n:]
	if c.Op == OpCompareAndSwap {
		if len(rest) < 8 {
			return Command{}, fmt.Errorf("%w: cut before its revision", ErrMalformed)
		}
		c.Revision, rest = binary.LittleEndian.Uint64(rest), rest[8:]
	}
	if c.Op == OpDelete && len(rest) != 0 {
		return Command{}, fmt.Errorf("%w: a delete with %d bytes too many", ErrMalformed, len(rest))
	}
	c.Value = rest
	return c, nil
}
