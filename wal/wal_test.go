package wal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"testing"

	"lockstep.example/raft"
	"lockstep.example/raft/vfs"
)

const testDir = "/data/n1"

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// small makes segments that a few frames fill.
func small() Options { return Options{SegmentBytes: leastSegment, Logger: quiet} }

// entries makes a batch: one command of the given size for each term.
func entries(size int, terms ...uint64) raft.Batch {
	var body []byte
	for i, term := range terms {
		data := bytes.Repeat([]byte{byte(term), byte(i + 1)}, size)[:size]
		body = raft.AppendEntry(body, raft.EntryCommand, term, data)
	}
	return raft.NewBatch(body, len(terms))
}

func vote(term uint64, who raft.ServerID) *raft.HardState {
	return &raft.HardState{Term: term, VotedFor: who, VotedForIncarnation: 1}
}

func bootStage() raft.Stage {
	return raft.Stage{HardState: &raft.HardState{Term: 1}, FirstIndex: 1, Batch: entries(10, 1), CommitIndex: 1}
}

func testIdentity() raft.Identity {
	return raft.Identity{Cluster: "demo-1", Server: "n1", Incarnation: 1}
}

func open(t testing.TB, fsys vfs.FS, dir string, o Options) *WAL {
	t.Helper()
	w, err := Open(fsys, dir, o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

// create returns a bootstrapped log whose Recover was called.
func create(t testing.TB, fsys vfs.FS, dir string, o Options) *WAL {
	t.Helper()
	w := open(t, fsys, dir, o)
	if err := w.Bootstrap(testIdentity(), bootStage()); err != nil {
		t.Fatalf("Bootstrap: %v", err)
	}
	recoverLog(t, w)
	return w
}

func recoverLog(t testing.TB, w *WAL) raft.Recovered {
	t.Helper()
	r, err := w.Recover()
	if err != nil {
		t.Fatalf("Recover: %v", err)
	}
	return r
}

func reopen(t testing.TB, w *WAL, o Options) (*WAL, raft.Recovered) {
	t.Helper()
	if err := w.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	w = open(t, w.fs, w.dir, o)
	return w, recoverLog(t, w)
}

func flush(t testing.TB, w *WAL) raft.Position {
	t.Helper()
	p, err := w.Flush()
	if err != nil {
		t.Fatalf("Flush: %v", err)
	}
	return p
}

// describe writes a recovered log as text that can be compared.
func describe(r raft.Recovered) string {
	if r.Empty {
		return "empty"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "term %d vote %q/%d commit %d:", r.HardState.Term, r.HardState.VotedFor, r.HardState.VotedForIncarnation, r.CommitIndex)
	next := r.FirstIndex
	for _, batch := range r.Batches {
		if err := batch.Check(); err != nil {
			return fmt.Sprintf("bad checksum: %v", err)
		}
		list, err := batch.Entries(next)
		if err != nil {
			return fmt.Sprintf("bad batch: %v", err)
		}
		for _, e := range list {
			fmt.Fprintf(&b, " %d:%d:%x", e.Index, e.Term, e.Data)
			next = e.Index + 1
		}
	}
	return b.String()
}

func TestBootstrapAndReopen(t *testing.T) {
	for name, fsys := range map[string]vfs.FS{"mem": vfs.NewMem(), "os": vfs.OS} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "a", "b")
			w := open(t, fsys, dir, small())
			if r := recoverLog(t, w); !r.Empty {
				t.Fatalf("new directory: %s", describe(r))
			}
			if err := w.Bootstrap(testIdentity(), bootStage()); err != nil {
				t.Fatal(err)
			}
			want := "term 1 vote \"\"/0 commit 1: 1:1:01010101010101010101"
			if got := describe(recoverLog(t, w)); got != want {
				t.Errorf("after Bootstrap\n got %s\nwant %s", got, want)
			}
			if err := w.Bootstrap(testIdentity(), bootStage()); !errors.Is(err, raft.ErrBootstrapped) {
				t.Errorf("second Bootstrap: %v", err)
			}
			first := w.Identity()
			before := w.Stage(raft.Stage{HardState: vote(2, "n2")})
			after := w.Stage(raft.Stage{FirstIndex: 2, Batch: entries(3, 1, 2), CommitIndex: 1})
			if before >= after {
				t.Errorf("positions %d, %d do not grow", before, after)
			}
			if got := flush(t, w); got != after {
				t.Errorf("Flush returned position %d, staged up to %d", got, after)
			}
			for boot := uint64(2); boot < 5; boot++ {
				var r raft.Recovered
				w, r = reopen(t, w, small())
				want := "term 2 vote \"n2\"/1 commit 1: 1:1:01010101010101010101 2:1:010101 3:2:020202"
				if got := describe(r); got != want {
					t.Errorf("boot %d\n got %s\nwant %s", boot, got, want)
				}
				if id := w.Identity(); id.BootCounter != boot || r.Identity.BootCounter != boot || !bytes.Equal(id.Directory, first.Directory) || id.Server != "n1" {
					t.Errorf("boot %d: identity %+v, recovered %+v", boot, id, r.Identity)
				}
				if got := flush(t, w); got != after {
					t.Errorf("boot %d: the stream ends at %d, it ended at %d", boot, got, after)
				}
			}
		})
	}
}
