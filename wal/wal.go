// Package wal keeps what a Raft server must not forget in a directory: it is
// the raft.Persister that survives the process and the machine. FORMAT.md, next
// to this file, draws the files, argues why a crash cannot hurt them and numbers
// the steps of recovery.
//
//	w, err := wal.Open(vfs.OS, "/var/lib/demo/n1", wal.Options{})
//	...
//	rf, err := raft.New(raft.Config{Store: w, ...})
//	...
//	<-rf.Done()
//	w.Close()
//
// A log is a run of segments, files of zeros made in advance that frames are
// written into. One Flush is one write and one fdatasync, whatever was staged.
package wal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"sync/atomic"

	"lockstep.example/raft"
	"lockstep.example/raft/internal/lock"
	"lockstep.example/raft/vfs"
)

// Options are what Open needs beside a directory. The zero value will do.
type Options struct {
	// Cluster and Server, if set, are whom the directory must belong to:
	// *WrongDirectoryError if it says otherwise.
	Cluster string
	Server  raft.ServerID
	// SegmentBytes is the size of a log segment; 0 means 64 MiB, the least is
	// 1 KiB. The first segments of a log are smaller, 1 MiB, 4 MiB and so on. A
	// batch that is larger gets a segment of its own size.
	SegmentBytes int64
	// Logger hears of a torn tail that was cut, and of failures; nil means
	// slog.Default.
	Logger *slog.Logger

	maxBody int // in tests: a limit that can be reached
}

const (
	defaultSegment = 64 << 20
	leastSegment   = 1 << 10
)

// WAL is a raft.Persister in a directory. Stage may be called from any
// goroutine; all other methods by one at a time, Identity, Report and Stats
// excepted.
type WAL struct {
	// immutable after Open
	fs           vfs.FS
	dir          string
	options      Options
	segmentBytes int64
	logger       *slog.Logger
	lock         io.Closer

	// immutable after Open or Bootstrap
	identity raft.Identity // zero: not bootstrapped
	digest   [digestSize]byte
	codec    codec
	report   Report

	mu lock.Mutex // a leaf: never held across a file call

	// guarded by mu
	staged []frame       // not yet given to a flush
	end    raft.Position // of everything staged

	// owned by whoever calls Flush, Bootstrap, Recover, Close
	recovered *raft.Recovered // until Recover gives it away
	spare     []frame         // becomes staged at the next flush
	tail      segment         // where frames are written
	chain     chain           // all frames written or being written
	written   raft.Position   // end of the frames given to out
	durable   raft.Position   // end of the frames that are durable
	out       gather          // bytes on their way into the tail
	preparing chan prepared   // the next segment; nil: nobody makes it
	failed    error           // final

	closing atomic.Bool // ends the preparation of a segment
	stats   counters
}

// Open opens the log in a directory, which it creates if need be, and locks it.
// An existing log is read, verified, mended where a crash left it half written,
// and its boot counter raised. Of a directory that was never bootstrapped
// Recover says so, and Bootstrap fills it.
//
// Errors: *LockedError, *WrongDirectoryError, *CorruptError, *FormatError,
// *raft.StorageError.
func Open(fsys vfs.FS, dir string, o Options) (*WAL, error) {
	w := &WAL{fs: fsys, dir: filepath.Clean(dir), options: o, segmentBytes: o.SegmentBytes, logger: o.Logger}
	if w.logger == nil {
		w.logger = slog.Default()
	}
	if w.segmentBytes == 0 {
		w.segmentBytes = defaultSegment
	}
	if w.segmentBytes = padded(w.segmentBytes); w.segmentBytes < leastSegment {
		return nil, fmt.Errorf("open log %s: %w: segments of %d bytes; the least is %d", dir, raft.ErrConfig, o.SegmentBytes, leastSegment)
	}
	if err := vfs.MakeDir(fsys, w.dir); err != nil {
		return nil, fmt.Errorf("open log: %w", failed("create", w.dir, err))
	}
	var err error
	if w.lock, err = fsys.Lock(filepath.Join(w.dir, lockName)); err != nil {
		if errors.Is(err, vfs.ErrLocked) {
			return nil, fmt.Errorf("open log: %w", &LockedError{Dir: w.dir})
		}
		return nil, fmt.Errorf("open log: %w", failed("lock", w.dir, err))
	}
	if err := w.open(); err != nil {
		_ = w.Close() // err says more
		return nil, fmt.Errorf("open log: %w", err)
	}
	return w, nil
}

// open looks at what the directory holds. The identity file is what makes a
// directory a server's: without it, and without segments, it is empty.
func (w *WAL) open() error {
	sequences, err := w.segments()
	if err != nil {
		return failed("list", w.dir, err)
	}
	id, err := readIdentity(w.fs, w.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && len(sequences) == 0:
		w.recovered = &raft.Recovered{Empty: true}
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return &CorruptError{Path: filepath.Join(w.dir, identityName), Detail: "the file is missing, and there are log segments"}
	case err != nil:
		return w.readFailed(identityName, err)
	}
	if err := w.expect(id); err != nil {
		return err
	}
	if id.BootCounter, err = readBoot(w.fs, w.dir, id); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = &CorruptError{Path: filepath.Join(w.dir, bootName), Detail: "the file is missing"}
		}
		return w.readFailed(bootName, err)
	}
	w.adopt(id)
	if err := w.recoverLog(sequences); err != nil {
		return err
	}
	w.identity.BootCounter++
	w.recovered.Identity = w.identity
	path := filepath.Join(w.dir, bootName)
	return failed("write", path, vfs.WriteFile(w.fs, path, encodeBoot(w.identity)))
}

// readFailed passes on what readRecord says, naming the file if it is an error of
// the file system.
func (w *WAL) readFailed(name string, err error) error {
	if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrFormat) {
		return err
	}
	return failed("read", filepath.Join(w.dir, name), err)
}

// expect compares an identity with the one Options ask for.
func (w *WAL) expect(id raft.Identity) error {
	o := &w.options
	if (o.Cluster != "" && o.Cluster != id.Cluster) || (o.Server != "" && o.Server != id.Server) {
		return &WrongDirectoryError{Dir: w.dir, Cluster: id.Cluster, Server: id.Server, WantCluster: o.Cluster, WantServer: o.Server}
	}
	return nil
}

// adopt sets what follows from the identity.
func (w *WAL) adopt(id raft.Identity) {
	w.identity, w.digest, w.codec = id, digestOf(id), newCodec(id.Directory)
	if w.options.maxBody > 0 {
		w.codec.maxBody = w.options.maxBody
	}
}

// segments lists the sequences of the segments in the directory, rising.
func (w *WAL) segments() ([]uint64, error) {
	names, err := w.fs.List(w.dir)
	if err != nil {
		return nil, err
	}
	var sequences []uint64
	for _, name := range names {
		if sequence, ok := parseSegmentName(name); ok {
			sequences = append(sequences, sequence)
		}
	}
	slices.Sort(sequences)
	return sequences, nil
}

// Recover implements raft.Persister. It gives the log away, and can do so once
// for each Open or Bootstrap.
func (w *WAL) Recover() (raft.Recovered, error) {
	if w.failed != nil {
		return raft.Recovered{}, w.failed
	}
	if w.recovered == nil {
		return raft.Recovered{}, failed("recover", w.dir, errors.New("the log was given away by an earlier Recover; open it again"))
	}
	r := *w.recovered
	if !r.Empty {
		w.recovered = nil
	}
	return r, nil
}

// Identity returns whom the directory belongs to; the zero value before
// Bootstrap. BootCounter is that of this Open.
func (w *WAL) Identity() raft.Identity {
	id := w.identity
	id.Directory = slices.Clone(id.Directory)
	return id
}

// Close gives the directory back. What was staged and not flushed is lost. Close
// after the server's Done channel is closed; calling it again does nothing.
func (w *WAL) Close() error {
	if errors.Is(w.failed, ErrClosed) {
		return nil
	}
	w.dropPrepared()
	var err error
	if w.tail.file != nil {
		err = w.tail.file.Close()
	}
	w.failed = failed("use", w.dir, ErrClosed)
	return failed("close", w.dir, errors.Join(err, w.lock.Close()))
}
