package wal

import (
	"errors"
	"fmt"

	"lockstep.example/raft"
)

// Open's refusals are, by errors.Is, one of these; a failure of the disk is
// raft.ErrStorage, and a path that cannot be used at all is what package vfs said.
var (
	ErrCorrupt        = errors.New("corrupt")
	ErrLocked         = errors.New("directory in use")
	ErrWrongDirectory = errors.New("directory of another server")
	ErrFormat         = errors.New("unknown format")
	ErrClosed         = errors.New("log closed")
)

// CorruptError says that a directory holds damage that no crash explains:
// something that was durable is gone or changed. Nothing was modified.
// errors.Is ErrCorrupt.
type CorruptError struct {
	Path   string // the file
	Offset int64  // where in it, bytes
	Detail string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("corrupt: %s at offset %d: %s; this server must not go on with what is left of its log, nor start empty under its old identity: "+
		"bring the whole directory back from where it is intact; until then leave this server down, the others go on while they are a majority",
		e.Path, e.Offset, e.Detail)
}

func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

// LockedError says that another process has the directory open. errors.Is
// ErrLocked.
type LockedError struct{ Dir string }

func (e *LockedError) Error() string {
	return fmt.Sprintf("directory %s is in use by another process; stop that server first, or give this one a directory of its own", e.Dir)
}

func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// WrongDirectoryError says that a directory belongs to another server or
// cluster than Options expected. errors.Is ErrWrongDirectory.
type WrongDirectoryError struct {
	Dir         string
	Cluster     string        // as the directory says
	Server      raft.ServerID // as the directory says
	WantCluster string        // as Options say; empty: any
	WantServer  raft.ServerID // as Options say; empty: any
}

func (e *WrongDirectoryError) Error() string {
	want := ""
	if e.WantServer != "" {
		want = fmt.Sprintf("server %s", e.WantServer)
	}
	if e.WantCluster != "" {
		if want != "" {
			want += " of "
		}
		want += fmt.Sprintf("cluster %s", e.WantCluster)
	}
	return fmt.Sprintf("directory %s belongs to server %s of cluster %s, not to %s; give the directory that server made, or an empty one to a server that never ran",
		e.Dir, e.Server, e.Cluster, want)
}

func (e *WrongDirectoryError) Is(target error) bool { return target == ErrWrongDirectory }

// FormatError names something intact that this program cannot read: a newer one
// wrote it. errors.Is ErrFormat.
type FormatError struct {
	Path   string
	Offset int64
	What   string // "frame kind 5 (snapshot mark)", "segment format 2", ...
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("unknown format: %s at offset %d has %s; a newer version of this program wrote it: start that one", e.Path, e.Offset, e.What)
}

func (e *FormatError) Is(target error) bool { return target == ErrFormat }

// failed wraps an error of the file system, unless it is one of ours already.
func failed(op, path string, err error) error {
	if err == nil || errors.Is(err, raft.ErrStorage) {
		return err
	}
	return &raft.StorageError{Op: op, Path: path, Err: err}
}
