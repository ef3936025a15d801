package vfs

import (
	"io"
	"io/fs"
	"slices"
)

// piece is one change to a file since all before it became durable. The pieces
// of a file lie in order; those a failed sync covered stay among them for ever,
// for nobody can know whether they reached the disk and no later sync writes
// them again.
type piece struct {
	state  pieceState
	cut    bool // Truncate to offset, not a write
	offset int64
	data   []byte
}

type pieceState uint8

const (
	dirty  pieceState = iota // written and not synced
	doomed                   // a sync of it failed
	kept                     // synced, but after a doomed one
)

// apply makes the change to a file's content.
func (p *piece) apply(content []byte) []byte {
	if p.cut {
		return resize(content, p.offset)
	}
	if end := p.offset + int64(len(p.data)); end > int64(len(content)) {
		content = resize(content, end)
	}
	copy(content[p.offset:], p.data)
	return content
}

// resize cuts content or adds zeros.
func resize(content []byte, size int64) []byte {
	if size <= int64(len(content)) {
		return content[:size:size] // what is cut must not come back
	}
	return append(content, make([]byte, size-int64(len(content)))...)
}

// change makes a change that a power loss may take.
func (n *node) change(p piece) {
	if n.shared {
		n.data, n.shared = slices.Clone(n.data), false
	}
	n.data = p.apply(n.data)
	n.pieces = append(n.pieces, p)
}

func (n *node) truncate(size int64) { n.change(piece{cut: true, offset: size}) }

// sync makes all changes durable but those that are beyond saving.
func (n *node) sync() {
	for i := range n.pieces {
		if n.pieces[i].state == dirty {
			n.pieces[i].state = kept
		}
	}
	folded := 0
	for folded < len(n.pieces) && n.pieces[folded].state == kept {
		n.base = n.pieces[folded].apply(n.base)
		folded++
	}
	n.pieces = append([]piece(nil), n.pieces[folded:]...)
}

// failSync is a sync that failed.
func (n *node) failSync() {
	for i := range n.pieces {
		if n.pieces[i].state == dirty {
			n.pieces[i].state = doomed
		}
	}
}

// memFile is an open file of a Mem. It stays one when its name is gone.
type memFile struct {
	m      *Mem
	n      *node
	path   string
	closed bool // guarded by m.mu
}

// begin is Mem.begin, and then takes m.mu, which the caller gives back.
func (f *memFile) begin(kind string, size int) (Fault, error) {
	fault, err := f.m.begin(kind, f.path, size)
	f.m.mu.Lock()
	if f.closed {
		return Fault{}, &fs.PathError{Op: kind, Path: f.path, Err: fs.ErrClosed}
	}
	return fault, err
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	_, err := f.begin("read", len(p))
	defer f.m.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, &fs.PathError{Op: "read", Path: f.path, Err: fs.ErrInvalid}
	}
	if off >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	fault, err := f.begin("write", len(p))
	defer f.m.mu.Unlock()
	if err == nil && off < 0 {
		err = &fs.PathError{Op: "write", Path: f.path, Err: fs.ErrInvalid}
	}
	written := len(p)
	if err != nil {
		written = min(max(fault.Written, 0), len(p))
	}
	if written > 0 {
		f.n.change(piece{offset: off, data: append([]byte(nil), p[:written]...)})
	}
	return written, err
}

func (f *memFile) Size() (int64, error) {
	_, err := f.begin("size", 0)
	defer f.m.mu.Unlock()
	return int64(len(f.n.data)), err
}

func (f *memFile) Truncate(size int64) error {
	_, err := f.begin("truncate", 0)
	defer f.m.mu.Unlock()
	if err == nil && size < 0 {
		err = &fs.PathError{Op: "truncate", Path: f.path, Err: fs.ErrInvalid}
	}
	if err == nil {
		f.n.truncate(size)
	}
	return err
}

func (f *memFile) SyncData() error {
	fault, err := f.begin("sync", 0)
	defer f.m.mu.Unlock()
	switch {
	case fault.Err != nil:
		f.n.failSync()
	case err == nil:
		f.n.sync()
	}
	return err
}

func (f *memFile) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed {
		return &fs.PathError{Op: "close", Path: f.path, Err: fs.ErrClosed}
	}
	f.closed = true
	return nil
}
