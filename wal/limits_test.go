package wal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"lockstep.example/raft"
	"lockstep.example/raft/vfs"
)

func TestSecondOpenIsRefused(t *testing.T) {
	for name, fsys := range map[string]vfs.FS{"mem": vfs.NewMem(), "os": vfs.OS} {
		dir := filepath.Join(t.TempDir(), "n1")
		w := create(t, fsys, dir, small())
		_, err := Open(fsys, dir, small())
		var locked *LockedError
		if !errors.As(err, &locked) || locked.Dir != dir || !errors.Is(err, ErrLocked) {
			t.Errorf("%s: second Open: %v", name, err)
		}
		w.Stage(raft.Stage{FirstIndex: 2, Batch: entries(1, 1)})
		flush(t, w)
		if _, r := reopen(t, w, small()); len(r.Batches) != 2 {
			t.Errorf("%s: after Close the directory has %d batches", name, len(r.Batches))
		}
	}
}

func TestDirectoryOfAnother(t *testing.T) {
	fsys := vfs.NewMem()
	w := create(t, fsys, testDir, small())
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		cluster string
		server  raft.ServerID
		fine    bool
	}{{"", "", true}, {"demo-1", "n1", true}, {"", "n1", true}, {"demo-1", "n2", false}, {"", "n2", false}, {"demo-2", "n1", false}, {"demo-2", "", false}} {
		w, err := Open(fsys, testDir, Options{Cluster: c.cluster, Server: c.server, Logger: quiet})
		if err == nil {
			_ = w.Close()
		}
		var wrong *WrongDirectoryError
		if c.fine != (err == nil) || !c.fine && (!errors.As(err, &wrong) || wrong.Server != "n1" || wrong.Cluster != "demo-1" || !errors.Is(err, ErrWrongDirectory)) {
			t.Errorf("expecting %q of %q: %v", c.server, c.cluster, err)
		}
	}
	empty := open(t, fsys, "/data/n2", Options{Server: "n2", Logger: quiet})
	if err := empty.Bootstrap(testIdentity(), bootStage()); !errors.Is(err, ErrWrongDirectory) {
		t.Errorf("bootstrapping n1 where n2 is expected: %v", err)
	}
}

// What is accepted can be read back; what cannot is refused before it is written.
func TestLimits(t *testing.T) {
	const limit = 3000
	o := small()
	o.maxBody = limit
	fits := func(n int) raft.Stage {
		return raft.Stage{FirstIndex: 2, Batch: entries(n-13, 1)}
	}
	voteFor := func(n int) raft.Stage {
		return raft.Stage{HardState: vote(2, raft.ServerID(strings.Repeat("n", n)))}
	}
	for _, c := range []struct {
		what string
		s    raft.Stage
		fine bool
	}{
		{"a body one below the limit", fits(limit - 1), true},
		{"a body at the limit", fits(limit), true},
		{"a body one above the limit", fits(limit + 1), false},
		{"a vote for the longest id", voteFor(maxServerID), true},
		{"a vote for a longer id", voteFor(maxServerID + 1), false},
	} {
		w := create(t, vfs.NewMem(), testDir, o)
		w.Stage(c.s)
		if _, err := w.Flush(); c.fine != (err == nil) || !c.fine && !errors.Is(err, raft.ErrStorage) {
			t.Errorf("%s: %v", c.what, err)
		}
		want := model{}.stage(bootStage()).stage(raft.Stage{CommitIndex: 1})
		if c.fine {
			want = want.stage(c.s)
		}
		if _, r := reopen(t, w, o); describe(r) != want.String() {
			t.Errorf("%s: recovered %s", c.what, describe(r))
		}
	}
	long := testIdentity()
	long.Cluster = strings.Repeat("\U0001F980", 2000)
	w := open(t, vfs.NewMem(), testDir, o)
	if err := w.Bootstrap(long, bootStage()); !errors.Is(err, raft.ErrConfig) {
		t.Errorf("an identity that could not be read back: %v", err)
	}
	odd := testIdentity()
	odd.Cluster, odd.Server = "a \"b\"\nserver \"x\"\n", "\xff\x00"
	if err := w.Bootstrap(odd, bootStage()); err != nil {
		t.Fatal(err)
	}
	if _, r := reopen(t, w, o); r.Identity.Cluster != odd.Cluster || r.Identity.Server != odd.Server {
		t.Errorf("odd names come back as %+v", r.Identity)
	}
}

// A batch larger than a segment and than the write buffer has a segment to
// itself; the log goes on behind it.
func TestLargeBatch(t *testing.T) {
	w := create(t, vfs.OS, t.TempDir(), small())
	m := model{}.stage(bootStage()).stage(raft.Stage{CommitIndex: 1})
	for i, s := range []raft.Stage{
		{FirstIndex: 2, Batch: entries(gatherSize+100<<10, 1)},
		{FirstIndex: 3, Batch: entries(5, 1)},
		{FirstIndex: 4, Batch: entries(gatherSize, 1)},
		{FirstIndex: 5, Batch: entries(100, 1, 1)},
	} {
		w.Stage(s)
		m = m.stage(s)
		if i != 0 {
			flush(t, w)
		}
	}
	if rotations := w.Stats().Rotations; rotations < 2 {
		t.Errorf("%d rotations", rotations)
	}
	if _, r := reopen(t, w, small()); describe(r) != m.String() {
		t.Error("the log came back changed")
	}
}

// A flush that stays in its segment is one write and one sync.
func TestFlushIsOneWriteAndOneSync(t *testing.T) {
	fsys := vfs.NewMem()
	w := create(t, fsys, testDir, Options{SegmentBytes: 1 << 20, Logger: quiet})
	seen := map[string]int{}
	fsys.Inject(func(op vfs.Op) vfs.Fault {
		seen[op.Kind]++
		return vfs.Fault{}
	})
	for i := range 10 {
		w.Stage(raft.Stage{FirstIndex: uint64(i) + 2, Batch: entries(1000, 1)})
	}
	flush(t, w)
	flush(t, w) // nothing is staged
	if len(seen) != 2 || seen["write"] != 1 || seen["sync"] != 1 {
		t.Errorf("operations of a flush: %v", seen)
	}
	if s := w.Stats(); s.Flushes != 1 || s.Frames != 12 {
		t.Errorf("stats %+v", s)
	}
}

// Flushes go on while the next segment is being filled with zeros.
func TestFlushDoesNotWaitForPreparation(t *testing.T) {
	fsys := vfs.NewMem()
	w := create(t, fsys, testDir, Options{SegmentBytes: 64 << 10, Logger: quiet})
	preparing, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	fsys.Inject(func(op vfs.Op) vfs.Fault {
		if op.Kind == "create" {
			once.Do(func() {
				close(preparing)
				<-release
			})
		}
		return vfs.Fault{}
	})
	w.Stage(raft.Stage{FirstIndex: 2, Batch: entries(20<<10, 1)})
	flush(t, w)
	<-preparing
	w.Stage(raft.Stage{FirstIndex: 3, Batch: entries(20<<10, 1)})
	flush(t, w)
	close(release)
	w.Stage(raft.Stage{FirstIndex: 4, Batch: entries(40<<10, 1)})
	flush(t, w)
	if got := w.Stats().Rotations; got != 1 {
		t.Errorf("%d rotations", got)
	}
}

// The zeros of a new segment are on disk before the flush path sees the file.
func TestZerosAreSyncedAhead(t *testing.T) {
	fsys := vfs.NewMem()
	var seen []string
	fsys.Inject(func(op vfs.Op) vfs.Fault {
		if filepath.Base(op.Path) == preparedName && len(seen) < 4 {
			seen = append(seen, fmt.Sprint(op.Kind, " ", op.Size))
		}
		return vfs.Fault{}
	})
	create(t, fsys, testDir, small())
	want := []string{"create 0", "write 1024", "sync 0", "write 512"}
	if !slices.Equal(seen, want) {
		t.Errorf("operations on a new segment: %q, expected %q", seen, want)
	}
}

func TestReportTellsOfATornTail(t *testing.T) {
	fsys := vfs.NewMem()
	w := create(t, fsys, testDir, small())
	var image *vfs.Mem
	fsys.Inject(func(op vfs.Op) vfs.Fault {
		if op.Kind == "sync" && image == nil {
			image = fsys.Crash(func(l vfs.Loss) int { return min(l.Size, 100) })
		}
		return vfs.Fault{}
	})
	before := w.tail.offset(w.durable)
	w.Stage(raft.Stage{FirstIndex: 2, Batch: entries(70, 1)})
	flush(t, w)
	var log bytes.Buffer
	again := open(t, image, testDir, Options{SegmentBytes: leastSegment, Logger: textLogger(&log)})
	r := again.Report()
	if r.TornBytes == 0 || r.TornOffset != before || r.TornPath != w.tail.path || r.Entries != 1 || r.Segments != 1 || r.Frames != 2 {
		t.Errorf("report %+v", r)
	}
	if !strings.Contains(log.String(), "torn tail") || !strings.Contains(r.String(), "torn tail") {
		t.Errorf("log %q, report %q", log.String(), r)
	}
}

func TestOpenRefusesWhatItCannotUse(t *testing.T) {
	if _, err := Open(vfs.NewMem(), testDir, Options{SegmentBytes: 8}); !errors.Is(err, raft.ErrConfig) {
		t.Errorf("segments of 8 bytes: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "n1")} {
		if _, err := Open(vfs.OS, dir, Options{}); !errors.Is(err, raft.ErrStorage) {
			t.Errorf("a directory at %s: %v", dir, err)
		}
	}
	w := open(t, vfs.NewMem(), testDir, small())
	w.Stage(raft.Stage{HardState: vote(2, "n1")})
	if _, err := w.Flush(); !errors.Is(err, raft.ErrNotBootstrapped) {
		t.Errorf("Flush of a log without an identity: %v", err)
	}
}
