package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"lockstep.example/raft"
	"lockstep.example/raft/vfs"
)

// recovery reads the segments of a directory in order. It changes nothing on
// disk; mend does, once all of it was found good.
type recovery struct {
	w     *WAL
	chain chain
	log   []run
	end   raft.Position // of the intact frames so far
	group raft.Position // where the flush began that wrote the last of them
	boot  uint32        // which start of the server wrote the last of them

	// of the segment read last
	segment
	buf    []byte // its content; reused for the next one
	sealed bool
	torn   int64 // bytes after end that are not zero, up to the last such byte

	unsealed segment // the one before, if a crash came between its successor and its seal
	frames   int
}

// run is a batch of the log and the index of its first entry.
type run struct {
	first uint64
	batch raft.Batch
}

// recoverLog reads the log of a bootstrapped directory and makes the WAL ready
// to go on behind it. FORMAT.md numbers the steps.
func (w *WAL) recoverLog(sequences []uint64) error {
	began := time.Now()
	if len(sequences) == 0 {
		if err := w.finishBootstrap(); err != nil {
			return err
		}
		sequences = []uint64{1}
	}
	r := recovery{w: w}
	defer r.release()
	for i, sequence := range sequences {
		if sequence != uint64(i)+1 {
			return &CorruptError{Path: segmentPath(w.dir, uint64(i)+1), Detail: fmt.Sprintf("the segment is missing, and there is segment %d", sequence)}
		}
		if err := r.read(sequence); err != nil {
			return err
		}
	}
	if err := r.judgeEnd(); err != nil {
		return err
	}
	if uint64(r.boot) > w.identity.BootCounter {
		return &CorruptError{Path: filepath.Join(w.dir, bootName),
			Detail: fmt.Sprintf("the boot counter is %d, and the log has a frame of start %d: the file is an old copy", w.identity.BootCounter, r.boot)}
	}
	w.report = Report{Segments: len(sequences), Bytes: int64(r.end), Frames: r.frames, Entries: r.chain.last}
	if err := r.mend(); err != nil {
		return err
	}
	w.report.Duration = time.Since(began)
	w.recovered = &raft.Recovered{HardState: r.chain.hard, FirstIndex: 1, CommitIndex: r.chain.commit}
	for _, run := range r.log {
		w.recovered.Batches = append(w.recovered.Batches, run.batch)
	}
	w.chain, w.end, w.written, w.durable = r.chain, r.end, r.end, r.end
	w.enter(r.segment)
	r.file = nil // it is the WAL's now
	return nil
}

// finishBootstrap gives the first segment its name if a crash came between that
// and the identity file.
func (w *WAL) finishBootstrap() error {
	first, tmp := segmentPath(w.dir, 1), filepath.Join(w.dir, preparedName)
	missing := &CorruptError{Path: first, Detail: "the segment is missing, and there is an identity file"}
	content, err := vfs.ReadFile(w.fs, tmp)
	if errors.Is(err, fs.ErrNotExist) {
		return missing
	}
	if err != nil {
		return failed("read", tmp, err)
	}
	if h, err := decodeSegmentHeader(content, tmp); err != nil || h.sequence != 1 || h.digest != w.digest {
		return missing
	}
	// The identity may be seen and not yet be durable; a segment without one
	// would be taken for damage.
	if err := w.fs.SyncDir(w.dir); err != nil {
		return failed("sync", w.dir, err)
	}
	return failed("rename", first, w.fs.Rename(tmp, first))
}

// read takes in the next segment: its header must continue what came before, and
// its frames are taken as far as they are intact.
func (r *recovery) read(sequence uint64) error {
	previous := r.segment
	path := segmentPath(r.w.dir, sequence)
	if err := r.open(path); err != nil {
		return err
	}
	h, err := decodeSegmentHeader(r.buf, path)
	if err != nil {
		return err
	}
	switch {
	case h.digest != r.w.digest:
		return &CorruptError{Path: path, Detail: "the segment belongs to another directory"}
	case h.sequence != sequence:
		return &CorruptError{Path: path, Detail: fmt.Sprintf("the file holds segment %d", h.sequence)}
	case h.size < segmentHeaderSize || h.size > int64(len(r.buf)):
		return &CorruptError{Path: path, Offset: int64(len(r.buf)), Detail: fmt.Sprintf("the file is cut: it had %d bytes", h.size)}
	case h.start > r.end && sequence > 1:
		return &CorruptError{Path: previous.path, Offset: previous.offset(r.end),
			Detail: fmt.Sprintf("damage, and the log goes on at position %d in %s", h.start, path)}
	case h.start != r.end || h.last != r.chain.last || h.hard != r.chain.hard:
		return &CorruptError{Path: path, Detail: "the segment does not continue the one before"}
	}
	r.unsealed = segment{}
	if sequence > 1 && !r.sealed {
		r.unsealed = previous
	}
	r.segmentHeader, r.buf, r.sealed = h, r.buf[:h.size], false
	return r.readFrames()
}

// open opens a segment and reads it whole.
func (r *recovery) open(path string) error {
	r.release()
	f, err := r.w.fs.Open(path)
	if err != nil {
		return failed("open", path, err)
	}
	r.segment = segment{path: path, file: f}
	size, err := f.Size()
	if err != nil {
		return failed("read", path, err)
	}
	r.buf = slices.Grow(r.buf[:0], int(size))[:size]
	if n, err := f.ReadAt(r.buf, 0); err != nil && (err != io.EOF || n < len(r.buf)) {
		return failed("read", path, err)
	}
	return nil
}

func (r *recovery) release() {
	if r.file != nil {
		_ = r.file.Close() // only read from
		r.file = nil
	}
}

// readFrames takes the frames of a segment up to the first place without an
// intact one.
func (r *recovery) readFrames() error {
	for {
		at := r.offset(r.end)
		f, err := r.w.codec.decode(r.buf[at:], r.end)
		if err != nil {
			return r.locate(err, at)
		}
		if f.boot < r.boot {
			// The frame before was written by a later start, so this one belongs
			// to a torn tail that was cut, and the disk lost the zeros.
			return nil
		}
		if f.kind == kindSeal {
			r.sealed = true
			return nil
		}
		if err := r.chain.admit(&f); err != nil {
			return &CorruptError{Path: r.path, Offset: at, Detail: fmt.Sprintf("the frame does not follow from those before it: %v", err)}
		}
		if f.term != r.chain.hard.Term {
			return &CorruptError{Path: r.path, Offset: at, Detail: fmt.Sprintf("the frame is of term %d, those before it lead to %d", f.term, r.chain.hard.Term)}
		}
		if f.durable > f.position {
			return &CorruptError{Path: r.path, Offset: at, Detail: fmt.Sprintf("the frame at position %d says that everything up to %d was durable before it was written", f.position, f.durable)}
		}
		if f.batch.Count > 0 {
			r.append(f.first, f.batch)
		}
		r.frames++
		r.group, r.boot = f.durable, f.boot
		r.end += raft.Position(f.size())
	}
}

// locate adds the place to an error of the codec that ends recovery, and drops
// one that ends the run of intact frames.
func (r *recovery) locate(err error, at int64) error {
	var format *FormatError
	if errors.As(err, &format) {
		format.Path, format.Offset = r.path, at
		return format
	}
	return nil
}

// append adds a batch to the log; entries at and above its first are superseded.
// The bytes are copied, so that the log does not keep whole segments in memory.
func (r *recovery) append(first uint64, b raft.Batch) {
	for len(r.log) > 0 && r.log[len(r.log)-1].first >= first {
		r.log = r.log[:len(r.log)-1]
	}
	if len(r.log) > 0 {
		last := &r.log[len(r.log)-1]
		last.batch = firstEntries(last.batch, first-last.first)
	}
	b.Body = bytes.Clone(b.Body)
	r.log = append(r.log, run{first, b})
}

// firstEntries returns the first count entries of a batch that was checked.
func firstEntries(b raft.Batch, count uint64) raft.Batch {
	if count >= uint64(b.Count) {
		return b
	}
	size, n := 0, uint64(0)
	_ = b.Walk(func(_ raft.EntryKind, _ uint64, raw []byte) error { // checked, so no error
		if n++; n <= count {
			size += len(raw)
		}
		return nil
	})
	return raft.NewBatch(b.Body[:size:size], int(count))
}

// judgeEnd decides what the end of the last segment means.
//
// A power loss may leave any part of the flush that was under way: its frames
// were written after everything before them was durable, and each of them says
// up to where that was. So if some later frame says that the stream was durable
// beyond the place where the intact frames end, that place was durable once and
// is damaged now, which no crash does. If there is no such frame, what follows is
// the rest of a flush that never returned, and can be cut.
//
// The one case that cannot be told apart is damage to the last flush that did
// return: nothing later was written that could vouch for it.
func (r *recovery) judgeEnd() error {
	if r.sealed {
		return &CorruptError{Path: segmentPath(r.w.dir, r.sequence+1), Detail: fmt.Sprintf("the segment is missing, and %s says that the log goes on in it", r.path)}
	}
	stop := r.offset(r.end)
	rest := trimZeros(r.buf[stop:])
	r.torn = int64(len(rest))
	for i := frameAlign; i+16 <= len(rest); i += frameAlign {
		position := r.end + raft.Position(i)
		// Most places fail this test, which spares the call.
		if raft.Position(binary.LittleEndian.Uint64(rest[i+8:])) != position {
			continue
		}
		f, err := r.w.codec.decodeHeader(r.buf[stop+int64(i):], position)
		if err := r.locate(err, stop+int64(i)); err != nil {
			return err
		}
		if err == nil && f.durable > r.end {
			return &CorruptError{Path: r.path, Offset: stop,
				Detail: fmt.Sprintf("damage, and the frame at offset %d was written when everything up to offset %d was durable", stop+int64(i), r.offset(f.durable))}
		}
	}
	return nil
}

// trimZeros cuts the zeros off the end of b.
func trimZeros(b []byte) []byte {
	const block = 4 << 10
	for len(b) >= block && bytes.Equal(b[len(b)-block:], zeros[:block]) {
		b = b[:len(b)-block]
	}
	for len(b) > 0 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	return b
}

// mend makes what was read durable and the place behind it clean, before anyone
// relies on either:
//
//   - The last flush may have been read from memory the kernel could not write
//     out, if the process before this one ended with a failed sync. Its frames are
//     written again: the kernel takes pages it once gave up for clean.
//   - Torn bytes become zeros, so that they cannot pass for frames after new ones
//     were written before them.
//   - Names that were made without a sync of the directory become durable, and a
//     seal that a crash prevented is written.
func (r *recovery) mend() error {
	from, stop := r.offset(max(r.group, r.start)), r.offset(r.end)
	if _, err := r.file.WriteAt(r.buf[from:stop], from); err != nil {
		return failed("write", r.path, err)
	}
	if r.torn > 0 {
		if err := writeZeros(r.file, stop, stop+r.torn); err != nil {
			return failed("write", r.path, err)
		}
		report := &r.w.report
		report.TornBytes, report.TornPath, report.TornOffset = r.torn, r.path, stop
		r.w.logger.Warn("a torn tail was cut from the log: the rest of a flush that a crash cut short",
			"path", r.path, "offset", stop, "bytes", r.torn)
	}
	if err := r.file.SyncData(); err != nil {
		return failed("sync", r.path, err)
	}
	if err := r.w.fs.SyncDir(r.w.dir); err != nil {
		return failed("sync", r.w.dir, err)
	}
	if r.unsealed.path == "" {
		return nil
	}
	old, err := r.w.fs.Open(r.unsealed.path)
	if err != nil {
		return failed("open", r.unsealed.path, err)
	}
	defer old.Close()
	r.unsealed.file = old
	return r.w.seal(&r.unsealed, &r.segmentHeader)
}
