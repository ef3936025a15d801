package wal

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"lockstep.example/raft"
	"lockstep.example/raft/vfs"
)

// model is the dumb twin of the log: what a sequence of stages adds up to.
type model struct {
	hard   raft.HardState
	log    []raft.Entry
	commit uint64
}

// stage returns the model after s.
func (m model) stage(s raft.Stage) model {
	if s.HardState != nil {
		m.hard = *s.HardState
	}
	m.commit = max(m.commit, min(s.CommitIndex, uint64(len(m.log))))
	if s.Batch.Count > 0 {
		added, err := s.Batch.Entries(s.FirstIndex)
		if err != nil {
			panic(err)
		}
		m.log = append(m.log[:s.FirstIndex-1:s.FirstIndex-1], added...)
	}
	return m
}

func (m model) String() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "term %d vote %q/%d commit %d:", m.hard.Term, m.hard.VotedFor, m.hard.VotedForIncarnation, m.commit)
	for _, e := range m.log {
		fmt.Fprintf(&b, " %d:%d:%x", e.Index, e.Term, e.Data)
	}
	return b.String()
}

// script is a life of one server: each element is what one flush covers. It has
// every kind of change: entries, a vote alone, a term with entries, a suffix
// that is overwritten, an overwritten middle, a commit hint alone, flushes of
// many frames, and more than a few segments.
func script() [][]raft.Stage {
	at := func(first uint64, b raft.Batch, commit uint64) raft.Stage {
		return raft.Stage{FirstIndex: first, Batch: b, CommitIndex: commit}
	}
	return [][]raft.Stage{
		{{HardState: vote(2, "n2")}},
		{at(2, entries(30, 2), 1), at(3, entries(200, 2, 2), 2)},
		{{HardState: vote(3, "")}, at(3, entries(20, 3), 2), {CommitIndex: 3}},
		{at(4, entries(300, 3), 3), at(5, entries(200, 3), 3), at(6, entries(100, 3), 3)},
		{at(7, entries(50, 3, 3, 3, 3), 5)},
		{{HardState: vote(5, "n1"), FirstIndex: 9, Batch: entries(8, 4, 5), CommitIndex: 6}},
		{at(11, entries(700, 5), 8)},
		{at(11, entries(1500, 5), 10)},
		{{HardState: vote(6, "n3")}, {CommitIndex: 11}},
		{at(12, entries(1, 6, 6, 6, 6, 6, 6, 6, 6), 11), at(15, entries(40, 6), 12)},
		{at(16, entries(5, 6), 15)},
	}
}

// play is one run of a script against a log.
type play struct {
	states []string // after each stage, the first being the bootstrapped log
	acked  atomic.Int64
	staged atomic.Int64 // how many elements of states a crash may show; acked <= it
	last   atomic.Int64 // acked before the last flush that returned
	// leftovers says that a recovery may leave torn bytes behind: it wrote zeros
	// over them, and the disk took them without keeping them.
	leftovers bool
}

// newPlay computes what the log must be after each stage of a script.
func newPlay(steps [][]raft.Stage) *play {
	m := model{}.stage(bootStage()).stage(raft.Stage{CommitIndex: 1})
	p := &play{states: []string{"empty", m.String()}}
	for _, step := range steps {
		for _, s := range step {
			m = m.stage(s)
			p.states = append(p.states, m.String())
		}
	}
	return p
}

// run opens the log, bootstraps it and flushes step after step until something
// fails. The log is closed in the end.
func (p *play) run(fsys vfs.FS, steps [][]raft.Stage) error {
	w, err := Open(fsys, testDir, small())
	if err != nil {
		return err
	}
	defer w.Close()
	p.staged.Store(1)
	if err := w.Bootstrap(testIdentity(), bootStage()); err != nil {
		return err
	}
	p.acked.Store(1)
	for _, step := range steps {
		for _, s := range step {
			p.staged.Add(1)
			w.Stage(s)
		}
		if _, err := w.Flush(); err != nil {
			if _, again := w.Flush(); again != err {
				return fmt.Errorf("Flush returned %v, and then %v", err, again)
			}
			return err
		}
		p.last.Store(p.acked.Load())
		p.acked.Store(p.staged.Load())
	}
	return w.Close()
}

// find returns which state of the script a recovered log shows, -1 for none.
func (p *play) find(got string, from, to int64) int64 {
	for i := from; i <= to; i++ {
		if p.states[i] == got {
			return i
		}
	}
	return -1
}

// verify opens what a crash or a fault left: it must show a state of the script
// between the last acknowledged and the last staged. Then it appends, crashes
// with everything unsynced lost, and opens again: exactly that must be there.
func (p *play) verify(fsys *vfs.Mem, acked, staged int64) error {
	w, err := Open(fsys, testDir, small())
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer w.Close()
	r, err := w.Recover()
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	got := describe(r)
	if p.find(got, acked, staged) < 0 {
		return fmt.Errorf("recovered %q, expected one of %q", got, p.states[acked:staged+1])
	}
	if err := checkSeals(w); err != nil {
		return err
	}
	// What recovery has shown is relied on, so no power loss may take it again.
	if now, err := p.show(fsys.Crash(nil)); err != nil || now != got {
		return fmt.Errorf("recovered %q, and after a power loss %q (%v)", got, now, err)
	}
	if r.Empty {
		if err := w.Bootstrap(testIdentity(), bootStage()); err != nil {
			return fmt.Errorf("bootstrap: %w", err)
		}
		if r, err = w.Recover(); err != nil {
			return fmt.Errorf("recover: %w", err)
		}
	}
	m := model{hard: r.HardState, commit: r.CommitIndex}
	for _, b := range r.Batches {
		list, _ := b.Entries(uint64(len(m.log)) + 1) // describe has checked them
		m.log = append(m.log, list...)
	}
	more := raft.Stage{HardState: vote(r.HardState.Term+1, "n9"), FirstIndex: m.commit + 1, Batch: entries(5, r.HardState.Term+1), CommitIndex: m.commit}
	w.Stage(more)
	if _, err := w.Flush(); err != nil {
		return fmt.Errorf("flush after recovery: %w", err)
	}
	got, err = p.show(fsys.Crash(nil))
	if want := m.stage(more).String(); err != nil || got != want {
		return fmt.Errorf("after an append and a second crash (%v)\n got %s\nwant %s", err, got, want)
	}
	return nil
}

// show opens what should be a clean log and describes it.
func (p *play) show(fsys vfs.FS) (string, error) {
	w, err := Open(fsys, testDir, small())
	if err != nil {
		return "", err
	}
	defer w.Close()
	r, err := w.Recover()
	if err != nil {
		return "", err
	}
	if torn := w.Report().TornBytes; torn != 0 && !p.leftovers {
		return "", fmt.Errorf("an earlier recovery left %d torn bytes", torn)
	}
	return describe(r), nil
}

// checkSeals makes sure that the loss of the last segment would be seen.
func checkSeals(w *WAL) error {
	for sequence := uint64(1); sequence < w.tail.sequence; sequence++ {
		content, err := vfs.ReadFile(w.fs, segmentPath(w.dir, sequence))
		if err != nil {
			return err
		}
		h, err := decodeSegmentHeader(content, "")
		if err != nil {
			return err
		}
		for at := h.start; ; {
			f, err := w.codec.decode(content[h.offset(at):], at)
			if err != nil {
				return fmt.Errorf("segment %d has no seal: %w", sequence, err)
			}
			if f.kind == kindSeal {
				break
			}
			at += raft.Position(f.size())
		}
	}
	return nil
}

func TestScriptMatchesModel(t *testing.T) {
	steps := script()
	p, fsys := newPlay(steps), vfs.NewMem()
	if err := p.run(fsys, steps); err != nil {
		t.Fatal(err)
	}
	n := int64(len(p.states)) - 1
	if p.acked.Load() != n {
		t.Fatalf("%d of %d states acknowledged", p.acked.Load(), n)
	}
	if err := p.verify(fsys, n, n); err != nil {
		t.Fatal(err)
	}
	names, err := fsys.List(testDir)
	if err != nil || len(names) < 5+3 {
		t.Fatalf("the script does not rotate: %q, %v", names, err)
	}
}

// The twin itself must be able to tell a wrong log.
func TestVerifySeesLoss(t *testing.T) {
	steps := script()
	p, fsys := newPlay(steps), vfs.NewMem()
	if err := p.run(fsys, steps[:5]); err != nil {
		t.Fatal(err)
	}
	acked := p.acked.Load()
	if err := p.verify(fsys, acked+1, int64(len(p.states))-1); err == nil {
		t.Error("a log that lacks an acknowledged stage was called right")
	}
	if err := p.verify(fsys, acked, acked); err != nil {
		t.Fatal(err)
	}
	if err := p.verify(fsys, 0, int64(len(p.states))-1); err == nil || errors.Is(err, ErrCorrupt) {
		t.Error("a log with stages of its own was called right")
	}
}
