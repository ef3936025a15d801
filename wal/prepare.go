package wal

import (
	"errors"
	"path/filepath"

	"lockstep.example/raft/vfs"
)

const (
	// firstSegment keeps the start of a new server short: it waits for this many
	// zeros, and each segment is segmentGrowth times the one before until
	// Options.SegmentBytes is reached. A small log stays small on disk.
	firstSegment  = 1 << 20
	segmentGrowth = 4
	// zeroRun is how many zeros are synced at once: few enough that a flush that
	// runs beside does not stand behind them in the disk's queue for long.
	zeroRun = 4 << 20
)

var zeros [256 << 10]byte // never written

var errClosing = errors.New("the log is being closed")

// prepared is a file of zeros, durable, that has no name in the log yet.
type prepared struct {
	file vfs.File
	size int64
	err  error
}

// prepare starts to make the next segment, unless that is under way. It happens
// in a goroutine of its own, so that no flush waits for it unless the log grows
// faster than zeros can be written. Whoever takes from w.preparing owns the file.
func (w *WAL) prepare() {
	if w.preparing != nil {
		return
	}
	size := min(w.segmentBytes, max(firstSegment, segmentGrowth*w.tail.size))
	done := make(chan prepared, 1)
	w.preparing = done
	go func() {
		p := prepared{size: size}
		p.file, p.err = w.fs.Create(filepath.Join(w.dir, preparedName))
		if p.err == nil {
			p.err = w.fillZeros(p.file, 0, size)
		}
		if p.err != nil && !errors.Is(p.err, errClosing) {
			w.logger.Warn("the next log segment could not be prepared; the server stops when it needs it", "dir", w.dir, "err", p.err)
		}
		done <- p
	}()
}

// takePrepared returns a file of zeros of at least the given size; it waits for
// the preparation, and begins one if there is none.
func (w *WAL) takePrepared(size int64) (prepared, error) {
	w.prepare()
	p := <-w.preparing
	w.preparing = nil
	if size = padded(size); p.err == nil && p.size < size {
		p.err = w.fillZeros(p.file, p.size, size)
		p.size = size
	}
	if p.err != nil && p.file != nil {
		_ = p.file.Close() // the error that counts is p.err
	}
	return p, failed("prepare", filepath.Join(w.dir, preparedName), p.err)
}

// dropPrepared ends a preparation and waits for its end.
func (w *WAL) dropPrepared() {
	w.closing.Store(true)
	if w.preparing == nil {
		return
	}
	if p := <-w.preparing; p.file != nil {
		_ = p.file.Close() // zeros: nothing to lose
	}
	w.preparing = nil
}

// fillZeros writes zeros to [from, to) of a file and makes them durable. They are
// written, not reserved: only a block that holds data can be overwritten later
// without the file system having to note that it does.
func (w *WAL) fillZeros(f vfs.File, from, to int64) error {
	for from < to {
		if w.closing.Load() {
			return errClosing
		}
		run := min(to, from+zeroRun)
		if err := writeZeros(f, from, run); err != nil {
			return err
		}
		if err := f.SyncData(); err != nil {
			return err
		}
		from = run
	}
	return nil
}

// writeZeros writes zeros to [from, to) of a file.
func writeZeros(f vfs.File, from, to int64) error {
	for from < to {
		n, err := f.WriteAt(zeros[:min(int64(len(zeros)), to-from)], from)
		if err != nil {
			return err
		}
		from += int64(n)
	}
	return nil
}
