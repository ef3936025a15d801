package wal

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"lockstep.example/raft"
	"lockstep.example/raft/vfs"
)

// handmade is a directory of two segments that no random id went into, so that
// its bytes can be kept and are the same in each process.
type handmade struct{ identity, boot, first, second []byte }

var handmadeID = raft.Identity{Cluster: "demo-1", Server: "n1", Incarnation: 1, Directory: []byte("0123456789abcdef"), BootCounter: 2}

func newHandmade() handmade {
	var c chain
	end := raft.Position(0)
	segment := func(sequence uint64, frames ...frame) []byte {
		h := segmentHeader{sequence: sequence, start: end, size: leastSegment, last: c.last, digest: digestOf(handmadeID), hard: c.hard}
		b := h.encode()
		for _, f := range frames {
			if f.kind == kindStage {
				if err := c.admit(&f); err != nil {
					panic(err)
				}
			}
			f.position, f.durable, f.term, f.boot = end, end, c.hard.Term, 1
			b = append(b, encodeFrame(testCodec, f)...)
			if f.kind == kindStage {
				end += raft.Position(f.size())
			}
		}
		return append(b, make([]byte, leastSegment-len(b))...)
	}
	boot := bootStage()
	return handmade{
		identity: encodeIdentity(handmadeID), boot: encodeBoot(handmadeID),
		first: segment(1,
			frame{kind: kindStage, hasHard: true, hard: *boot.HardState, first: 1, batch: boot.Batch, commit: 1},
			frame{kind: kindStage, hasHard: true, hard: *vote(2, "n2"), commit: 1},
			frame{kind: kindSeal}),
		second: segment(2,
			frame{kind: kindStage, first: 2, batch: entries(5, 1, 2), commit: 1},
			frame{kind: kindStage, hasHard: true, hard: *vote(3, "n3"), first: 3, batch: entries(3, 3), commit: 2},
			frame{kind: kindStage, commit: 3}),
	}
}

// rightSums gives a segment the digest of handmade, and its header and frames
// right checksums, walking from frame to frame as far as the sizes lead.
func rightSums(data []byte) []byte {
	if len(data) < segmentHeaderSize {
		return data
	}
	b, le := append([]byte(nil), data...), binary.LittleEndian
	digest := digestOf(handmadeID)
	copy(b[48:], digest[:])
	resumSegment(b)
	for at := segmentHeaderSize; at+frameHeaderSize <= len(b) && b[at+4] != 0; {
		head, body := frameHeaderSize+int(le.Uint16(b[at+6:])), int(le.Uint32(b[at+48:]))
		if at+head+body > len(b) {
			break
		}
		entries := raft.NewBatch(b[at+head:at+head+body], 0)
		le.PutUint32(b[at+56:], entries.CRC)
		resum(testCodec, b[at:at+head])
		at += int(padded(int64(head + body)))
	}
	return b
}

// The targets start from a directory that is good.
func TestHandmade(t *testing.T) {
	d := newHandmade()
	img := &image{files: map[string][]byte{identityName: d.identity, bootName: d.boot, segmentName(1): rightSums(d.first), segmentName(2): rightSums(d.second)}}
	w := open(t, img.with(t, "", nil), testDir, small())
	want := "term 3 vote \"n3\"/1 commit 3: 1:1:01010101010101010101 2:1:0101010101 3:3:030103"
	if got := describe(recoverLog(t, w)); got != want || w.Report().Frames != 5 || w.Report().TornBytes != 0 {
		t.Errorf("%s\nwant %s; %v", got, want, w.Report())
	}
}

// A frame that says the stream was durable beyond the frame itself is no writer's:
// recovery once cut its buffer there, and panicked.
func TestFrameDurableBeyondItself(t *testing.T) {
	d := newHandmade()
	second := segmentHeaderSize + int((&frame{hasHard: true, batch: bootStage().Batch}).size())
	end := second + int((&frame{hasHard: true, hard: *vote(2, "n2")}).size())
	for _, durable := range []uint64{uint64(second-segmentHeaderSize) + 8, 1 << 40, 1<<64 - 1} {
		bad := append([]byte(nil), d.first...)
		binary.LittleEndian.PutUint64(bad[second+16:], durable)
		clear(bad[end:]) // the seal
		img := &image{files: map[string][]byte{identityName: d.identity, bootName: d.boot, segmentName(1): rightSums(bad)}}
		var corrupt *CorruptError
		if _, err := Open(img.with(t, "", nil), testDir, small()); !errors.As(err, &corrupt) || corrupt.Offset != int64(second) || !strings.Contains(corrupt.Detail, "durable") {
			t.Errorf("durable up to %d: %v", durable, err)
		}
	}
}

// drawn is a source of randomness that a fuzzer chooses: its bytes first, then
// what follows from them.
type drawn struct {
	data []byte
	rest rand.PCG
}

func (d *drawn) Uint64() uint64 {
	if len(d.data) == 0 {
		return d.rest.Uint64()
	}
	b := d.data[0]
	d.data = d.data[1:]
	return uint64(b)<<56 | uint64(b)*0x01010101
}

// FuzzLives draws the life of a server: stages, flushes, and power losses that
// keep any part of what was not synced. After each the log is one that it was
// between the last flush that returned and the last stage.
func FuzzLives(f *testing.F) {
	f.Add([]byte("\x00\x10\x20\x30\x80\x00\x40\x50\x60\x80\xff\xff\x00\x80\xc0\x01"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		source := &drawn{data: data}
		r := rand.New(source)
		fsys := vfs.NewMem()
		w := create(t, fsys, testDir, small())
		m := model{}.stage(bootStage()).stage(raft.Stage{CommitIndex: 1})
		pending := []model{m} // the acknowledged state, and one for each stage since
		for step := 0; step < 40 && (len(source.data) > 0 || step < 8); step++ {
			switch r.IntN(4) {
			case 0, 1:
				s := randomStage(r, m)
				m = m.stage(s)
				pending = append(pending, m)
				w.Stage(s)
			case 2:
				flush(t, w)
				pending = pending[len(pending)-1:]
			default:
				image := fsys.Crash(func(l vfs.Loss) int { return r.IntN(l.Size + 1) })
				if r.IntN(3) == 0 {
					image = crashInFlush(t, w, fsys, r)
				}
				_ = w.Close()
				fsys = image
				w = open(t, fsys, testDir, small())
				got, at := describe(recoverLog(t, w)), -1
				for i, p := range pending {
					if p.String() == got {
						at = i
					}
				}
				if at < 0 {
					t.Fatalf("step %d: recovered %s\nexpected one of %v", step, got, pending)
				}
				m = pending[at]
				pending = []model{m}
			}
		}
		_ = w.Close()
	})
}
