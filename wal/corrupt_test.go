package wal

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"lockstep.example/raft"
	"lockstep.example/raft/vfs"
)

// image is a small directory that was closed in order, and what it must show.
type image struct {
	*play
	files map[string][]byte

	// of the last flush, in the last segment: where it begins, where its second
	// frame does, where it ends
	from, lastFrame, to int
}

// newImage makes a log of three segments. Everything in it was acknowledged.
func newImage(t testing.TB) image {
	t.Helper()
	steps := [][]raft.Stage{
		{{HardState: vote(2, "n2")}},
		{{FirstIndex: 2, Batch: entries(20, 2), CommitIndex: 1}},
		{{FirstIndex: 3, Batch: entries(60, 2, 2), CommitIndex: 2}, {FirstIndex: 4, Batch: entries(20, 2)}},
		{{HardState: vote(3, "n1"), FirstIndex: 5, Batch: entries(30, 3), CommitIndex: 4}},
		{{FirstIndex: 6, Batch: entries(20, 3)}},
		{{FirstIndex: 7, Batch: entries(9, 3), CommitIndex: 5}, {FirstIndex: 7, Batch: entries(2, 3), CommitIndex: 6}},
	}
	p, fsys := newPlay(steps), vfs.NewMem()
	if err := p.run(fsys, steps); err != nil {
		t.Fatal(err)
	}
	if _, err := fsys.Open(segmentPath(testDir, 4)); err == nil {
		t.Fatal("the image has a fourth segment")
	}
	img := image{play: p, files: map[string][]byte{}}
	for _, name := range []string{identityName, bootName, segmentName(1), segmentName(2), segmentName(3)} {
		content, err := vfs.ReadFile(fsys, filepath.Join(testDir, name))
		if err != nil {
			t.Fatal(err)
		}
		img.files[name] = content
	}
	img.measure(t)
	return img
}

func segmentName(sequence uint64) string { return filepath.Base(segmentPath("", sequence)) }

// with returns the directory with one file's content replaced, or without it if
// content is nil.
func (img image) with(t testing.TB, name string, content []byte) *vfs.Mem {
	t.Helper()
	fsys := vfs.NewMem()
	if err := vfs.MakeDir(fsys, testDir); err != nil {
		t.Fatal(err)
	}
	for other, c := range img.files {
		if other == name {
			c = content
		}
		if c != nil {
			if err := vfs.WriteFile(fsys, filepath.Join(testDir, other), c); err != nil {
				t.Fatal(err)
			}
		}
	}
	return fsys
}

// outcome opens a directory and returns which state it shows, or the error.
func (img image) outcome(fsys vfs.FS) (int64, error) {
	w, err := Open(fsys, testDir, small())
	if err != nil {
		return 0, err
	}
	defer w.Close()
	r, err := w.Recover()
	if err != nil {
		return 0, err
	}
	state := img.find(describe(r), 0, img.acked.Load())
	if state < 0 {
		return 0, fmt.Errorf("shows %s, which it never was", describe(r))
	}
	return state, nil
}

// measure finds the part of the last segment that the last flush wrote: damage
// there cannot be told from a flush that a crash cut short.
func (img *image) measure(t testing.TB) {
	t.Helper()
	w := open(t, img.with(t, "", nil), testDir, small())
	first, second := frame{batch: entries(9, 3)}, frame{batch: entries(2, 3)}
	img.to = int(w.tail.offset(w.durable))
	img.lastFrame = img.to - int(second.size())
	img.from = img.lastFrame - int(first.size())
}

// judge checks the outcome of damage to [at, at+size) of a file.
func (img image) judge(t *testing.T, what, name string, at, size int, fsys vfs.FS) (refused bool) {
	t.Helper()
	full := img.acked.Load()
	state, err := img.outcome(fsys)
	switch {
	case errors.Is(err, ErrCorrupt) || errors.Is(err, ErrFormat):
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s: the error does not name the file: %v", what, err)
		}
		return true
	case err != nil:
		t.Errorf("%s: %v", what, err)
	case state == full:
	case name != segmentName(3) || at >= img.to || at+size <= img.from:
		t.Errorf("%s: acknowledged stages were lost in silence: %d of %d are left", what, state, full)
	case at <= img.from && at+size > img.lastFrame:
		// No header is left that was written after the place of the damage.
	case state < img.last.Load():
		t.Errorf("%s: more was lost than the last flush: %d of %d stages are left", what, state, full)
	}
	return false
}

// Every bit of every file is flipped, in the zeros behind the log one in each
// eight bytes. Whatever was acknowledged is there, or the start is refused.
func TestBitFlips(t *testing.T) {
	t.Parallel()
	img := newImage(t)
	opened, refused := 0, 0
	for name, content := range img.files {
		end := len(trimZeros(content))
		for bit := 0; bit < 8*len(content); bit++ {
			if bit >= 8*end && bit%64 != bit/64%64 {
				continue
			}
			bad := append([]byte(nil), content...)
			bad[bit/8] ^= 1 << (bit % 8)
			what := fmt.Sprintf("bit %d of byte %d of %s flipped", bit%8, bit/8, name)
			if img.judge(t, what, name, bit/8, 1, img.with(t, name, bad)) {
				refused++
			}
			opened++
		}
	}
	if opened < 10000 || refused < opened/2 {
		t.Errorf("%d flips, of which %d were refused: the image is not what it should be", opened, refused)
	}
}

// Every file is cut at every length, and removed.
func TestTruncations(t *testing.T) {
	t.Parallel()
	img := newImage(t)
	for name, content := range img.files {
		for length := 0; length <= len(content); length++ {
			bad, what := content[:length:length], fmt.Sprintf("%s cut to %d bytes", name, length)
			if length == len(content) {
				bad, what = nil, name+" removed"
			}
			if _, err := img.outcome(img.with(t, name, bad)); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

// Runs of bytes become zeros, as a lost sector or a lost page does.
func TestZeroedRuns(t *testing.T) {
	t.Parallel()
	img := newImage(t)
	for name, content := range img.files {
		for _, size := range []int{1, 40, 64, 512} {
			for at := 0; at < len(trimZeros(content)); at += max(size/2, 8) {
				bad := append([]byte(nil), content...)
				n := min(size, len(bad)-at)
				clear(bad[at : at+n])
				img.judge(t, fmt.Sprintf("%d bytes at %d of %s are zero", n, at, name), name, at, n, img.with(t, name, bad))
			}
		}
	}
}

// A file in the place of another, and files of another directory.
func TestMixedUpFiles(t *testing.T) {
	img, other := newImage(t), newImage(t)
	for name := range img.files {
		for from, content := range img.files {
			if from == name {
				continue
			}
			if _, err := img.outcome(img.with(t, name, content)); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s holds what %s should: %v", name, from, err)
			}
		}
		if _, err := img.outcome(img.with(t, name, other.files[name])); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s is that of another directory of the same server: %v", name, err)
		}
	}
}

// A boot file from an old copy of the directory: the counter must not be raised
// to a value that another start had.
func TestBootCounterThatWentBack(t *testing.T) {
	fsys := vfs.NewMem()
	w := create(t, fsys, testDir, small())
	w, _ = reopen(t, w, small())
	old, err := vfs.ReadFile(fsys, filepath.Join(testDir, bootName))
	if err != nil {
		t.Fatal(err)
	}
	w, _ = reopen(t, w, small())
	w.Stage(raft.Stage{FirstIndex: 2, Batch: entries(1, 1)})
	flush(t, w)
	if err := errors.Join(w.Close(), vfs.WriteFile(fsys, filepath.Join(testDir, bootName), old)); err != nil {
		t.Fatal(err)
	}
	var corrupt *CorruptError
	if _, err := Open(fsys, testDir, small()); !errors.As(err, &corrupt) || filepath.Base(corrupt.Path) != bootName {
		t.Errorf("Open: %v", err)
	}
}

// Nothing is changed by an Open that refuses: the operator can still copy.
func TestRefusalChangesNothing(t *testing.T) {
	img := newImage(t)
	bad := append([]byte(nil), img.files[segmentName(2)]...)
	bad[segmentHeaderSize+70] ^= 1
	fsys := img.with(t, segmentName(2), bad)
	fsys.Inject(func(op vfs.Op) vfs.Fault {
		if op.Kind == "write" || op.Kind == "rename" || op.Kind == "remove" || op.Kind == "truncate" || op.Kind == "create" {
			t.Errorf("%s %s", op.Kind, op.Path)
		}
		return vfs.Fault{}
	})
	var corrupt *CorruptError
	if _, err := img.outcome(fsys); !errors.As(err, &corrupt) || corrupt.Path != filepath.Join(testDir, segmentName(2)) || corrupt.Offset != segmentHeaderSize {
		t.Errorf("the error is %v", err)
	}
}

// What a newer version writes is refused by name, not cut and not called damage.
func TestFutureFormats(t *testing.T) {
	img := newImage(t)
	w := open(t, img.with(t, "", nil), testDir, small())
	frameOf := func(change func(b []byte)) []byte {
		f := frame{kind: kindStage, position: w.durable, durable: w.durable, boot: 1}
		b := w.codec.appendHeader(nil, &f)
		change(b)
		return resum(w.codec, b)
	}
	segment := func(b []byte) []byte {
		bad := append([]byte(nil), img.files[segmentName(3)]...)
		copy(bad[img.to:], b)
		return bad
	}
	header := append([]byte(nil), img.files[segmentName(1)]...)
	h, err := decodeSegmentHeader(header, "")
	if err != nil {
		t.Fatal(err)
	}
	copy(header, futureSegment(h))
	for _, c := range []struct {
		name, what string
		content    []byte
	}{
		{segmentName(3), "frame kind 5 (snapshot mark)", segment(frameOf(func(b []byte) { b[4] = byte(kindSnapshotMark) }))},
		{segmentName(3), "frame kind 77 (no name known)", segment(frameOf(func(b []byte) { b[4] = 77 }))},
		{segmentName(3), "a frame with fields of a later format", segment(frameOf(func(b []byte) { b[5] = 1 }))},
		{segmentName(1), "segment format 2", header},
		{identityName, "identity format 2", future(img.files[identityName])},
		{bootName, "boot format 2", future(img.files[bootName])},
	} {
		var format *FormatError
		if _, err := img.outcome(img.with(t, c.name, c.content)); !errors.As(err, &format) || format.What != c.what || filepath.Base(format.Path) != c.name {
			t.Errorf("%s with %s: %v", c.name, c.what, err)
		}
	}
}

// A log whose frames are intact and make no sense was written by a broken
// server: refused, wherever it is.
func TestFramesThatDoNotFollow(t *testing.T) {
	img := newImage(t)
	for what, f := range map[string]frame{
		"a gap":                   {first: 9, batch: entries(1, 3)},
		"a falling term":          {first: 8, batch: entries(1, 2)},
		"a term above the server": {first: 8, batch: entries(1, 4)},
		"committed entries":       {first: 5, batch: entries(1, 3)},
		"a falling hard state":    {hasHard: true, hard: *vote(2, "n1")},
		"a second vote":           {hasHard: true, hard: *vote(3, "n2")},
		"a wrong count":           {first: 8, batch: raft.NewBatch(entries(1, 3).Body, 2)},
		"a writer of another day": {term: 9},
	} {
		w := open(t, img.with(t, "", nil), testDir, small())
		f.kind, f.position, f.durable, f.boot = kindStage, w.durable, w.durable, 1
		if f.term == 0 {
			f.term = max(3, f.hard.Term)
		}
		bad := append([]byte(nil), img.files[segmentName(3)]...)
		copy(bad[img.to:], append(w.codec.appendHeader(nil, &f), f.batch.Body...))
		var corrupt *CorruptError
		if _, err := img.outcome(img.with(t, segmentName(3), bad)); !errors.As(err, &corrupt) || corrupt.Offset != int64(img.to) {
			t.Errorf("%s: %v", what, err)
		}
		if f.term != 9 { // the writer sets it, so it cannot be wrong there
			w.Stage(raft.Stage{HardState: hardOf(f), FirstIndex: f.first, Batch: f.batch})
			if _, err := w.Flush(); !errors.Is(err, raft.ErrStorage) {
				t.Errorf("%s is refused by the reader, and by the writer: %v", what, err)
			}
		}
	}
}

func hardOf(f frame) *raft.HardState {
	if !f.hasHard {
		return nil
	}
	return &f.hard
}
