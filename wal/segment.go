package wal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"strconv"
	"strings"

	"lockstep.example/raft"
	"lockstep.example/raft/vfs"
)

// A segment is a file that was filled with zeros before it was used, so that
// writing a frame changes no metadata of the file system. It begins with one
// sector that says what it is; the frames follow, each at the offset that its
// position dictates.
//
//	0           8            12        16           24               32
//	+-----------+------------+---------+------------+----------------+
//	| LOCKSTEP  | format (1) | CRC     | sequence   | start position |
//	+-----------+------------+---------+------------+----------------+
//	32          40           48           64          66                 512
//	+-----------+------------+------------+-----------+----------- ... --+
//	| file size | last index | identity   | hard size | hard state, then |
//	|           |            | digest     |           | zeros            |
//	+-----------+------------+------------+-----------+----------- ... --+
//
// CRC covers the 512 bytes with the CRC itself as zero.
const (
	segmentMagic      = "LOCKSTEP"
	segmentFormat     = 1
	segmentHeaderSize = 512
	digestSize        = 16

	segmentSuffix = ".segment"
	preparedName  = "segment.tmp" // a segment that has no place in the log yet
)

// segmentHeader is what a segment says about itself.
type segmentHeader struct {
	sequence uint64        // 1, 2, 3, ...
	start    raft.Position // of its first frame
	size     int64         // bytes of the file, zeros included
	last     uint64        // index of the last entry before it
	digest   [digestSize]byte
	hard     raft.HardState // in force when it began
}

// segment is an open segment.
type segment struct {
	segmentHeader
	path string
	file vfs.File
}

func (h *segmentHeader) offset(p raft.Position) int64 {
	return segmentHeaderSize + int64(p-h.start)
}

// fits tells whether a frame of this size can lie at p, with room left for the
// seal behind it.
func (h *segmentHeader) fits(p raft.Position, size int64) bool {
	return h.offset(p)+size+frameHeaderSize <= h.size
}

// roomFor is the size of the smallest file that takes a frame of this size.
func roomFor(size int64) int64 { return segmentHeaderSize + size + frameHeaderSize }

func (h *segmentHeader) encode() []byte {
	le := binary.LittleEndian
	b := append(make([]byte, 0, segmentHeaderSize), segmentMagic...)
	b = le.AppendUint32(b, segmentFormat)
	b = le.AppendUint32(b, 0)
	b = le.AppendUint64(b, h.sequence)
	b = le.AppendUint64(b, uint64(h.start))
	b = le.AppendUint64(b, uint64(h.size))
	b = le.AppendUint64(b, h.last)
	b = append(b, h.digest[:]...)
	b = le.AppendUint16(b, uint16(hardFixedSize+len(h.hard.VotedFor)))
	b = appendHardState(b, h.hard)
	b = b[:segmentHeaderSize]
	le.PutUint32(b[12:], crc32.Checksum(b, castagnoli))
	return b
}

// decodeSegmentHeader reads the header at the front of b; path is for the error,
// a *CorruptError or a *FormatError.
func decodeSegmentHeader(b []byte, path string) (segmentHeader, error) {
	le := binary.LittleEndian
	if len(b) < segmentHeaderSize || string(b[:8]) != segmentMagic {
		return segmentHeader{}, &CorruptError{Path: path, Detail: "no segment header"}
	}
	own := append([]byte(nil), b[:segmentHeaderSize]...)
	clear(own[12:16])
	hardSize := int(le.Uint16(b[64:]))
	if crc32.Checksum(own, castagnoli) != le.Uint32(b[12:]) || hardSize < hardFixedSize || 66+hardSize > segmentHeaderSize {
		return segmentHeader{}, &CorruptError{Path: path, Detail: "the segment header is damaged"}
	}
	// Only an intact header may say that it is of another format.
	if v := le.Uint32(b[8:]); v != segmentFormat {
		return segmentHeader{}, &FormatError{Path: path, Offset: 8, What: fmt.Sprintf("segment format %d", v)}
	}
	h := segmentHeader{
		sequence: le.Uint64(b[16:]), start: raft.Position(le.Uint64(b[24:])), size: int64(le.Uint64(b[32:])), last: le.Uint64(b[40:]),
		hard: decodeHardState(b[66 : 66+hardSize]),
	}
	copy(h.digest[:], b[48:])
	return h, nil
}

func segmentPath(dir string, sequence uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%016x%s", sequence, segmentSuffix))
}

// parseSegmentName returns the sequence of a segment file, false for any other
// name.
func parseSegmentName(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok || len(digits) != 16 {
		return 0, false
	}
	sequence, err := strconv.ParseUint(digits, 16, 64)
	return sequence, err == nil
}
