//go:build unix

package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"lockstep.example/raft/cmd/lockstep/internal/local"
)

// TestHostileDisk starts server processes on directories that something befell.
// Each says in one line what is wrong with which file and what to do, ends with an
// exit code, and leaves the directory as it is. Once that is made good the server
// starts and has everything.
func TestHostileDisk(t *testing.T) {
	scratch := t.TempDir()
	good, other := filepath.Join(scratch, "n1"), filepath.Join(scratch, "n2")
	ports, err := local.FreePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	servers := fmt.Sprintf("n1=127.0.0.1:%d,n2=127.0.0.1:%d", ports[0], ports[1])
	made := func(dir, id, servers string) {
		if got := lockstep(t, "", "init", "--dir", dir, "--id", id, "--cluster", "demo", "--servers", servers); got.code != exitOK {
			t.Fatal(got.err)
		}
	}
	made(good, "n1", servers[:strings.Index(servers, ",")])
	made(other, "n2", servers)
	want := fill(t, good)
	for _, m := range misfortunes(other) {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "n1")
			restore := func() {
				if err := os.RemoveAll(dir); err != nil {
					t.Fatal(err)
				}
				if err := os.CopyFS(dir, os.DirFS(good)); err != nil {
					t.Fatal(err)
				}
			}
			restore()
			if mend := m.befall(t, dir); mend != nil {
				restore = mend
			}
			m.refuse(t, dir)
			restore()
			p, address := serving(t, dir)
			if got := stored(t, address); got != want {
				t.Errorf("after all was made good the server has\n%s, want\n%s", got, want)
			}
			p.signal(syscall.SIGTERM)
			if code := p.exit(); code != exitOK {
				t.Errorf("the server ends with exit code %d on SIGTERM", code)
			}
		})
	}
}

// misfortune is what may befall the directory of a server.
type misfortune struct {
	name string
	// befall does it, and returns what makes it good again; nil: the good copy.
	befall func(t *testing.T, dir string) (mend func())
	args   []string // of serve, beside --dir
	file   string   // the file in the directory that is named; empty: the directory
	words  []string // what else the line says
}

// refuse tries to serve a directory, in vain.
func (m *misfortune) refuse(t *testing.T, dir string) {
	t.Helper()
	before := contents(t, dir)
	p := start(t, append([]string{"serve", "--dir", dir, "--listen", "127.0.0.1:0"}, m.args...)...)
	if code := p.exit(); code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
	if len(p.lines) != 1 || !strings.HasPrefix(p.lines[0], "lockstep: serve: ") {
		t.Fatalf("it says %q, want one line", p.lines)
	}
	for _, word := range append(m.words, filepath.Join(dir, m.file)) {
		if !strings.Contains(p.lines[0], word) {
			t.Errorf("it says %q, which does not contain %q", p.lines[0], word)
		}
	}
	if after := contents(t, dir); !maps.Equal(after, before) {
		t.Errorf("the directory was changed; before it held\n%x, after\n%x", before, after)
	}
}

func misfortunes(other string) []misfortune {
	const (
		segment = "0000000000000001.segment"
		rejoin  = "bring the whole directory back from where it is intact; until then leave this server down, the others go on while they are a majority"
	)
	return []misfortune{
		{name: "a second process", words: []string{"in use by another process", "stop that server first"},
			befall: func(t *testing.T, dir string) func() {
				p, address := serving(t, dir)
				stored(t, address) // from now on it has nothing to write
				return func() { p.signal(syscall.SIGKILL); p.exit() }
			}},
		{name: "the directory of another server", args: []string{"--id", "n2"},
			befall: func(*testing.T, string) func() { return func() {} },
			words:  []string{"belongs to server n1 of cluster demo", "not to server n2", "give the directory that server made"}},
		{name: "a truncated segment", file: segment, words: []string{"the file is cut: it had 1048576 bytes", rejoin},
			befall: alter(segment, func(content []byte) []byte { return content[:middle(content)] })},
		{name: "a flipped bit in a segment", file: segment, words: []string{" at offset ", "damage, and the frame at offset ", rejoin},
			befall: alter(segment, func(content []byte) []byte {
				content[middle(content)] ^= 1
				return content
			})},
		{name: "a flipped bit in the identity", file: "identity", words: []string{"the file is damaged", rejoin},
			befall: alter("identity", func(content []byte) []byte {
				content[len(content)/2] ^= 1
				return content
			})},
		{name: "the identity of another server", file: "boot", words: []string{"the file is of another directory", rejoin}, befall: adopt(other, "identity")},
		{name: "identity and boot counter of another server", file: segment, words: []string{"the segment belongs to another directory", rejoin},
			befall: adopt(other, "identity", "boot")},
		{name: "an empty directory", words: []string{"the directory is empty", `run "lockstep init" for it once`},
			befall: func(t *testing.T, dir string) func() { remake(t, dir, true); return nil }},
		{name: "no directory", words: []string{"there is no such directory", `"lockstep init" or "lockstep up"`, "restored from a copy"},
			befall: func(t *testing.T, dir string) func() { remake(t, dir, false); return nil }},
	}
}

// alter changes the content of a file.
func alter(name string, change func([]byte) []byte) func(*testing.T, string) func() {
	return func(t *testing.T, dir string) func() {
		path := filepath.Join(dir, name)
		content, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, change(content), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		return nil
	}
}

// adopt takes files over from another directory.
func adopt(from string, names ...string) func(*testing.T, string) func() {
	return func(t *testing.T, dir string) func() {
		for _, name := range names {
			content, err := os.ReadFile(filepath.Join(from, name))
			if err != nil {
				t.Fatal(err)
			}
			alter(name, func([]byte) []byte { return content })(t, dir)
		}
		return nil
	}
}

// remake removes a directory, and makes an empty one if told so.
func remake(t *testing.T, dir string, again bool) {
	err := os.RemoveAll(dir)
	if err == nil && again {
		err = os.Mkdir(dir, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// The keys of a directory that is filled, each in a flush of its own.
const filledKeys = 40

func filledValue(n int) string { return fmt.Sprintf("value number %d", n) }

// fill has a server write to its directory, and returns what it holds when it was
// killed.
func fill(t *testing.T, dir string) string {
	t.Helper()
	p, address := serving(t, dir)
	for n := range filledKeys {
		expect(t, exitOK, fmt.Sprintf("ok, revision %d\n", n+1), "put", fmt.Sprintf("key%02d", n), filledValue(n), "--servers", address)
	}
	want := stored(t, address)
	p.signal(syscall.SIGKILL)
	p.exit()
	return want
}

// middle returns the place in a segment of a value in the middle of those written.
func middle(segment []byte) int { return bytes.Index(segment, []byte(filledValue(filledKeys/2))) }

// serving starts a server on a port that is free.
func serving(t *testing.T, dir string) (p *program, address string) {
	t.Helper()
	p = start(t, "serve", "--dir", dir, "--listen", "127.0.0.1:0")
	line, _ := p.await(0, "serving", "address=")
	_, address, _ = strings.Cut(line, "address=")
	return p, strings.Fields(address)[0]
}

// stored lists what a server holds.
func stored(t *testing.T, address string) string {
	t.Helper()
	got := lockstep(t, "", "list", "--servers", address, "--timeout", patience.String())
	if got.code != exitOK || strings.Count(got.out, "\n") != filledKeys+1 {
		t.Fatalf("list ends with exit code %d: %s%s", got.code, got.out, got.err)
	}
	return got.out
}

// contents returns a digest of each file of a directory, and of its name. The lock
// file is none of the data: to try to open a directory is to make it.
func contents(t *testing.T, dir string) map[string][sha256.Size]byte {
	t.Helper()
	found := map[string][sha256.Size]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() == "lock" {
			return err
		}
		var content []byte
		if !d.IsDir() {
			content, err = os.ReadFile(path)
		}
		found[path] = sha256.Sum256(content)
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return found
}
