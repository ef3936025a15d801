package wal

import "path/filepath"

// rotate goes on in a new segment with room for a frame of the given size. Each
// step is durable before the next, so that at every moment the segments in the
// directory are whole but for the end of the last one:
//
//  1. Everything in the old segment is synced.
//  2. The prepared file gets its header, is synced, and then its name.
//  3. The old segment gets its seal: from here on a directory without the new
//     one is known to have lost it.
//  4. The first frame may be written.
func (w *WAL) rotate(size int64) error {
	if w.written > w.durable {
		if err := w.sync(); err != nil {
			return err
		}
	}
	next, err := w.newSegment(w.tail.sequence+1, size)
	if err != nil {
		return err
	}
	old := w.tail
	w.enter(next)
	defer old.file.Close() // what it holds is durable, so closing it can take nothing
	if err := w.publish(); err != nil {
		return err
	}
	if err := w.seal(&old, &w.tail.segmentHeader); err != nil {
		return err
	}
	w.stats.rotations.Add(1)
	return nil
}

// newSegment returns a segment that begins at w.written, under its preliminary
// name, with a header that is not yet synced.
func (w *WAL) newSegment(sequence uint64, size int64) (segment, error) {
	p, err := w.takePrepared(roomFor(size))
	if err != nil {
		return segment{}, err
	}
	s := segment{path: segmentPath(w.dir, sequence), file: p.file, segmentHeader: segmentHeader{
		sequence: sequence, start: w.written, size: p.size, last: w.chain.last, digest: w.digest, hard: w.chain.hard,
	}}
	if _, err := p.file.WriteAt(s.encode(), 0); err != nil {
		_ = p.file.Close() // the first error counts
		return segment{}, failed("write", s.path, err)
	}
	return s, nil
}

// enter makes s the segment that frames go into.
func (w *WAL) enter(s segment) {
	w.tail = s
	w.out = gather{file: s.file, offset: s.offset(w.written), buf: w.out.buf[:0]}
}

// publish gives the tail its name in the log. What it holds is synced first, so
// a name never stands for less than a header.
func (w *WAL) publish() error {
	if err := w.tail.file.SyncData(); err != nil {
		return failed("sync", w.tail.path, err)
	}
	if err := w.fs.Rename(filepath.Join(w.dir, preparedName), w.tail.path); err != nil {
		return failed("rename", w.tail.path, err)
	}
	return failed("sync", w.dir, w.fs.SyncDir(w.dir))
}

// seal writes the frame that ends a segment: the next one is durable. It lies at
// the position where the next begins and takes none itself.
func (w *WAL) seal(s *segment, next *segmentHeader) error {
	f := frame{kind: kindSeal, position: next.start, durable: next.start, term: next.hard.Term, boot: uint32(w.identity.BootCounter)}
	if _, err := s.file.WriteAt(w.codec.appendHeader(nil, &f), s.offset(f.position)); err != nil {
		return failed("write", s.path, err)
	}
	return failed("sync", s.path, s.file.SyncData())
}
