package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"lockstep.example/raft"
)

// A frame is what one Stage call leaves on disk, whole or not at all. All
// integers are little-endian; FORMAT.md says what each field is for.
//
//	0         4      5      6           8                16
//	+---------+------+------+-----------+----------------+
//	| own CRC | kind | zero | hard size | position       |
//	+---------+------+------+-----------+----------------+
//	16               24              32                  40
//	+----------------+---------------+-------------------+
//	| durable        | first index   | writer's term     |
//	+----------------+---------------+-------------------+
//	40               48              52      56          60      64
//	+----------------+---------------+-------+-----------+-------+
//	| commit hint    | body size     | count | body CRC  | boot  |
//	+----------------+---------------+-------+-----------+-------+
//	64                                64+hard size
//	+----- ... -----------------------+----- ... -------+- ... ---------------+
//	| hard state: term, incarnation,  | body: entries,  | zeros to a multiple |
//	| vote (8 + 8 + the rest)         | verbatim        | of 8                |
//	+----- ... -----------------------+----- ... -------+- ... ---------------+
//
// own CRC covers everything before the body, body CRC is that of the batch.
const (
	frameHeaderSize = 64
	frameAlign      = 8
	hardFixedSize   = 16
	maxServerID     = 128       // bytes; as the root package has it
	maxBodySize     = 1<<31 - 1 // bytes of entries in one frame
)

// frameKind says what a frame is. The numbers are on disk; never reuse one.
type frameKind uint8

const (
	kindStage         frameKind = 1 // a hard state, entries, a commit hint: any of them
	kindSeal          frameKind = 2 // ends a segment that has a successor
	kindConfiguration frameKind = 3 // reserved
	kindTruncateAll   frameKind = 4 // reserved: the log is empty after an installed snapshot
	kindSnapshotMark  frameKind = 5 // reserved
	kindHighWater     frameKind = 6 // reserved
)

func (k frameKind) String() string {
	name := map[frameKind]string{
		kindStage: "stage", kindSeal: "seal", kindConfiguration: "configuration",
		kindTruncateAll: "truncate all", kindSnapshotMark: "snapshot mark", kindHighWater: "high-water mark",
	}[k]
	if name == "" {
		name = "no name known"
	}
	return fmt.Sprintf("frame kind %d (%s)", uint8(k), name)
}

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)

	// errNoFrame: there is no frame here, or its header is damaged.
	errNoFrame = errors.New("no intact frame header")
	// errBody: the header is intact, the body is damaged.
	errBody = errors.New("checksum of the entries does not match")
)

// frame is a Stage call on its way to disk or back.
type frame struct {
	kind     frameKind
	position raft.Position // of its first byte in the stream
	durable  raft.Position // up to here the stream was durable when this was written
	boot     uint32        // the boot counter of the writer
	hasHard  bool
	hard     raft.HardState
	first    uint64     // index of the first entry of batch; 0: no entries
	batch    raft.Batch // read back, Body shares the memory it was read from
	term     uint64     // the writer's term, this frame included
	commit   uint64     // the writer's commitIndex
}

func (f *frame) hardSize() int {
	if !f.hasHard {
		return 0
	}
	return hardFixedSize + len(f.hard.VotedFor)
}

// size is what the frame takes in the stream and in a file, padding included.
func (f *frame) size() int64 {
	return padded(int64(frameHeaderSize + f.hardSize() + len(f.batch.Body)))
}

func padded(n int64) int64 { return (n + frameAlign - 1) &^ (frameAlign - 1) }

// codec reads and writes the frames of one directory. Its seed, derived from the
// random directory id, starts every header checksum: frames of other directories
// do not pass, and bytes a client sends cannot be made to look like a frame.
type codec struct {
	seed    uint32
	maxBody int // maxBodySize, but in tests
}

func newCodec(directory []byte) codec {
	return codec{seed: crc32.Checksum(directory, castagnoli), maxBody: maxBodySize}
}

// check refuses a frame that could not be read back.
func (c codec) check(f *frame) error {
	if n := len(f.hard.VotedFor); n > maxServerID {
		return fmt.Errorf("a vote for a server id of %d bytes; the limit is %d", n, maxServerID)
	}
	if n := len(f.batch.Body); n > c.maxBody {
		return fmt.Errorf("entries of %d bytes in one batch; the limit is %d", n, c.maxBody)
	}
	return nil
}

// appendHeader appends all of f that lies before its body.
func (c codec) appendHeader(dst []byte, f *frame) []byte {
	le, start := binary.LittleEndian, len(dst)
	dst = le.AppendUint32(dst, 0)
	dst = append(dst, byte(f.kind), 0)
	dst = le.AppendUint16(dst, uint16(f.hardSize()))
	dst = le.AppendUint64(dst, uint64(f.position))
	dst = le.AppendUint64(dst, uint64(f.durable))
	dst = le.AppendUint64(dst, f.first)
	dst = le.AppendUint64(dst, f.term)
	dst = le.AppendUint64(dst, f.commit)
	dst = le.AppendUint32(dst, uint32(len(f.batch.Body)))
	dst = le.AppendUint32(dst, f.batch.Count)
	dst = le.AppendUint32(dst, f.batch.CRC)
	dst = le.AppendUint32(dst, f.boot)
	if f.hasHard {
		dst = appendHardState(dst, f.hard)
	}
	le.PutUint32(dst[start:], crc32.Update(c.seed, castagnoli, dst[start+4:]))
	return dst
}

func appendHardState(dst []byte, h raft.HardState) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, h.Term)
	dst = binary.LittleEndian.AppendUint64(dst, h.VotedForIncarnation)
	return append(dst, h.VotedFor...)
}

// decodeHardState reads at least hardFixedSize bytes.
func decodeHardState(b []byte) raft.HardState {
	return raft.HardState{
		Term:                binary.LittleEndian.Uint64(b),
		VotedForIncarnation: binary.LittleEndian.Uint64(b[8:]),
		VotedFor:            raft.ServerID(b[hardFixedSize:]),
	}
}

// decodeHeader reads the header at the front of b, which lies at the given
// position of the stream, and slices out the body without looking at it. It
// fails with errNoFrame, or with a *FormatError (without a path) if the header
// is intact and its kind unknown.
func (c codec) decodeHeader(b []byte, position raft.Position) (frame, error) {
	le := binary.LittleEndian
	// The position decides first: it is the cheapest test in a scan.
	if len(b) < frameHeaderSize || raft.Position(le.Uint64(b[8:])) != position {
		return frame{}, errNoFrame
	}
	hardSize, bodySize := int(le.Uint16(b[6:])), int64(le.Uint32(b[48:]))
	before := frameHeaderSize + hardSize
	if b[4] == 0 || before > len(b) || crc32.Update(c.seed, castagnoli, b[4:before]) != le.Uint32(b) {
		return frame{}, errNoFrame
	}
	f := frame{
		kind: frameKind(b[4]), position: position, durable: raft.Position(le.Uint64(b[16:])),
		first: le.Uint64(b[24:]), term: le.Uint64(b[32:]), commit: le.Uint64(b[40:]), boot: le.Uint32(b[60:]),
	}
	if f.kind != kindStage && f.kind != kindSeal {
		return frame{}, &FormatError{What: f.kind.String()}
	}
	if b[5] != 0 {
		return frame{}, &FormatError{What: "a frame with fields of a later format"}
	}
	if hardSize != 0 {
		if hardSize < hardFixedSize {
			return frame{}, errNoFrame
		}
		f.hasHard, f.hard = true, decodeHardState(b[frameHeaderSize:before])
	}
	if bodySize > int64(c.maxBody) || padded(int64(before)+bodySize) > int64(len(b)) {
		return frame{}, errNoFrame
	}
	f.batch = raft.Batch{Body: b[before : before+int(bodySize)], Count: le.Uint32(b[52:]), CRC: le.Uint32(b[56:])}
	return f, nil
}

// decode is decodeHeader with the body's checksum verified: errBody.
func (c codec) decode(b []byte, position raft.Position) (frame, error) {
	f, err := c.decodeHeader(b, position)
	if err == nil && len(f.batch.Body) > 0 && f.batch.Check() != nil {
		return frame{}, errBody
	}
	return f, err
}
