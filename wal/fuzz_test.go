package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"strconv"
	"strings"
	"testing"

	"lockstep.example/raft"
	"lockstep.example/raft/internal/allocs"
	"lockstep.example/raft/vfs"
)

// FuzzDecodeFrame feeds the decoder anything, with the checksum of the header
// made right so that it looks further. What it takes for a frame is one that
// the encoder writes.
func FuzzDecodeFrame(f *testing.F) {
	for _, s := range sampleFrames() {
		b := encodeFrame(testCodec, s)
		f.Add(b, uint64(s.position))
		f.Add(b[:len(b)/2], uint64(s.position))
	}
	huge := encodeFrame(testCodec, frame{kind: kindStage, position: 8})
	binary.LittleEndian.PutUint32(huge[48:], 1<<32-1)
	f.Add(huge, uint64(8))
	f.Add(make([]byte, 256), uint64(0))
	f.Fuzz(func(t *testing.T, data []byte, position uint64) {
		b := bytes.Clone(data)
		if len(b) >= frameHeaderSize {
			resum(testCodec, b)
		}
		input := bytes.Clone(b)
		got, err := testCodec.decode(b, raft.Position(position))
		if !bytes.Equal(b, input) {
			t.Fatalf("the input became %x", b)
		}
		if err != nil {
			if err != errNoFrame && err != errBody && !errors.Is(err, ErrFormat) {
				t.Fatal(err)
			}
			return
		}
		again := encodeFrame(testCodec, got)
		if used := frameHeaderSize + got.hardSize() + len(got.batch.Body); got.size() > int64(len(b)) || !bytes.Equal(again[:used], b[:used]) {
			t.Fatalf("%x was read as %+v, which is written as %x", b, got, again)
		}
	})
}

// FuzzFrameValues starts from what a frame says. It is read back at its position
// and nowhere else, and with one bit flipped not as another frame.
func FuzzFrameValues(f *testing.F) {
	f.Add(false, uint64(64), uint64(0), uint32(1), true, uint64(7), uint64(1), "n2", uint64(3), []byte("body"), uint32(1), uint64(7), uint64(2), uint16(9))
	f.Add(true, uint64(1)<<62, uint64(1)<<62, uint32(1<<32-1), false, uint64(0), uint64(0), "", uint64(0), []byte{}, uint32(0), uint64(9), uint64(0), uint16(300))
	f.Fuzz(func(t *testing.T, seal bool, position, durable uint64, boot uint32, hasHard bool, term, incarnation uint64, vote string,
		first uint64, body []byte, count uint32, writer, commit uint64, flip uint16) {
		want := frame{
			kind: kindStage, position: raft.Position(position), durable: raft.Position(durable), boot: boot,
			first: first, batch: raft.NewBatch(body, int(count)), term: writer, commit: commit,
		}
		if seal {
			want.kind = kindSeal
		}
		if hasHard {
			want.hasHard, want.hard = true, raft.HardState{Term: term, VotedForIncarnation: incarnation, VotedFor: raft.ServerID(vote[:min(len(vote), maxServerID)])}
		}
		if err := testCodec.check(&want); err != nil {
			t.Fatal(err)
		}
		b := encodeFrame(testCodec, want)
		if got, err := testCodec.decode(append(b, 1, 2, 3), want.position); err != nil || !sameFrame(got, want) {
			t.Fatalf("%+v came back as %+v, %v", want, got, err)
		}
		if got, err := testCodec.decode(b, want.position+8); err != errNoFrame {
			t.Fatalf("at another position: %+v, %v", got, err)
		}
		at := int(flip) % (8 * (frameHeaderSize + want.hardSize() + len(body))) // not the padding
		b[at/8] ^= 1 << (at % 8)
		if got, err := testCodec.decode(b, want.position); err == nil {
			t.Fatalf("bit %d flipped: %+v was read as %+v", at, want, got)
		}
	})
}

// resumSegment gives the header of a segment a right checksum again.
func resumSegment(b []byte) {
	if len(b) >= segmentHeaderSize {
		clear(b[12:16])
		binary.LittleEndian.PutUint32(b[12:], crc32.Checksum(b[:segmentHeaderSize], castagnoli))
	}
}

// FuzzSegmentHeader reads anything as the header of a segment.
func FuzzSegmentHeader(f *testing.F) {
	h := segmentHeader{sequence: 2, start: 64, size: 1024, last: 3, digest: [digestSize]byte{1, 15: 2}, hard: *vote(4, "n2")}
	f.Add(h.encode())
	f.Add(futureSegment(h))
	f.Add(h.encode()[:segmentHeaderSize-1])
	long := h.encode()
	binary.LittleEndian.PutUint16(long[64:], 1<<16-1)
	f.Add(long)
	f.Fuzz(func(t *testing.T, data []byte) {
		b := bytes.Clone(data)
		resumSegment(b)
		input := bytes.Clone(b)
		h, err := decodeSegmentHeader(b, "path")
		if !bytes.Equal(b, input) {
			t.Fatalf("the input became %x", b)
		}
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrFormat) {
				t.Fatal(err)
			}
			return
		}
		if again, err := decodeSegmentHeader(append(h.encode(), 7), "path"); len(h.hard.VotedFor) <= maxServerID && (err != nil || again != h) {
			t.Fatalf("%+v came back as %+v, %v", h, again, err)
		}
	})
}

// FuzzRecord reads anything as the identity and the boot file of a directory,
// with the checksum at the end made right or not.
func FuzzRecord(f *testing.F) {
	id := raft.Identity{Cluster: "demo \"1\"\n", Server: "n1", Incarnation: 1, Directory: []byte("0123456789abcdef"), BootCounter: 7}
	for _, sum := range []bool{true, false} {
		f.Add(encodeIdentity(id), sum)
		f.Add(encodeBoot(id), sum)
		f.Add(future(encodeIdentity(id)), sum)
	}
	f.Fuzz(func(t *testing.T, data []byte, sum bool) {
		b := bytes.Clone(data)
		if sum && len(b) >= recordSumSize {
			text := b[:len(b)-recordSumSize]
			b = fmt.Appendf(bytes.Clone(text), "crc32c %08x\n", crc32.Checksum(text, castagnoli))
		}
		fsys := vfs.NewMem()
		for _, name := range []string{identityName, bootName} {
			if err := vfs.WriteFile(fsys, "/"+name, b); err != nil {
				t.Fatal(err)
			}
		}
		got, err := readIdentity(fsys, "/")
		checkRefusal(t, err)
		if err == nil {
			lines := strings.Split(string(b), "\n")
			cluster, err1 := strconv.Unquote(strings.TrimPrefix(lines[1], "cluster "))
			server, err2 := strconv.Unquote(strings.TrimPrefix(lines[2], "server "))
			if err1 != nil || err2 != nil || cluster != got.Cluster || server != string(got.Server) || server == "" {
				t.Fatalf("%q was read as %+v", b, got)
			}
			if err := vfs.WriteFile(fsys, "/"+identityName, encodeIdentity(got)); err != nil {
				t.Fatal(err)
			}
			again, err := readIdentity(fsys, "/")
			// Another way to quote a name may be the shorter one.
			if n := len(encodeIdentity(got)); n <= maxRecordSize && (err != nil || fmt.Sprintf("%+v", again) != fmt.Sprintf("%+v", got)) {
				t.Fatalf("%+v came back as %+v, %v", got, again, err)
			}
		}
		counter, err := readBoot(fsys, "/", id)
		checkRefusal(t, err)
		if err == nil {
			again := id
			again.BootCounter = counter
			if err := vfs.WriteFile(fsys, "/"+bootName, encodeBoot(again)); err != nil {
				t.Fatal(err)
			}
			if back, err := readBoot(fsys, "/", id); err != nil || back != counter {
				t.Fatalf("counter %d came back as %d, %v", counter, back, err)
			}
		}
	})
}

// checkRefusal fails on an error that does not say what is wrong with a file.
func checkRefusal(t *testing.T, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrFormat) {
		t.Fatal(err)
	}
}

// FuzzDirectory opens anything as a directory of two segments; an empty content
// stands for a missing file. With sums, every checksum that can be found is made
// right. A refusal names what is wrong and changes nothing. A log that is shown
// makes sense, is durable, and can be gone on with.
func FuzzDirectory(f *testing.F) {
	d := newHandmade()
	f.Add(d.identity, d.boot, d.first, d.second, false)
	f.Add(d.identity, d.boot, d.first, d.second, true)
	f.Add(d.identity, d.boot, d.first, []byte{}, true)
	torn := bytes.Clone(d.second)
	torn[segmentHeaderSize+70] ^= 1
	f.Add(d.identity, d.boot, d.first, torn, false)
	f.Fuzz(func(t *testing.T, identity, boot, first, second []byte, sums bool) {
		if len(first) > 1<<16 || len(second) > 1<<16 {
			return
		}
		if sums {
			first, second = rightSums(first), rightSums(second)
		}
		files := map[string][]byte{identityName: identity, bootName: boot, segmentName(1): first, segmentName(2): second}
		for name, content := range files {
			if len(content) == 0 {
				files[name] = nil
			}
		}
		fsys := (&image{files: files}).with(t, "", nil)
		var w *WAL
		var err error
		used := allocs.During(func() { w, err = Open(fsys, testDir, small()) })
		if held := len(identity) + len(boot) + len(first) + len(second); used > 4<<20+64*uint64(held) {
			t.Fatalf("%d bytes took %d of memory", held, used)
		}
		if err != nil {
			checkRefusal(t, err)
			checkUnchanged(t, fsys, files)
			return
		}
		goOn(t, w, fsys)
	})
}

// goOn checks the log that a directory shows: what is true of every log, that a
// power loss takes nothing of it, and that it can be written to.
func goOn(t *testing.T, w *WAL, fsys *vfs.Mem) {
	t.Helper()
	defer func() { _ = w.Close() }()
	r := recoverLog(t, w)
	shown := describe(r)
	if r.Empty {
		return
	}
	last, term := r.FirstIndex-1, uint64(0)
	for _, b := range r.Batches {
		list, err := b.Entries(last + 1)
		if err != nil || b.Check() != nil || len(list) == 0 {
			t.Fatalf("a batch of %d entries cannot be read: %v, %v", b.Count, err, b.Check())
		}
		for _, e := range list {
			if e.Term < term || e.Term > r.HardState.Term {
				t.Fatalf("the term goes from %d to %d, the server is in %d", term, e.Term, r.HardState.Term)
			}
			last, term = e.Index, e.Term
		}
	}
	if r.CommitIndex > last {
		t.Fatalf("%d are committed of %d", r.CommitIndex, last)
	}
	p := &play{leftovers: true}
	if now, err := p.show(fsys.Crash(nil)); err != nil || now != shown {
		t.Fatalf("shown %s\nafter a power loss %s, %v", shown, now, err)
	}
	if r.HardState.Term >= 1<<62 {
		return
	}
	next := raft.Stage{HardState: vote(r.HardState.Term+1, "n9"), FirstIndex: last + 1, Batch: entries(5, r.HardState.Term+1), CommitIndex: last}
	w.Stage(next)
	if _, err := w.Flush(); err != nil {
		t.Fatalf("go on after %s: %v", shown, err)
	}
	again, err := p.show(fsys.Crash(nil))
	if err != nil || again == shown {
		t.Fatalf("shown %s\nafter an append %s, %v", shown, again, err)
	}
}

// checkUnchanged compares a directory with what was put there.
func checkUnchanged(t *testing.T, fsys vfs.FS, files map[string][]byte) {
	t.Helper()
	for name, want := range files {
		got, err := vfs.ReadFile(fsys, testDir+"/"+name)
		if want == nil && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("an Open that refused changed %s (%v)", name, err)
		}
	}
}
