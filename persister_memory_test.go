package raft

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// bootstrapped is a store with the bootstrap entry of one server.
func bootstrapped(t *testing.T) *MemoryPersister {
	t.Helper()
	p := NewMemoryPersister(nil)
	if _, err := Bootstrap(p, "test", "n1", NewConfiguration(serverIDs(3))); err != nil {
		t.Fatal(err)
	}
	return p
}

func recovered(t *testing.T, p *MemoryPersister) Recovered {
	t.Helper()
	r, err := p.Recover()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestBootstrap(t *testing.T) {
	p := NewMemoryPersister(nil)
	if r := recovered(t, p); !r.Empty {
		t.Fatalf("a new store holds %+v", r)
	}
	c := NewConfiguration(serverIDs(3))
	id, err := Bootstrap(p, "shop", "n2", c)
	if err != nil || id.Cluster != ClusterID("shop", c) || id.Server != "n2" || id.Incarnation != 1 {
		t.Fatalf("%+v, %v", id, err)
	}
	r := recovered(t, p)
	if r.Identity.Cluster != id.Cluster || len(r.Identity.Directory) != 16 || r.HardState != (HardState{Term: 1}) || r.CommitIndex != 1 || r.FirstIndex != 1 {
		t.Fatalf("%+v", r)
	}
	entries, err := r.Batches[0].Entries(1)
	if err != nil || len(entries) != 1 || entries[0].Kind != EntryConfiguration || entries[0].Term != 1 || !slices.Equal(entries[0].Data, c.Encode()) {
		t.Fatalf("%+v, %v", entries, err)
	}
	if _, err := Bootstrap(p, "shop", "n2", c); !errors.Is(err, ErrBootstrapped) {
		t.Fatalf("twice: %v", err)
	}
	if again := recovered(t, p); again.Identity.BootCounter != r.Identity.BootCounter+1 {
		t.Fatalf("boot counter %d after %d", again.Identity.BootCounter, r.Identity.BootCounter)
	}
	if _, err := Bootstrap(NewMemoryPersister(nil), "shop", "n9", c); !errors.Is(err, ErrConfig) {
		t.Fatalf("a stranger: %v", err)
	}
	if _, err := Bootstrap(NewMemoryPersister(nil), fmt.Sprintf("%200d", 1), "n1", c); !errors.Is(err, ErrConfig) {
		t.Fatalf("a long name: %v", err)
	}
}

// Bootstrap is all or nothing: a stage that cannot be leaves the store empty.
func TestBootstrapThatFailsLeavesNothing(t *testing.T) {
	p := NewMemoryPersister(nil)
	if err := p.Bootstrap(Identity{Server: "n1"}, Stage{FirstIndex: 5, Batch: commands(5, 1)}); err == nil {
		t.Fatal("took entries at index 5")
	}
	if r := recovered(t, p); !r.Empty {
		t.Fatalf("the store holds %+v", r)
	}
}

func TestTwoDirectoriesDiffer(t *testing.T) {
	a, b := recovered(t, bootstrapped(t)), recovered(t, bootstrapped(t))
	if slices.Equal(a.Identity.Directory, b.Identity.Directory) {
		t.Fatal("two stores have one directory id")
	}
}

// A crash keeps what was flushed and, of the rest, as many of the oldest stages
// as it is told, each whole.
func TestCrashKeepsAPrefix(t *testing.T) {
	stages := []Stage{
		{HardState: &HardState{Term: 2, VotedFor: "n2", VotedForIncarnation: 1}},
		{FirstIndex: 2, Batch: commands(2, 2, 2)},
		{HardState: &HardState{Term: 3}, FirstIndex: 4, Batch: commands(4, 3)},
		{FirstIndex: 3, Batch: commands(3, 3, 3)}, // replaces 3 and 4
	}
	type after struct {
		term  uint64
		vote  ServerID
		terms []uint64
	}
	want := []after{{1, "", nil}, {2, "n2", nil}, {2, "n2", []uint64{2, 2}}, {3, "", []uint64{2, 2, 3}}, {3, "", []uint64{2, 3, 3}}}
	for flushed := range len(stages) + 1 {
		for keep := -1; keep <= len(stages)+1; keep++ {
			p := bootstrapped(t)
			for i, s := range stages {
				if i == flushed {
					mustFlush(t, p)
				}
				p.Stage(s)
			}
			if flushed == len(stages) {
				mustFlush(t, p)
			}
			told := -1
			next := p.Crash(func(staged int) int { told = staged; return keep })
			if told != len(stages)-flushed {
				t.Fatalf("told of %d stages, %d were not flushed", told, len(stages)-flushed)
			}
			w := want[min(len(stages), flushed+max(keep, 0))]
			r := recovered(t, next)
			if got := (after{r.HardState.Term, r.HardState.VotedFor, termsOf(t, r)}); got.term != w.term || got.vote != w.vote || !slices.Equal(got.terms, w.terms) {
				t.Errorf("flushed %d, kept %d: %+v, want %+v", flushed, keep, got, w)
			}
		}
	}
}

func mustFlush(t *testing.T, p *MemoryPersister) Position {
	t.Helper()
	position, err := p.Flush()
	if err != nil {
		t.Fatal(err)
	}
	return position
}

func TestCrashedStoreServesNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := bootstrapped(t)
		p.latency = func() time.Duration { return time.Second }
		p.Stage(Stage{HardState: &HardState{Term: 9}})
		failed := make(chan error)
		go func() { _, err := p.Flush(); failed <- err }()
		time.Sleep(time.Millisecond)
		next := p.Crash(func(int) int { return 0 })
		if err := <-failed; !errors.Is(err, ErrStorage) {
			t.Fatalf("a flush under way: %v", err)
		}
		p.Stage(Stage{HardState: &HardState{Term: 10}})
		if _, err := p.Flush(); !errors.Is(err, ErrStorage) {
			t.Fatalf("a flush after the crash: %v", err)
		}
		if _, err := p.Recover(); !errors.Is(err, ErrStorage) {
			t.Fatalf("opened after the crash: %v", err)
		}
		if r := recovered(t, next); r.HardState.Term != 1 {
			t.Fatalf("%+v", r.HardState)
		}
	})
}

// A position only grows, also over a crash, and a flush covers what was staged
// before it.
func TestPositionsGrow(t *testing.T) {
	p := bootstrapped(t)
	first := p.Stage(Stage{HardState: &HardState{Term: 2}})
	second := p.Stage(Stage{})
	if second <= first {
		t.Fatalf("%d after %d", second, first)
	}
	if durable := mustFlush(t, p); durable != second {
		t.Fatalf("flushed up to %d of %d", durable, second)
	}
	if durable := mustFlush(t, p); durable != second {
		t.Fatalf("flushed nothing, up to %d", durable)
	}
	p.Stage(Stage{})
	next := p.Crash(func(int) int { return 0 })
	if third := next.Stage(Stage{}); third <= second {
		t.Fatalf("%d after a crash at %d", third, second)
	}
}

// A flush does not cover what is staged while it is under way.
func TestFlushCoversWhatWasStagedBefore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := bootstrapped(t)
		p.latency = func() time.Duration { return time.Second }
		before := p.Stage(Stage{HardState: &HardState{Term: 2}})
		durable := make(chan Position)
		go func() { position, _ := p.Flush(); durable <- position }()
		time.Sleep(time.Millisecond)
		p.Stage(Stage{HardState: &HardState{Term: 3}})
		if got := <-durable; got != before {
			t.Fatalf("durable up to %d, want %d", got, before)
		}
		if r := recovered(t, p.Crash(func(int) int { return 0 })); r.HardState.Term != 2 {
			t.Fatalf("%+v", r.HardState)
		}
	})
}

// The commit hint of a stage counts up to the end of the log before it.
func TestCommitHint(t *testing.T) {
	p := bootstrapped(t)
	for _, step := range []struct {
		stage Stage
		want  uint64
	}{
		{Stage{CommitIndex: 3, FirstIndex: 2, Batch: commands(2, 2, 2)}, 1}, // 2 and 3 come after the hint
		{Stage{CommitIndex: 3}, 3},
		{Stage{CommitIndex: 2}, 3}, // never falls
		{Stage{CommitIndex: 9, FirstIndex: 4, Batch: commands(4, 2)}, 3},
		{Stage{CommitIndex: 9}, 4},
	} {
		p.Stage(step.stage)
		mustFlush(t, p)
		if got := recovered(t, p).CommitIndex; got != step.want {
			t.Fatalf("%+v: the hint is %d, want %d", step.stage, got, step.want)
		}
	}
}

func TestStagesThatCannotBe(t *testing.T) {
	for name, s := range map[string]Stage{
		"a gap":                        {FirstIndex: 4, Batch: commands(4, 2)},
		"index 0":                      {Batch: commands(1, 2)},
		"at or below the commit point": {FirstIndex: 1, Batch: commands(1, 2)},
		"a malformed batch":            {FirstIndex: 3, Batch: Batch{Body: []byte{1}, Count: 1}},
	} {
		p := bootstrapped(t)
		p.Stage(Stage{FirstIndex: 2, Batch: commands(2, 2)})
		p.Stage(s)
		if _, err := p.Flush(); !errors.Is(err, ErrStorage) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
