package raft

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// EntryKind says what an entry is for. The numbers are on disk; never reuse one.
type EntryKind uint8

const (
	EntryCommand       EntryKind = 1 // bytes of the application; only these have a number of their own
	EntrySentinel      EntryKind = 2 // the no-op a new leader appends (thesis §6.4)
	EntryConfiguration EntryKind = 3 // a Configuration, whole
)

func (k EntryKind) String() string {
	switch k {
	case EntryCommand:
		return "command"
	case EntrySentinel:
		return "sentinel"
	case EntryConfiguration:
		return "configuration"
	}
	return fmt.Sprintf("unknown kind %d", uint8(k))
}

// Entry is one slot of the log.
type Entry struct {
	Index  uint64    // 1-based; 0 is before the log
	Term   uint64    // the term of the leader that appended it
	Number uint64    // how many commands the log holds up to and including this entry
	Bytes  uint64    // encoded bytes of all entries from index 1 to this one
	Kind   EntryKind // what Data is
	Data   []byte    // never changed once appended; not to be written by anyone
}

// Batch is a run of consecutive entries in the one encoding they ever have: the
// bytes a leader makes travel verbatim and lie verbatim on every disk, under one
// checksum. The index of the first is told beside it.
//
//	Body = entry*           all integers little-endian
//
//	0      1              9             13           13+length
//	+------+--------------+-------------+--- ... ---+
//	| kind | term         | length      | data      |
//	+------+--------------+-------------+--- ... ---+
type Batch struct {
	Body  []byte
	CRC   uint32 // CRC-32C of Body
	Count uint32 // entries in Body
}

const (
	entryHeaderSize = 13
	// maxIndex bounds terms and indexes taken from outside, so that adding to
	// one can never wrap.
	maxIndex = 1 << 62
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// AppendEntry appends the encoding of one entry to body.
func AppendEntry(body []byte, kind EntryKind, term uint64, data []byte) []byte {
	body = append(body, byte(kind))
	body = binary.LittleEndian.AppendUint64(body, term)
	body = binary.LittleEndian.AppendUint32(body, uint32(len(data)))
	return append(body, data...)
}

// NewBatch seals a body of count entries with its checksum.
func NewBatch(body []byte, count int) Batch {
	return Batch{Body: body, CRC: crc32.Checksum(body, castagnoli), Count: uint32(count)}
}

// Check verifies the checksum, for a batch that came from network or disk.
func (b Batch) Check() error {
	if got := crc32.Checksum(b.Body, castagnoli); got != b.CRC {
		return fmt.Errorf("%w: checksum of %d bytes of entries is %08x, expected %08x", ErrMalformed, len(b.Body), got, b.CRC)
	}
	return nil
}

// Walk calls f for each entry in order: kind, term and the entry's whole
// encoding, the data being raw[13:]. It ends at the first error, its own or
// f's. It does not verify the checksum; Check does.
func (b Batch) Walk(f func(kind EntryKind, term uint64, raw []byte) error) error {
	rest, count := b.Body, uint32(0)
	for len(rest) > 0 {
		if len(rest) < entryHeaderSize {
			return fmt.Errorf("%w: entry %d of a batch is cut in its header", ErrMalformed, count)
		}
		kind, term := EntryKind(rest[0]), binary.LittleEndian.Uint64(rest[1:])
		if kind < EntryCommand || kind > EntryConfiguration {
			return fmt.Errorf("%w: entry %d of a batch has %v; a newer version wrote it", ErrMalformed, count, kind)
		}
		if term == 0 || term > maxIndex {
			return fmt.Errorf("%w: entry %d of a batch has term %d", ErrMalformed, count, term)
		}
		size := entryHeaderSize + uint64(binary.LittleEndian.Uint32(rest[9:]))
		if size > uint64(len(rest)) {
			return fmt.Errorf("%w: entry %d of a batch claims %d bytes, %d are left", ErrMalformed, count, size, len(rest))
		}
		// The capacity runs on into the batch: log.body joins neighbours by it.
		if err := f(kind, term, rest[:size]); err != nil {
			return err
		}
		rest, count = rest[size:], count+1
	}
	if count != b.Count {
		return fmt.Errorf("%w: a batch claims %d entries and holds %d", ErrMalformed, b.Count, count)
	}
	return nil
}

// hasCommand tells whether a checked batch holds an entry of an application.
func (b Batch) hasCommand() (found bool) {
	_ = b.Walk(func(kind EntryKind, _ uint64, _ []byte) error { // checked, so no error
		found = found || kind == EntryCommand
		return nil
	})
	return found
}

// Entries decodes the batch, the first entry being at index first. Number and
// Bytes are filled in as if the log began there; Data shares the body's memory.
func (b Batch) Entries(first uint64) ([]Entry, error) {
	entries := make([]Entry, 0, min(int(b.Count), len(b.Body)/entryHeaderSize)) // Count is a claim
	var number, bytes uint64
	err := b.Walk(func(kind EntryKind, term uint64, raw []byte) error {
		if kind == EntryCommand {
			number++
		}
		bytes += uint64(len(raw))
		entries = append(entries, Entry{
			Index: first + uint64(len(entries)), Term: term, Number: number, Bytes: bytes, Kind: kind,
			Data: raw[entryHeaderSize:len(raw):len(raw)],
		})
		return nil
	})
	return entries, err
}
