package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"lockstep.example/raft"
)

var testCodec = newCodec([]byte("0123456789abcdef"))

// resum gives a frame header of no hard state a right checksum again.
func resum(c codec, b []byte) []byte {
	before := min(frameHeaderSize+int(binary.LittleEndian.Uint16(b[6:])), len(b))
	binary.LittleEndian.PutUint32(b, crc32.Update(c.seed, castagnoli, b[4:before]))
	return b
}

// future returns a record of format 2 with a right checksum.
func future(record []byte) []byte {
	text := strings.Replace(string(record[:len(record)-recordSumSize]), " 1\n", " 2\nmore \"fields\"\n", 1)
	return fmt.Appendf(nil, "%scrc32c %08x\n", text, crc32.Checksum([]byte(text), castagnoli))
}

// futureSegment returns a segment header of format 2 with a right checksum.
func futureSegment(h segmentHeader) []byte {
	b := h.encode()
	binary.LittleEndian.PutUint32(b[8:], 2)
	binary.LittleEndian.PutUint32(b[12:], 0)
	binary.LittleEndian.PutUint32(b[12:], crc32.Checksum(b, castagnoli))
	return b
}

func encodeFrame(c codec, f frame) []byte {
	b := append(c.appendHeader(nil, &f), f.batch.Body...)
	return append(b, make([]byte, f.size()-int64(len(b)))...)
}

func sampleFrames() []frame {
	return []frame{
		{kind: kindStage, position: 64, durable: 64, hasHard: true, hard: *vote(7, "n2"), term: 7, commit: 3, boot: 4},
		{kind: kindStage, position: 128, durable: 64, first: 12, batch: entries(5, 6, 7, 7), term: 7, commit: 11},
		{kind: kindStage, position: 1 << 40, durable: 1 << 39, hasHard: true, hard: raft.HardState{Term: 9}, first: 1, batch: entries(0, 9), term: 9},
		{kind: kindSeal, position: 1 << 20, durable: 1 << 20, term: 2},
	}
}

func TestFrameRoundTrip(t *testing.T) {
	for i, f := range sampleFrames() {
		b := encodeFrame(testCodec, f)
		if len(b)%frameAlign != 0 {
			t.Errorf("frame %d has %d bytes", i, len(b))
		}
		got, err := testCodec.decode(append(b, 1, 2, 3), f.position)
		if err != nil || !sameFrame(got, f) {
			t.Errorf("frame %d: %+v, %v; wrote %+v", i, got, err, f)
		}
		if _, err := testCodec.decode(b, f.position+8); !errors.Is(err, errNoFrame) {
			t.Errorf("frame %d passes for one at another position: %v", i, err)
		}
		if _, err := newCodec([]byte("another")).decode(b, f.position); !errors.Is(err, errNoFrame) {
			t.Errorf("frame %d passes for one of another directory: %v", i, err)
		}
		for n := range b {
			if _, err := testCodec.decode(b[:n], f.position); err == nil {
				t.Errorf("frame %d passes with %d of %d bytes", i, n, len(b))
			}
		}
	}
}

func sameFrame(a, b frame) bool {
	body := bytes.Equal(a.batch.Body, b.batch.Body) && a.batch.CRC == b.batch.CRC && a.batch.Count == b.batch.Count
	a.batch, b.batch = raft.Batch{}, raft.Batch{}
	return body && fmt.Sprintf("%+v", a) == fmt.Sprintf("%+v", b)
}
