package wal

import (
	"fmt"

	"lockstep.example/raft"
	"lockstep.example/raft/vfs"
)

// gatherSize is how many bytes of frames go into one write. Larger entries are
// written from where they lie.
const gatherSize = 256 << 10

// maxSpare bounds, in frames, the list that is kept for the next flush.
const maxSpare = 4 << 10

// gather collects bytes for consecutive places of a file, so that a flush of
// many small frames is one write. Its buffer is used again and again.
type gather struct {
	file   vfs.File
	offset int64 // where the first byte of buf goes
	buf    []byte
}

// room makes sure that n more bytes fit into buf, if n is not too large for it.
func (g *gather) room(n int) error {
	if len(g.buf)+n <= gatherSize {
		return nil
	}
	return g.write()
}

// add takes b, which may be used again afterwards.
func (g *gather) add(b []byte) error {
	if err := g.room(len(b)); err != nil {
		return err
	}
	if len(b) > gatherSize {
		n, err := g.file.WriteAt(b, g.offset)
		g.offset += int64(n)
		return err
	}
	g.buf = append(g.buf, b...)
	return nil
}

// write writes what was gathered.
func (g *gather) write() error {
	if len(g.buf) == 0 {
		return nil
	}
	n, err := g.file.WriteAt(g.buf, g.offset)
	g.offset += int64(n)
	g.buf = g.buf[:0]
	return err
}

// Stage implements raft.Persister: it remembers s, copying nothing of its body,
// and touches no file. A stage that can never be written (a body of 2 GiB, a
// term that falls) makes the next Flush fail.
func (w *WAL) Stage(s raft.Stage) raft.Position {
	f := frame{kind: kindStage, batch: s.Batch, commit: s.CommitIndex}
	if s.HardState != nil {
		f.hasHard, f.hard = true, *s.HardState
	}
	if s.Batch.Count > 0 {
		f.first = s.FirstIndex
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	f.position = w.end
	w.end += raft.Position(f.size())
	w.staged = append(w.staged, f)
	return w.end
}

// Flush implements raft.Persister: one write and one fdatasync for everything
// staged, a little more where a segment ends. Its first error is its last one: a
// *raft.StorageError that every later call returns too, for after a failed write
// or sync nobody knows what the disk holds, and a second sync that succeeds
// proves nothing. Whoever opens the log next finds out.
func (w *WAL) Flush() (raft.Position, error) {
	w.mu.Lock()
	frames, end := w.staged, w.end
	w.staged, w.spare = w.spare, nil
	w.mu.Unlock()
	if w.failed == nil && len(frames) > 0 {
		if w.failed = w.flush(frames); w.failed != nil {
			w.logger.Error("the log failed; the server must stop", "dir", w.dir, "err", w.failed)
		}
	}
	clear(frames) // lets go of the bodies
	if cap(frames) <= maxSpare {
		w.spare = frames[:0]
	}
	if w.failed != nil {
		return 0, w.failed
	}
	return end, nil
}

// flush writes frames and makes them durable.
func (w *WAL) flush(frames []frame) error {
	if w.tail.file == nil {
		return failed("flush", w.dir, raft.ErrNotBootstrapped)
	}
	for i := range frames {
		if err := w.put(&frames[i]); err != nil {
			return err
		}
	}
	if err := w.sync(); err != nil {
		return err
	}
	w.stats.flushes.Add(1)
	if w.tail.offset(w.written) > w.tail.size/4 {
		w.prepare()
	}
	return nil
}

// put gives one frame to out, in a new segment if the tail has no room for it.
func (w *WAL) put(f *frame) error {
	if err := w.codec.check(f); err != nil {
		return failed("stage into", w.dir, err)
	}
	if f.position != w.written {
		return failed("stage into", w.dir, fmt.Errorf("a frame for position %d after one that ended at %d", f.position, w.written))
	}
	if size := f.size(); !w.tail.fits(w.written, size) {
		if err := w.rotate(size); err != nil {
			return err
		}
	}
	if err := w.chain.admit(f); err != nil {
		return failed("stage into", w.dir, err)
	}
	f.durable, f.term, f.boot = w.durable, w.chain.hard.Term, uint32(w.identity.BootCounter)
	if err := w.out.frame(w.codec, f); err != nil {
		return failed("write", w.tail.path, err)
	}
	w.written += raft.Position(f.size())
	w.stats.frames.Add(1)
	w.stats.bytes.Add(uint64(f.size()))
	return nil
}

// frame adds a frame: header and hard state, body, padding.
func (g *gather) frame(c codec, f *frame) error {
	before := frameHeaderSize + f.hardSize()
	if err := g.room(before); err != nil {
		return err
	}
	g.buf = c.appendHeader(g.buf, f)
	if err := g.add(f.batch.Body); err != nil {
		return err
	}
	return g.add(zeros[:f.size()-int64(before+len(f.batch.Body))])
}

// sync makes durable what was put.
func (w *WAL) sync() error {
	if err := w.out.write(); err != nil {
		return failed("write", w.tail.path, err)
	}
	if err := w.tail.file.SyncData(); err != nil {
		return failed("sync", w.tail.path, err)
	}
	w.durable = w.written
	return nil
}
