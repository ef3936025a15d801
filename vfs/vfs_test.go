package vfs

import (
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"testing"
)

// Both file systems do the same, as far as a program can see.
func TestBothFileSystems(t *testing.T) {
	for name, fsys := range map[string]FS{"OS": OS, "Mem": NewMem()} {
		t.Run(name, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "x", "y")
			if err := fsys.Mkdir(filepath.Join(root, "z")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("Mkdir below nothing: %v", err)
			}
			for range 2 {
				if err := MakeDir(fsys, root); err != nil {
					t.Fatal(err)
				}
			}
			if err := fsys.Mkdir(root); !errors.Is(err, fs.ErrExist) {
				t.Errorf("Mkdir of what exists: %v", err)
			}
			testFile(t, fsys, root)
			testNames(t, fsys, root)
			testLock(t, fsys, root)
		})
	}
}

func testFile(t *testing.T, fsys FS, root string) {
	path := filepath.Join(root, "file")
	if _, err := fsys.Open(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open of nothing: %v", err)
	}
	f, err := fsys.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, err error, want string) {
		t.Helper()
		got, readErr := ReadFile(fsys, path)
		size, sizeErr := f.Size()
		if err != nil || readErr != nil || sizeErr != nil || string(got) != want || size != int64(len(want)) {
			t.Errorf("%s: file holds %q, %d bytes, want %q (%v, %v, %v)", what, got, size, want, err, readErr, sizeErr)
		}
	}
	_, err = f.WriteAt([]byte("hello"), 3)
	check("write behind the end", err, "\x00\x00\x00hello")
	_, err = f.WriteAt([]byte("HE"), 3)
	check("overwrite", err, "\x00\x00\x00HEllo")
	check("sync", f.SyncData(), "\x00\x00\x00HEllo")
	check("cut", f.Truncate(4), "\x00\x00\x00H")
	check("grow", f.Truncate(6), "\x00\x00\x00H\x00\x00")
	b := make([]byte, 4)
	if n, err := f.ReadAt(b, 3); n != 3 || err != io.EOF || string(b[:n]) != "H\x00\x00" {
		t.Errorf("read over the end: %q, %v", b[:n], err)
	}
	if n, err := f.ReadAt(b, 9); n != 0 || err != io.EOF {
		t.Errorf("read behind the end: %d, %v", n, err)
	}
	if again, err := fsys.Create(path); err != nil {
		t.Error(err)
	} else {
		check("create again", again.Close(), "")
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := f.WriteAt(b, 0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("write to a closed file: %v", err)
	}
}

func testNames(t *testing.T, fsys FS, root string) {
	at := func(name string) string { return filepath.Join(root, name) }
	if err := WriteFile(fsys, at("b"), []byte("b")); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(fsys, at("a"), []byte("a")); err != nil {
		t.Fatal(err)
	}
	if err := fsys.Rename(at("b"), at("a")); err != nil {
		t.Error(err)
	}
	if got, err := ReadFile(fsys, at("a")); err != nil || string(got) != "b" {
		t.Errorf("the renamed file holds %q, %v", got, err)
	}
	if err := fsys.Rename(at("b"), at("c")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Rename of nothing: %v", err)
	}
	if err := fsys.Rename(at("a"), filepath.Join(filepath.Dir(root), "a")); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("Rename into another directory: %v", err)
	}
	if names, err := fsys.List(root); err != nil || !slices.Equal(names, []string{"a", "file"}) {
		t.Errorf("List: %q, %v", names, err)
	}
	if err := errors.Join(fsys.Remove(at("a")), fsys.SyncDir(root)); err != nil {
		t.Error(err)
	}
	if err := fsys.Remove(at("a")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Remove of nothing: %v", err)
	}
	if _, err := fsys.List(at("a")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("List of nothing: %v", err)
	}
}

func testLock(t *testing.T, fsys FS, root string) {
	path := filepath.Join(root, "lock")
	first, err := fsys.Lock(path)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Log("this system has no file locks; what Lock promises was not tested")
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fsys.Lock(path); !errors.Is(err, ErrLocked) {
		t.Errorf("second Lock: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	second, err := fsys.Lock(path)
	if err != nil {
		t.Fatalf("Lock after the first was given back: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}
