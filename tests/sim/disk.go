package sim

import (
	"errors"
	"time"

	"lockstep.example/raft/vfs"
)

// slowFS is a host's file system for one life: syncs take time, can be held up,
// and fail while the disk is broken.
type slowFS struct {
	*vfs.Mem
	h    *host
	life *life
}

var errBroken = errors.New("input/output error")

// Create implements vfs.FS.
func (f *slowFS) Create(path string) (vfs.File, error) { return f.wrap(f.Mem.Create(path)) }

// Open implements vfs.FS.
func (f *slowFS) Open(path string) (vfs.File, error) { return f.wrap(f.Mem.Open(path)) }

func (f *slowFS) wrap(file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &slowFile{file, f}, nil
}

type slowFile struct {
	vfs.File
	fs *slowFS
}

// WriteAt implements vfs.File. A write that fails may have written a part.
func (f *slowFile) WriteAt(p []byte, offset int64) (int, error) {
	if f.fs.h.isBroken() {
		n, _ := f.File.WriteAt(p[:f.fs.h.sim.random(len(p)+1)], offset)
		return n, errBroken
	}
	return f.File.WriteAt(p, offset)
}

// SyncData implements vfs.File. It waits before it syncs, so that a crash
// meanwhile finds all that was written unsynced.
func (f *slowFile) SyncData() error {
	h := f.fs.h
	h.mu.Lock()
	average, gate := h.flush, h.diskGate
	h.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-f.fs.life.over:
		}
	}
	select {
	case <-time.After(average/2 + time.Duration(h.sim.random(int(average)))):
	case <-f.fs.life.over:
	}
	if h.isBroken() {
		return errBroken
	}
	return f.File.SyncData()
}

func (h *host) isBroken() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.broken
}
