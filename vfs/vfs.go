// Package vfs is the handful of file operations a durable log needs, behind an
// interface small enough to be implemented twice: OS is the real file system,
// Mem one in memory that can lose power and fail on demand. Code written
// against FS can be shown to survive what a disk does.
//
// The promises are those a portable program may count on, and no more:
//
//   - Data written to a file survives a power loss once SyncData has returned
//     without error. Before that any part of it may survive, in any order.
//   - A name created, renamed or removed does so once SyncDir of its directory
//     has returned. Syncing a file says nothing about its name.
//   - After SyncData or SyncDir failed, what was written since the last success
//     may or may not be there, and calling it again proves nothing: a kernel
//     reports a lost page once and then calls it clean.
package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
)

// ErrLocked is what Lock returns, wrapped, while another holder has the lock.
var ErrLocked = errors.New("locked by another holder")

// FS is a file system. Its methods may be called from any goroutine. Errors are
// those of package io/fs where it has one (fs.ErrNotExist, fs.ErrExist), wrapped.
// Paths are those of package path/filepath.
type FS interface {
	// Create opens a file for reading and writing, empty: an existing file
	// loses its content.
	Create(path string) (File, error)
	// Open opens an existing file for reading and writing.
	Open(path string) (File, error)
	// Rename gives a file another name in the same directory, replacing what had
	// that name. After a power loss the file has either the old name or the new.
	Rename(from, to string) error
	// Remove takes away the name of a file.
	Remove(path string) error
	// Mkdir creates a directory whose parent exists.
	Mkdir(path string) error
	// List returns the names in a directory, sorted.
	List(dir string) ([]string, error)
	// SyncDir makes the names in a directory durable.
	SyncDir(dir string) error
	// Lock takes the exclusive lock that the file of this path stands for and
	// creates the file if need be. It does not wait: ErrLocked while another
	// process, or another Lock of this one, holds it. The lock ends with Close
	// or with the process. errors.ErrUnsupported on systems without locks.
	Lock(path string) (io.Closer, error)
}

// File is an open file. ReadAt, WriteAt and SyncData may be called from several
// goroutines.
type File interface {
	io.ReaderAt
	// WriteAt writes all of p or fails; a failed call may have written a part.
	// A gap between the old end and off reads as zeros.
	io.WriterAt
	io.Closer
	// Size returns the length in bytes.
	Size() (int64, error)
	// Truncate sets the length in bytes; what is added reads as zeros.
	Truncate(size int64) error
	// SyncData makes the content and the length durable. It need not do so for
	// anything else, such as times.
	SyncData() error
}

// MakeDir creates a directory, and the missing ones above it, durably. One that
// exists already is fine.
func MakeDir(fsys FS, dir string) error {
	dir = filepath.Clean(dir)
	if err := makeDir(fsys, dir); err != nil {
		return fmt.Errorf("create directory %s: %w", dir, err)
	}
	// All the way up, also where nothing was created: whoever created it may have
	// died before it was durable. What this process may not open it did not make.
	for at := dir; at != filepath.Dir(at); at = filepath.Dir(at) {
		err := fsys.SyncDir(filepath.Dir(at))
		if err != nil && (at == dir || !errors.Is(err, fs.ErrPermission)) {
			return fmt.Errorf("make directory %s durable: %w", at, err)
		}
	}
	return nil
}

func makeDir(fsys FS, dir string) error {
	err := fsys.Mkdir(dir)
	if parent := filepath.Dir(dir); errors.Is(err, fs.ErrNotExist) && parent != dir {
		if err := makeDir(fsys, parent); err != nil {
			return err
		}
		err = fsys.Mkdir(dir)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// ReadFile returns the whole content of a file.
func ReadFile(fsys FS, path string) ([]byte, error) {
	f, err := fsys.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	data := make([]byte, size)
	if _, err := f.ReadAt(data, 0); err != nil && err != io.EOF {
		return nil, err
	}
	return data, nil
}

// WriteFile replaces a file by one with the given content, durably and all or
// nothing: after a power loss at any moment it has its old content or the new.
// The content is gathered under the name path + ".tmp", which is left behind
// when it fails.
func WriteFile(fsys FS, path string, content []byte) error {
	f, err := fsys.Create(path + ".tmp")
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteAt(content, 0); err != nil {
		return err
	}
	if err := f.SyncData(); err != nil {
		return err
	}
	if err := fsys.Rename(path+".tmp", path); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(path))
}
