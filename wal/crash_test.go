package wal

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"

	"lockstep.example/raft"
	"lockstep.example/raft/vfs"
)

// keepers are the ways in which a power loss treats what was not synced.
func keepers(seed uint64) map[string]func(vfs.Loss) int {
	r := rand.New(rand.NewPCG(seed, 1))
	always := func(l vfs.Loss) int { return l.Size }
	return map[string]func(vfs.Loss) int{
		"nothing": nil,
		"all":     always,
		"names": func(l vfs.Loss) int {
			if l.Kind == "write" || l.Kind == "truncate" {
				return 0
			}
			return l.Size
		},
		"data": func(l vfs.Loss) int {
			if l.Kind == "write" || l.Kind == "truncate" {
				return l.Size
			}
			return 0
		},
		"some": func(l vfs.Loss) int { return l.Size * r.IntN(2) },
		"torn": func(l vfs.Loss) int { return r.IntN(l.Size + 1) },
	}
}

// The machine loses power before each operation of a life, in many ways; and
// once more while the recovery from that is under way.
func TestCrashAtEveryOperation(t *testing.T) {
	t.Parallel()
	steps := script()
	p, fsys := newPlay(steps), vfs.NewMem()
	var mu sync.Mutex // the operations of a preparation come from another goroutine
	crashes := 0
	fsys.Inject(func(op vfs.Op) vfs.Fault {
		mu.Lock()
		defer mu.Unlock()
		for name, keep := range keepers(op.Number) {
			acked := p.acked.Load()
			image := fsys.Crash(keep)
			staged := p.staged.Load()
			if err := p.crashAgain(image.Crash(nil), op.Number, acked, staged); err != nil {
				t.Errorf("power lost before operation %d (%s %s), %s survives, and again in recovery: %v", op.Number, op.Kind, op.Path, name, err)
			}
			if err := p.verify(image, acked, staged); err != nil {
				t.Errorf("power lost before operation %d (%s %s), %s survives: %v", op.Number, op.Kind, op.Path, name, err)
			}
			crashes++
		}
		return vfs.Fault{}
	})
	if err := p.run(fsys, steps); err != nil {
		t.Fatal(err)
	}
	if crashes < 500 {
		t.Errorf("only %d crashes were tried", crashes)
	}
}

// crashAgain opens the image, loses power at some of the operations of that and
// verifies what is left.
func (p *play) crashAgain(image *vfs.Mem, seed uint64, acked, staged int64) error {
	r := rand.New(rand.NewPCG(seed, 2))
	var after []*vfs.Mem
	image.Inject(func(op vfs.Op) vfs.Fault {
		if r.IntN(8) == 0 {
			after = append(after, image.Crash(func(l vfs.Loss) int { return r.IntN(l.Size + 1) }))
		}
		return vfs.Fault{}
	})
	w, err := Open(image, testDir, small())
	if err != nil {
		return err
	}
	_ = w.Close()
	image.Inject(nil)
	for _, a := range after {
		if err := p.verify(a, acked, staged); err != nil {
			return err
		}
	}
	return nil
}

// One flush of several frames lies over many sectors, and any subset of those
// may have reached the disk: the log before the flush, or with the first of its
// stages, but never a refusal to start.
func TestCrashInAnySubsetOfSectors(t *testing.T) {
	steps := [][]raft.Stage{
		{{HardState: vote(2, "n2")}},
		{
			{FirstIndex: 2, Batch: entries(700, 2), CommitIndex: 1},
			{FirstIndex: 3, Batch: entries(600, 2)},
			{HardState: vote(3, "n3")},
			{FirstIndex: 3, Batch: entries(950, 2, 3)},
		},
	}
	p, fsys := newPlay(steps), vfs.NewMem()
	w := create(t, fsys, testDir, Options{SegmentBytes: 8 << 10, Logger: quiet})
	for _, s := range steps[0] {
		w.Stage(s)
	}
	flush(t, w)
	masks, shown := 0, map[int64]bool{}
	fsys.Inject(func(op vfs.Op) vfs.Fault {
		if op.Kind != "sync" || masks > 0 {
			return vfs.Fault{}
		}
		for mask := 0; ; mask++ {
			sector := 0
			image := fsys.Crash(func(l vfs.Loss) int {
				sector++
				return l.Size * (mask >> (sector - 1) & 1)
			})
			if mask == 1<<sector {
				masks = mask
				return vfs.Fault{}
			}
			if err := p.verify(image.Crash(nil), 2, 6); err != nil {
				t.Errorf("of %d sectors survive %b: %v", sector, mask, err)
			}
			again := open(t, image, testDir, small())
			shown[p.find(describe(recoverLog(t, again)), 2, 6)] = true
		}
	})
	for _, s := range steps[1] {
		w.Stage(s)
	}
	flush(t, w)
	if masks < 1<<6 {
		t.Errorf("only %d subsets were tried", masks)
	}
	if shown[-1] || len(shown) < 4 || !shown[2] || !shown[6] {
		t.Errorf("the logs that were shown, by the number of stages: %v", shown)
	}
}

// One operation fails; the process ends and starts again on the same machine,
// whose memory still shows what the disk may not hold.
func TestEachOperationFails(t *testing.T) {
	t.Parallel()
	steps := script()
	for _, deadAfter := range []bool{false, true} {
		for k := uint64(1); ; k++ {
			p, fsys := newPlay(steps), vfs.NewMem()
			failed := false // written in operations, which the end of run orders before the read
			var mu sync.Mutex
			fsys.Inject(func(op vfs.Op) vfs.Fault {
				mu.Lock()
				defer mu.Unlock()
				if op.Number == k || deadAfter && op.Number > k {
					failed = true
					return vfs.Fault{Err: syscall.EIO, Written: op.Size / 2}
				}
				return vfs.Fault{}
			})
			err := p.run(fsys, steps)
			fsys.Inject(nil)
			if !failed {
				if err != nil || k < 100 {
					t.Fatalf("the run without a fault had %d operations and ended with %v", k, err)
				}
				break
			}
			what := fmt.Sprintf("operation %d failed (all later ones: %v)", k, deadAfter)
			if err != nil && (!errors.Is(err, raft.ErrStorage) || !errors.Is(err, syscall.EIO)) {
				t.Errorf("%s: the error is %v", what, err)
			}
			if err := p.crashAgain(fsys, k, p.acked.Load(), p.staged.Load()); err != nil {
				t.Errorf("%s, then power was lost in recovery: %v", what, err)
			}
			if err := p.verify(fsys, p.acked.Load(), p.staged.Load()); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

// After a sync that failed nothing is written any more, and every flush says why.
func TestFailureIsFinal(t *testing.T) {
	fsys := vfs.NewMem()
	w := create(t, fsys, testDir, small())
	operations := 0
	fsys.Inject(func(op vfs.Op) vfs.Fault {
		operations++
		if op.Kind == "sync" {
			return vfs.Fault{Err: syscall.EIO}
		}
		return vfs.Fault{}
	})
	w.Stage(raft.Stage{FirstIndex: 2, Batch: entries(5, 1)})
	_, first := w.Flush()
	var storage *raft.StorageError
	if !errors.As(first, &storage) || storage.Op != "sync" || storage.Path != w.tail.path || !errors.Is(first, syscall.EIO) {
		t.Errorf("the error is %v", first)
	}
	fsys.Inject(func(op vfs.Op) vfs.Fault {
		t.Errorf("%s %s after the failure", op.Kind, op.Path)
		return vfs.Fault{}
	})
	for range 3 {
		w.Stage(raft.Stage{FirstIndex: 3, Batch: entries(5, 1)})
		if _, err := w.Flush(); err != first {
			t.Errorf("a later flush returned %v", err)
		}
	}
	if _, err := w.Recover(); err != first {
		t.Errorf("Recover returned %v", err)
	}
	fsys.Inject(nil)
}

// A bubble ends only when every goroutine in it has: Close waits for the one
// that prepares a segment.
func TestCloseLeavesNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := create(t, vfs.NewMem(), testDir, small())
		w.Stage(raft.Stage{FirstIndex: 2, Batch: entries(500, 1)})
		flush(t, w)
		if w.preparing == nil {
			t.Error("no segment is being prepared")
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		if _, err := w.Flush(); !errors.Is(err, ErrClosed) {
			t.Errorf("Flush after Close: %v", err)
		}
		if err := w.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
	})
}

// Power is lost in a flush of two frames, so that the second survives without
// the first. The recovery from that fails at each of its operations, which may
// leave zeros in memory that never reach the disk, and the process starts again.
// It then writes a frame of the first one's size in its place: the second must
// not follow it.
func TestLeftoverAfterFailedRecovery(t *testing.T) {
	straddled := 0
	for filler := range 64 {
		next := raft.Stage{HardState: vote(2, "n8"), FirstIndex: 3, Batch: entries(5, 2), CommitIndex: 2}
		steps := [][]raft.Stage{
			{{FirstIndex: 2, Batch: entries(8*filler, 1)}, {CommitIndex: 2}},
			{next, {FirstIndex: 4, Batch: entries(5, 2)}},
		}
		p, fsys := newPlay(steps), vfs.NewMem()
		p.leftovers = true
		w := create(t, fsys, testDir, Options{SegmentBytes: 4 << 10, Logger: quiet})
		for _, s := range steps[0] {
			w.Stage(s)
		}
		flush(t, w)
		if at := w.tail.offset(w.durable); at/512 == (at+50)/512 {
			continue
		}
		straddled++
		var torn *vfs.Mem
		fsys.Inject(func(op vfs.Op) vfs.Fault {
			if op.Kind == "sync" && torn == nil {
				sector := 0
				torn = fsys.Crash(func(l vfs.Loss) int {
					sector++
					return l.Size * (sector - 1)
				})
			}
			return vfs.Fault{}
		})
		for _, s := range steps[1] {
			w.Stage(s)
		}
		flush(t, w)
		for k := uint64(1); ; k++ {
			image := torn.Crash(nil)
			image.Inject(vfs.FailAt(k, syscall.EIO))
			again, err := Open(image, testDir, small())
			if err == nil {
				_ = again.Close()
				break
			}
			image.Inject(nil)
			if err := p.verify(image, 3, 3); err != nil {
				t.Errorf("filler of %d bytes, operation %d of recovery failed: %v", 8*filler, k, err)
			}
		}
	}
	if straddled == 0 {
		t.Error("in no case did the first frame lie over two sectors")
	}
}
