package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lockstep.example/raft/cmd/lockstep/internal/node"
	"lockstep.example/raft/wal"
)

func mustPrepare(t *testing.T, dir string, n int) Description {
	t.Helper()
	d, lock, err := prepare(dir, n)
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestPrepareKeepsWhatItMade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "data")
	made := mustPrepare(t, dir, 0)
	if len(made.Members) != defaultMembers || !made.Bootstrapped {
		t.Fatalf("made %+v, want %d bootstrapped servers", made, defaultMembers)
	}
	for _, n := range []int{0, defaultMembers} {
		if again := mustPrepare(t, dir, n); fmt.Sprint(again) != fmt.Sprint(made) {
			t.Errorf("the second time it is %+v, the first time it was %+v", again, made)
		}
	}
	if _, _, err := prepare(dir, 5); err == nil || !strings.Contains(err.Error(), "3 servers, not 5") {
		t.Errorf("another number of servers gives %v", err)
	}
	other := mustPrepare(t, t.TempDir(), 1)
	if other.Name == made.Name {
		t.Errorf("two clusters have the name %s", made.Name)
	}
}

func TestPrepareGoesOnAfterACrash(t *testing.T) {
	dir := t.TempDir()
	d, err := describe(2)
	if err != nil {
		t.Fatal(err)
	}
	// The first server was bootstrapped, then the machine died.
	if err := d.save(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := node.Bootstrap(filepath.Join(dir, "n1"), d.Name, "n1", d.configuration()); err != nil {
		t.Fatal(err)
	}
	after := mustPrepare(t, dir, 0)
	if !after.Bootstrapped || after.Name != d.Name {
		t.Errorf("after the crash it is %+v", after)
	}
	if _, err := os.Stat(filepath.Join(dir, "n2", "identity")); err != nil {
		t.Errorf("the second server was not bootstrapped: %v", err)
	}
}

// A server that lost its directory must not begin anew: it forgot its votes.
func TestPrepareNeverBootstrapsTwice(t *testing.T) {
	dir := t.TempDir()
	mustPrepare(t, dir, 3)
	if err := os.RemoveAll(filepath.Join(dir, "n2")); err != nil {
		t.Fatal(err)
	}
	mustPrepare(t, dir, 3)
	if _, err := os.Stat(filepath.Join(dir, "n2")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the lost directory was made again (%v)", err)
	}
}

func TestTheClusterFileIsLost(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "odd [name]")
	made := mustPrepare(t, dir, 3)
	if err := os.Remove(filepath.Join(dir, fileName)); err != nil {
		t.Fatal(err)
	}
	_, _, err := prepare(dir, 3)
	for _, words := range []string{"n1", "n2", "n3", made.Name, "restore " + fileName} {
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%v does not say %q", err, words)
		}
	}
	if _, err := Load(dir); !errors.Is(err, ErrNoCluster) {
		t.Errorf("another cluster was made: %v", err)
	}
}

// A directory of another cluster is not taken for one that a crash left behind.
func TestPrepareRefusesTheServerOfAnotherCluster(t *testing.T) {
	dir := t.TempDir()
	d, err := describe(1)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.save(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := node.Bootstrap(filepath.Join(dir, "n1"), "other", "n1", d.configuration()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := prepare(dir, 0); !errors.Is(err, wal.ErrWrongDirectory) {
		t.Errorf("the directory of another cluster gives %v", err)
	}
}

func TestRunning(t *testing.T) {
	dir := t.TempDir()
	if Running(dir) {
		t.Error("a cluster runs that was never made")
	}
	_, lock, err := prepare(dir, 1)
	if err != nil {
		t.Fatal(err)
	}
	if !Running(dir) {
		t.Error("a cluster that runs does not")
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if Running(dir) {
		t.Error("a cluster that was stopped runs")
	}
}

func TestOneClusterProcessADirectory(t *testing.T) {
	dir := t.TempDir()
	_, lock, err := prepare(dir, 1)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = prepare(dir, 1)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("run by process %d", os.Getpid())) {
		t.Errorf("a second one gets %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	mustPrepare(t, dir, 1)
}

func TestLoadRefusesWhatItCannotRead(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(dir); !errors.Is(err, ErrNoCluster) {
		t.Errorf("an empty directory gives %v, want ErrNoCluster", err)
	}
	for _, content := range []string{"", "{", `{"format": 2, "servers": [{"id": "n1"}]}`, `{"format": 1}`} {
		if err := os.WriteFile(filepath.Join(dir, fileName), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(dir); err == nil || errors.Is(err, ErrNoCluster) || !strings.Contains(err.Error(), fileName) {
			t.Errorf("a cluster file %q gives %v", content, err)
		}
		if _, _, err := prepare(dir, 1); err == nil {
			t.Errorf("a cluster was made over the cluster file %q", content)
		}
	}
}

func TestLogFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "n1.log")
	l := newLogFile(path)
	for _, part := range []string{"first\nsec", "ond", "\nlast ", "line\n\n"} {
		l.Write([]byte(part))
	}
	if got := l.lastLine(); got != "last line" {
		t.Errorf("the last line is %q", got)
	}
	chunk := []byte(strings.Repeat("x", 1<<20))
	for range 3 * maxLogBytes / len(chunk) {
		l.Write(chunk)
	}
	l.close()
	if got := len(l.lastLine()); got > maxLineBytes {
		t.Errorf("a line of %d bytes is kept", got)
	}
	for _, name := range []string{path, path + ".old"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > maxLogBytes+2*int64(len(chunk)) {
			t.Errorf("%s has %d bytes, the bound is about %d", filepath.Base(name), info.Size(), maxLogBytes)
		}
	}
}
