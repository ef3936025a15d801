package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"lockstep.example/raft/kv"
)

// fullDisk is where nothing can be printed.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestAWriteWhoseAnswerIsLost(t *testing.T) {
	a := &app{out: fullDisk{}}
	for _, asJSON := range []bool{false, true} {
		err := a.written(&target{json: asJSON}, []byte("k"), kv.WriteResult{ModRevision: 7, Revision: 7}, nil)
		if exitCode(err) != exitUnprinted || !strings.Contains(err.Error(), "done (revision 7)") || outcomeOf(exitCode(err)) != "done" {
			t.Errorf("json %v: exit code %d, %v; want %d", asJSON, exitCode(err), err, exitUnprinted)
		}
	}
}

// TestInterruptedAtStandardInput: nobody ever writes to it.
func TestInterruptedAtStandardInput(t *testing.T) {
	in, typing := io.Pipe()
	defer typing.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	a := &app{in: in, out: &out, err: &errs, env: func(string) string { return "" }}
	code := a.run(ctx, []string{"put", "k", "-", "--servers", "127.0.0.1:1", "--json"})
	if code != exitFailed || !strings.Contains(errs.String(), "interrupted; nothing was changed") || !strings.Contains(out.String(), `"outcome":"none"`) {
		t.Errorf("exit code %d, %q, %q", code, errs.String(), out.String())
	}
}

func TestStandardInputFails(t *testing.T) {
	a := &app{in: iotest.ErrReader(errors.New("torn"))}
	if _, err := a.value(t.Context(), "-"); err == nil || !strings.Contains(err.Error(), "torn") {
		t.Errorf("a failing standard input gives %v", err)
	}
}

func TestInterruptedWhileAtIt(t *testing.T) {
	for _, test := range []struct {
		err  error
		want int
	}{
		{&kv.UnknownError{Cause: context.Canceled}, exitUnknown},
		{&kv.UnavailableError{Cause: context.Canceled}, exitFailed},
	} {
		if got := interrupted(test.err); exitCode(got) != test.want || !strings.HasPrefix(got.Error(), "interrupted; ") {
			t.Errorf("%v when interrupted is %v, exit code %d; want %d", test.err, got, exitCode(got), test.want)
		}
	}
}

// TestUnavailableIsShort wants one reason, and what to do.
func TestUnavailableIsShort(t *testing.T) {
	got := lockstep(t, "", "get", "color", "--servers", "127.0.0.1:1", "--timeout", "50ms")
	for _, words := range []string{"get color: no server answered within 50ms (1 asked; 127.0.0.1:1: connection refused)", "lockstep status"} {
		if !strings.Contains(got.err, words) {
			t.Errorf("%q lacks %q", got.err, words)
		}
	}
	if got.code != exitUnavailable || len(got.err) > 200 {
		t.Errorf("exit code %d, %d bytes", got.code, len(got.err))
	}
}

// TestClusterThatIsNotUp would take a minute if it tried again and again.
func TestClusterThatIsNotUp(t *testing.T) {
	dir := t.TempDir()
	content := `{"format": 1, "bootstrapped": true, "servers": [{"id": "n1", "address": "127.0.0.1:1"}]}`
	if err := os.WriteFile(filepath.Join(dir, "cluster.json"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	got := lockstep(t, "", "put", "k", "v", "--cluster", dir, "--timeout", "1m")
	if got.code != exitUnavailable || !strings.Contains(got.err, "is not up: no server answers; start it with: ") {
		t.Errorf("exit code %d, %q", got.code, got.err)
	}
}

func TestErrorsInJSON(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, line := range []string{"get --json", "get k --bogus --json", "get k --json", "cas k one v --json", "status --servers 127.0.0.1:1 --json", "bench --size 1 --json"} {
		got := lockstep(t, "", strings.Fields(line)...)
		var object struct {
			Error, Outcome string
			Exit           int
		}
		if err := json.Unmarshal([]byte(got.out), &object); err != nil || object.Error == "" || object.Outcome != "none" || object.Exit != got.code || got.code == 0 {
			t.Errorf("%s: exit code %d, printed %q (%v)", line, got.code, got.out, err)
		}
	}
}
