//go:build unix

package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSignalAtStandardInput: a client that waits for its standard input ends at
// the first signal.
func TestSignalAtStandardInput(t *testing.T) {
	path, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	// A pipe of its own, which nobody closes: the command waits for its end.
	in, typing, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer typing.Close()
	defer in.Close()
	cmd := exec.Command(path, "put", "k", "-", "--servers", "127.0.0.1:1")
	var said bytes.Buffer
	cmd.Stdin, cmd.Stderr = in, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := typing.Write(make([]byte, 256<<10)); err != nil { // more than the pipe holds: it reads
		t.Error(err)
	}
	killer := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer killer.Stop()
	cmd.Process.Signal(syscall.SIGINT)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitFailed || !strings.Contains(said.String(), "interrupted; nothing was changed") {
		t.Errorf("%v, %q", cmd.ProcessState, said.String())
	}
}

// TestNobodyReadsWhatIsPrinted: up goes on and stops though its standard output
// is a pipe that was closed, and a write through such a pipe says that it is done.
func TestNobodyReadsWhatIsPrinted(t *testing.T) {
	path, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "data")
	up := exec.Command(path, "up", "--dir", dir, "-n", "1")
	closeOutput(t, up)
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- up.Wait() }()
	defer up.Process.Kill()

	awaitCluster(t, dir)
	put := exec.Command(path, "put", "k", "v", "--cluster", dir, "--timeout", patience.String())
	var said bytes.Buffer
	closeOutput(t, put)
	put.Stderr = &said
	var exit *exec.ExitError
	if err := put.Run(); !errors.As(err, &exit) || exit.ExitCode() != exitUnprinted || !strings.Contains(said.String(), "the write is done (revision 1)") {
		t.Errorf("%v, %q", err, said.String())
	}
	up.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("up ends with %v", err)
		}
	case <-time.After(patience):
		t.Errorf("up still runs after %v", patience)
	}
}

// closeOutput makes a command's standard output a pipe without a reader.
func closeOutput(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	reader.Close()
	t.Cleanup(func() { writer.Close() })
	cmd.Stdout, cmd.Stderr = writer, io.Discard
}

// awaitCluster waits until a cluster leads.
func awaitCluster(t *testing.T, dir string) {
	t.Helper()
	for deadline := time.Now().Add(patience); lockstep(t, "", "status", "--cluster", dir).code != exitOK; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the cluster in %s does not lead after %v", dir, patience)
		}
	}
}
