package vfs

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// OS is the file system of the operating system. Files are made readable and
// writable by their owner alone.
var OS FS = osFS{}

type osFS struct{}

type osFile struct{ *os.File }

func (osFS) Create(path string) (File, error) {
	return openOS(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
}

func (osFS) Open(path string) (File, error) {
	return openOS(path, os.O_RDWR)
}

func openOS(path string, flag int) (File, error) {
	f, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) Rename(from, to string) error {
	if filepath.Dir(from) != filepath.Dir(to) {
		return errAcross(from, to)
	}
	return os.Rename(from, to)
}

func (osFS) Remove(path string) error { return os.Remove(path) }
func (osFS) Mkdir(path string) error  { return os.Mkdir(path, 0o700) }

func (osFS) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

func (osFS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func (osFS) Lock(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f osFile) SyncData() error {
	if err := syncData(f.File); err != nil {
		return fmt.Errorf("sync data of %s: %w", f.Name(), err)
	}
	return nil
}

func errAcross(from, to string) error {
	return fmt.Errorf("rename %s to %s: the directories differ, and no power loss would respect that: %w", from, to, os.ErrInvalid)
}
