package vfs

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// script runs commands, one a line, against a new Mem with one directory /d,
// and returns the Mem.
//
//	create NAME | write NAME OFFSET TEXT | cut NAME SIZE | sync NAME | failsync NAME
//	rename FROM TO | remove NAME | syncdir
func script(t *testing.T, text string) *Mem {
	t.Helper()
	m, errDisk := NewMem(), errors.New("disk")
	if err := MakeDir(m, "/d"); err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		w := strings.Fields(line)
		var f File
		var err error
		if w[0] == "create" {
			f, err = m.Create("/d/" + w[1])
		} else if w[0] != "rename" && w[0] != "remove" && w[0] != "syncdir" {
			f, err = m.Open("/d/" + w[1])
		}
		number := func(i int) (n int64) {
			_, err := fmt.Sscan(w[i], &n)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			return n
		}
		if err == nil {
			switch w[0] {
			case "write":
				_, err = f.WriteAt([]byte(w[3]), number(2))
			case "cut":
				err = f.Truncate(number(2))
			case "sync":
				err = f.SyncData()
			case "failsync":
				m.Inject(func(Op) Fault { return Fault{Err: errDisk} })
				if err = f.SyncData(); errors.Is(err, errDisk) {
					err = nil
				}
				m.Inject(nil)
			case "rename":
				err = m.Rename("/d/"+w[1], "/d/"+w[2])
			case "remove":
				err = m.Remove("/d/" + w[1])
			case "syncdir":
				err = m.SyncDir("/d")
			}
		}
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	return m
}

// show lists what a file system holds, as "name=content".
func show(t *testing.T, m *Mem) string {
	t.Helper()
	names, err := m.List("/d")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, name := range names {
		content, err := ReadFile(m, "/d/"+name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, name+"="+string(bytes.ReplaceAll(content, []byte{0}, []byte{'.'})))
	}
	return strings.Join(all, " ")
}

// What a power loss leaves, if it takes all it can, all names it can, all data
// it can, or nothing.
func TestCrash(t *testing.T) {
	isData := func(l Loss) bool { return l.Kind == "write" || l.Kind == "truncate" }
	for _, c := range []struct{ what, run, nothing, data, names, all string }{
		{"nothing synced", "create f\nwrite f 0 abc", "", "", "f=", "f=abc"},
		{"data synced, name not", "create f\nwrite f 0 abc\nsync f", "", "", "f=abc", "f=abc"},
		{"name synced, data not", "create f\nwrite f 0 abc\nsyncdir", "f=", "f=abc", "f=", "f=abc"},
		{"both synced", "create f\nwrite f 0 abc\nsync f\nsyncdir", "f=abc", "f=abc", "f=abc", "f=abc"},
		{"overwrite", "create f\nwrite f 0 abc\nsync f\nsyncdir\nwrite f 1 XYZ", "f=abc", "f=aXYZ", "f=abc", "f=aXYZ"},
		{"cut", "create f\nwrite f 0 abc\nsync f\nsyncdir\ncut f 1\ncut f 3", "f=abc", "f=a..", "f=abc", "f=a.."},
		{"rename", "create f\nwrite f 0 a\nsync f\nsyncdir\nrename f g", "f=a", "f=a", "g=a", "g=a"},
		{"rename over", "create f\nwrite f 0 a\nsync f\ncreate g\nwrite g 0 b\nsync g\nsyncdir\nrename f g", "f=a g=b", "f=a g=b", "g=a", "g=a"},
		{"rename synced", "create f\nwrite f 0 a\nsync f\nsyncdir\nrename f g\nsyncdir", "g=a", "g=a", "g=a", "g=a"},
		{"renamed twice", "create f\nsyncdir\nrename f g\nrename g h", "f=", "f=", "h=", "h="},
		{"remove", "create f\nwrite f 0 a\nsync f\nsyncdir\nremove f", "f=a", "f=a", "", ""},
		{"made anew", "create f\nwrite f 0 a\nsync f\nsyncdir\nremove f\ncreate f\nwrite f 0 b\nsync f", "f=a", "f=a", "f=b", "f=b"},
		{"emptied by create", "create f\nwrite f 0 abc\nsync f\nsyncdir\ncreate f", "f=abc", "f=", "f=abc", "f="},
		{"failed sync", "create f\nsyncdir\nwrite f 0 ab\nfailsync f\nwrite f 1 X\nsync f", "f=.X", "f=aX", "f=.X", "f=aX"},
		{"written again after a failed sync", "create f\nsyncdir\nwrite f 0 ab\nfailsync f\nwrite f 0 ab\nsync f", "f=ab", "f=ab", "f=ab", "f=ab"},
	} {
		t.Run(c.what, func(t *testing.T) {
			m := script(t, c.run)
			before := show(t, m)
			for want, keep := range map[*string]func(Loss) int{
				&c.nothing: nil,
				&c.all:     func(l Loss) int { return l.Size },
				&c.names: func(l Loss) int {
					if isData(l) {
						return 0
					}
					return 1
				},
				&c.data: func(l Loss) int {
					if isData(l) {
						return l.Size
					}
					return 0
				},
			} {
				after := m.Crash(keep)
				if got := show(t, after); got != *want {
					t.Errorf("left %q, want %q", got, *want)
				}
				// What a crash left is on disk: no second one takes it.
				if got := show(t, after.Crash(nil)); got != *want {
					t.Errorf("left %q after a second crash, want %q", got, *want)
				}
			}
			if after := show(t, m); after != before {
				t.Errorf("Crash changed its receiver from %q to %q", before, after)
			}
		})
	}
}

// A write is torn at sectors, and within one.
func TestTornWrite(t *testing.T) {
	m := script(t, "create f\nsyncdir\nwrite f 500 "+strings.Repeat("x", 600))
	var asked []string
	after := m.Crash(func(l Loss) int {
		asked = append(asked, fmt.Sprintf("%s %s %d+%d", l.Kind, l.Path, l.Offset, l.Size))
		return l.Size / 2 * (len(asked) % 2)
	})
	if want := "write /d/f 500+12,write /d/f 512+512,write /d/f 1024+76"; strings.Join(asked, ",") != want {
		t.Errorf("asked about %q, want %q", asked, want)
	}
	want := strings.Repeat(".", 500) + "xxxxxx" + strings.Repeat(".", 518) + strings.Repeat("x", 38)
	if got := show(t, after); got != "f="+want {
		t.Errorf("left %q", got)
	}
}

// A directory that is lost takes along what is in it, and a lock ends with the
// machine.
func TestCrashOfDirectoryAndLock(t *testing.T) {
	m := NewMem()
	if err := errors.Join(m.Mkdir("/a"), m.Mkdir("/a/b"), m.SyncDir("/a"), WriteFile(m, "/a/b/f", []byte("f"))); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Lock("/a/b/lock"); err != nil {
		t.Fatal(err)
	}
	if names, err := m.Crash(nil).List("/"); err != nil || len(names) != 0 {
		t.Errorf("without a sync of the root: %q, %v", names, err)
	}
	if err := m.SyncDir("/"); err != nil {
		t.Fatal(err)
	}
	after := m.Crash(nil)
	if got, err := ReadFile(after, "/a/b/f"); err != nil || string(got) != "f" {
		t.Errorf("after a sync of the root: %q, %v", got, err)
	}
	if _, err := after.Lock("/a/b/lock"); err != nil {
		t.Errorf("Lock after the crash: %v", err)
	}
}

// MakeDir makes every directory durable, also after one of its syncs failed.
func TestMakeDirIsDurable(t *testing.T) {
	errDisk := errors.New("disk")
	for number := uint64(1); ; number++ {
		m := NewMem()
		m.Inject(FailAt(number, errDisk))
		err := MakeDir(m, "/a/b/c")
		m.Inject(nil)
		if err != nil && !errors.Is(err, errDisk) {
			t.Fatal(err)
		}
		if again := MakeDir(m, "/a/b/c"); again != nil {
			t.Fatal(again)
		}
		if _, lost := m.Crash(nil).List("/a/b/c"); lost != nil {
			t.Errorf("operation %d failed, the second MakeDir did not: %v", number, lost)
		}
		if err == nil {
			if number < 7 {
				t.Errorf("MakeDir did %d operations", number)
			}
			return
		}
	}
}

func TestInject(t *testing.T) {
	m, errDisk := NewMem(), errors.New("disk")
	f, err := m.Create("/f")
	if err != nil {
		t.Fatal(err)
	}
	m.Inject(FailAt(2, errDisk))
	if n, err := f.WriteAt([]byte("abcdef"), 0); n != 3 || !errors.Is(err, errDisk) {
		t.Errorf("the write that fails: %d, %v", n, err)
	}
	if got, err := ReadFile(m, "/f"); err != nil || string(got) != "abc" {
		t.Errorf("half of it: %q, %v", got, err)
	}
	var seen []string
	m.Inject(func(op Op) Fault {
		m.Crash(nil) // no lock is held
		seen = append(seen, fmt.Sprintf("%d %s %s %d", op.Number, op.Kind, op.Path, op.Size))
		return Fault{}
	})
	if err := errors.Join(f.SyncData(), m.Rename("/f", "/g"), m.SyncDir("/"), m.Remove("/g")); err != nil {
		t.Fatal(err)
	}
	if want := "6 sync /f 0, 7 rename /f 0, 8 syncdir / 0, 9 remove /g 0"; strings.Join(seen, ", ") != want {
		t.Errorf("operations %q, want %q", seen, want)
	}
}
