package wal

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"testing"

	"lockstep.example/raft"
	"lockstep.example/raft/vfs"
)

func textLogger(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// randomStage draws a stage that a server in the state of m could make.
func randomStage(r *rand.Rand, m model) raft.Stage {
	var s raft.Stage
	term := m.hard.Term
	if r.IntN(4) == 0 {
		term += 1 + r.Uint64N(3)
		s.HardState = vote(term, raft.ServerID(fmt.Sprintf("n%d", r.IntN(5))))
	}
	end := uint64(len(m.log))
	s.CommitIndex = min(m.commit+r.Uint64N(3), end)
	if r.IntN(5) == 0 {
		return s
	}
	s.FirstIndex = end + 1
	if r.IntN(3) == 0 {
		low := max(m.commit, s.CommitIndex) + 1
		s.FirstIndex = low + r.Uint64N(end+2-low)
	}
	low := uint64(1)
	if s.FirstIndex > 1 {
		low = m.log[s.FirstIndex-2].Term
	}
	terms := make([]uint64, 1+r.IntN(4))
	for i := range terms {
		low += r.Uint64N(term - low + 1)
		terms[i] = low
	}
	s.Batch = entries(r.IntN(200), terms...)
	return s
}

// A server lives through many crashes. After each it must show a state between
// the last acknowledged and the last staged, and positions never go back.
func TestRandomLives(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 0))
		fsys := vfs.NewMem()
		w := create(t, fsys, testDir, small())
		m := model{}.stage(bootStage()).stage(raft.Stage{CommitIndex: 1})
		pending := []model{m} // the acknowledged state, and one for each stage since
		acked := flush(t, w)
		for step := range 80 {
			switch r.IntN(4) {
			case 0, 1:
				s := randomStage(r, m)
				m = m.stage(s)
				pending = append(pending, m)
				w.Stage(s)
			case 2:
				position := flush(t, w)
				if position < acked {
					t.Fatalf("seed %d step %d: the stream is durable up to %d, it was up to %d", seed, step, position, acked)
				}
				acked, pending = position, pending[len(pending)-1:]
			default:
				image := fsys.Crash(func(l vfs.Loss) int { return r.IntN(l.Size + 1) })
				if r.IntN(3) == 0 { // in the middle of a flush instead
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
					t.Fatalf("seed %d step %d: recovered %s\nexpected one of %v", seed, step, got, pending)
				}
				m = pending[at]
				pending = []model{m}
				position := flush(t, w)
				if position < acked {
					t.Fatalf("seed %d step %d: the stream ends at %d, it was durable up to %d", seed, step, position, acked)
				}
				acked = position
			}
		}
		_ = w.Close()
	}
}

// crashInFlush flushes and returns what a power loss before one of the syncs of
// that would leave.
func crashInFlush(t *testing.T, w *WAL, fsys *vfs.Mem, r *rand.Rand) *vfs.Mem {
	t.Helper()
	image := fsys.Crash(nil)
	countdown := 1 + r.IntN(4)
	tail := make(chan struct{}, 1) // guards what follows: a preparation may run beside
	fsys.Inject(func(op vfs.Op) vfs.Fault {
		tail <- struct{}{}
		if countdown--; countdown >= 0 {
			image = fsys.Crash(func(l vfs.Loss) int { return r.IntN(l.Size + 1) })
		}
		<-tail
		return vfs.Fault{}
	})
	flush(t, w)
	_ = w.Close()
	fsys.Inject(nil)
	return image
}

// A server that is started again and again, each time writing a little.
func TestReopenLoop(t *testing.T) {
	w := create(t, vfs.OS, t.TempDir(), small())
	m := model{}.stage(bootStage()).stage(raft.Stage{CommitIndex: 1})
	end := raft.Position(0)
	for i := range uint64(40) {
		s := raft.Stage{FirstIndex: i + 2, Batch: entries(100, 1), CommitIndex: i}
		m = m.stage(s)
		if position := w.Stage(s); position <= end {
			t.Fatalf("start %d: position %d after %d", i, position, end)
		}
		end = flush(t, w)
		var r raft.Recovered
		if w, r = reopen(t, w, small()); describe(r) != m.String() || r.Identity.BootCounter != i+2 {
			t.Fatalf("start %d: boot counter %d, log %s\nwant %s", i, r.Identity.BootCounter, describe(r), m)
		}
	}
	if n := w.Report().Segments; n < 5 {
		t.Errorf("%d segments", n)
	}
}
