//go:build unix

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lockstep.example/raft/cmd/lockstep/internal/failover"
	"lockstep.example/raft/cmd/lockstep/internal/local"
)

const patience = 20 * time.Second // for what takes about a second

// builtIn is the directory of the built program; empty as long as there is none.
var builtIn string

// buildOnce builds the program, the first time it is called.
var buildOnce = sync.OnceValues(func() (path string, err error) {
	if builtIn, err = os.MkdirTemp("", "lockstep-test-"); err != nil {
		return "", err
	}
	path = filepath.Join(builtIn, "lockstep")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if builtIn != "" {
		os.RemoveAll(builtIn)
	}
	os.Exit(code)
}

// program is the program running as a process of its own.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	ended chan struct{}

	mu    sync.Mutex
	lines []string
	grown chan struct{} // closed when lines grow, and made anew
}

func start(t *testing.T, args ...string) *program {
	t.Helper()
	path, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{t: t, cmd: exec.Command(path, args...), ended: make(chan struct{}), grown: make(chan struct{})}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = p.cmd.Stdout
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			p.mu.Lock()
			p.lines = append(p.lines, scanner.Text())
			close(p.grown)
			p.grown = make(chan struct{})
			p.mu.Unlock()
		}
		p.cmd.Wait()
	}()
	t.Cleanup(func() {
		p.signal(syscall.SIGKILL)
		<-p.ended
	})
	return p
}

// await waits for a line that has all the words, from the given line on, and
// returns it and its number.
func (p *program) await(from int, words ...string) (line string, number int) {
	p.t.Helper()
	deadline := time.After(patience)
	for {
		p.mu.Lock()
		lines, grown := p.lines, p.grown
		p.mu.Unlock()
	next:
		for i := from; i < len(lines); i++ {
			for _, word := range words {
				if !strings.Contains(lines[i], word) {
					continue next
				}
			}
			return lines[i], i
		}
		select {
		case <-grown:
		case <-deadline:
			p.t.Fatalf("no line with %q after %v; it said:\n%s", words, patience, strings.Join(lines, "\n"))
		}
	}
}

// pid returns the process id in the last line that tells of the server's start.
func (p *program) pid(id string) (pid int) {
	p.t.Helper()
	p.await(0, id+" ", "pid ")
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, line := range p.lines {
		if strings.HasPrefix(line, id+" ") && strings.Contains(line, " serve ") {
			_, after, _ := strings.Cut(line, "pid ")
			pid, _ = strconv.Atoi(strings.Fields(after)[0])
		}
	}
	return pid
}

func (p *program) signal(s syscall.Signal) { p.cmd.Process.Signal(s) }

// exit waits for the end and returns the exit code.
func (p *program) exit() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatalf("it still runs after %v", patience)
	}
	return p.cmd.ProcessState.ExitCode()
}

// awaitDeath waits until there is no such process.
func awaitDeath(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(patience); syscall.Kill(pid, 0) == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d still runs after %v", pid, patience)
		}
	}
}

// expect runs a client command and compares its exit code and standard output.
func expect(t *testing.T, code int, out string, args ...string) {
	t.Helper()
	got := lockstep(t, "", args...)
	if got.code != code || got.out != out {
		t.Errorf("lockstep %s: exit code %d, %q (%s); want %d, %q", strings.Join(args, " "), got.code, got.out, strings.TrimSpace(got.err), code, out)
	}
}

// TestTour is the README's: write, kill the leader with kill -9, go on; end all
// at once, in every way there is; go on with the same data.
func TestTour(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	at := func(args ...string) []string { return append(args, "--cluster", dir, "--timeout", "15s") }

	up := start(t, "up", "--dir", dir)
	up.await(0, "ready;")
	line, leads := up.await(0, " leads, in term ")
	leader := strings.Fields(line)[0]
	expect(t, exitOK, "ok, revision 1\n", at("put", "color", "blue")...)
	if err := syscall.Kill(up.pid(leader), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	expect(t, exitOK, "ok, revision 2\n", at("append", "color", "+green")...)
	expect(t, exitOK, "blue+green\n", at("get", "color")...)
	up.await(leads+1, leader+" died", "killed", "again in 1s")
	up.await(leads+1, " leads, in term ")
	up.await(leads+1, leader+" ", " serve ")
	checkOneAtATime(t, dir)

	up.signal(syscall.SIGTERM)
	if code := up.exit(); code != exitOK {
		t.Errorf("up ends with exit code %d on SIGTERM", code)
	}
	for _, id := range []string{"n1", "n2", "n3"} {
		awaitDeath(t, up.pid(id))
	}

	up = start(t, "up", "--dir", dir)
	up.await(0, "ready;")
	expect(t, exitOK, "blue+green\n", at("get", "color")...)
	up.signal(syscall.SIGKILL)
	up.exit()
	for _, id := range []string{"n1", "n2", "n3"} {
		awaitDeath(t, up.pid(id)) // servers end with up
	}

	up = start(t, "up", "--dir", dir, "--no-restart")
	up.await(0, "ready;")
	checkClients(t, at)
	for _, id := range []string{"n1", "n2", "n3"} {
		syscall.Kill(up.pid(id), syscall.SIGKILL)
		up.await(0, id+" died", "stays down")
	}
	expect(t, exitUnavailable, "", "get", "color", "--cluster", dir, "--timeout", "100ms")
	up.signal(syscall.SIGINT)
	if code := up.exit(); code != exitOK {
		t.Errorf("up ends with exit code %d on SIGINT", code)
	}
}

// checkOneAtATime has a second process try to use what a running cluster uses.
func checkOneAtATime(t *testing.T, dir string) {
	t.Helper()
	for _, test := range []struct {
		words []string
		args  []string
	}{
		{[]string{"lockstep: up: ", "up already"}, []string{"up", "--dir", dir}},
		{[]string{"lockstep: serve: ", "in use"}, []string{"serve", "--dir", filepath.Join(dir, "n1")}},
	} {
		p := start(t, test.args...)
		if code := p.exit(); code != exitFailed {
			t.Errorf("%v: exit code %d, want %d", test.args, code, exitFailed)
		}
		p.await(0, test.words...)
	}
}

// checkClients tries what TestTour did not.
func checkClients(t *testing.T, at func(...string) []string) {
	t.Helper()
	expect(t, exitNotFound, "", at("get", "none")...)
	expect(t, exitNotFound, "", at("del", "none")...)
	expect(t, exitOK, "ok, revision 3\n", at("cas", "lock", "0", "mine")...)
	expect(t, exitCompare, "", at("cas", "lock", "0", "yours")...)
	expect(t, exitOK, "ok, revision 4\n", at("cas", "lock", "3", "ours")...)
	expect(t, exitOK, "KEY    REVISION  VALUE\ncolor         2  blue+green\nlock          4  ours\n", at("list")...)
	expect(t, exitOK, "ours", at("get", "lock", "--raw")...)
	expect(t, exitOK, "ok, revision 5\n", at("del", "lock")...)
	expect(t, exitOK, "", at("list", "l")...)

	var listed struct {
		Items []struct{ Key, Value string }
	}
	got := lockstep(t, "", at("list", "--json")...)
	if err := json.Unmarshal([]byte(got.out), &listed); err != nil || len(listed.Items) != 1 || listed.Items[0].Value != "blue+green" {
		t.Errorf("list --json prints %q (%v)", got.out, err)
	}
	var status struct {
		Leader  string
		Servers []struct {
			ID   string
			Role string
			Hash string
		}
	}
	got = lockstep(t, "", at("status", "--json")...)
	if err := json.Unmarshal([]byte(got.out), &status); err != nil || got.code != exitOK || status.Leader == "" || len(status.Servers) != 3 {
		t.Errorf("status --json prints %q, exit code %d (%v)", got.out, got.code, err)
	}
}

// TestServeByHand makes a cluster of one by init and serve.
func TestServeByHand(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "n1")
	ports, err := local.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", ports[0])
	made := []string{"init", "--dir", dir, "--id", "n1", "--cluster", "demo", "--servers", "n1=" + address}
	if got := lockstep(t, "", made...); got.code != exitOK || !strings.Contains(got.out, "serve --dir") {
		t.Fatalf("init: %+v", got)
	}
	if got := lockstep(t, "", made...); got.code != exitFailed || !strings.Contains(got.err, "already bootstrapped") {
		t.Errorf("init again: %+v", got)
	}
	if got := lockstep(t, "", "serve", "--dir", dir, "--id", "n2"); got.code != exitFailed || !strings.Contains(got.err, "belongs to server n1") {
		t.Errorf("serve on the directory of another server: %+v", got)
	}
	server := start(t, "serve", "--dir", dir)
	server.await(0, "serving", address)
	expect(t, exitOK, "ok, revision 1\n", "put", "k", "v", "--servers", address)
	server.signal(syscall.SIGTERM)
	if code := server.exit(); code != exitOK {
		t.Errorf("serve ends with exit code %d on SIGTERM", code)
	}
	server = start(t, "serve", "--dir", dir, "--until-eof") // whose standard input is at its end
	if code := server.exit(); code != exitOK {
		t.Errorf("serve ends with exit code %d at the end of standard input", code)
	}
}

// TestKillTheLeader kills the leader of three processes ten times under load.
func TestKillTheLeader(t *testing.T) {
	path, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	rounds := 10
	if testing.Short() {
		rounds = 2
	}
	report, err := failover.Run(t.Context(), failover.Options{
		Cluster:  local.Options{Dir: t.TempDir(), Binary: path, Restart: 50 * time.Millisecond},
		Rounds:   rounds,
		Progress: func(line string) { t.Log(line) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Gaps) != rounds || report.Acknowledged == 0 || report.Refused != 0 {
		t.Errorf("%+v", report)
	}
	for i, gap := range report.Gaps {
		if gap > patience {
			t.Errorf("kill %d interrupted writes for %v", i+1, gap)
		}
	}
}

// TestBench runs the benchmark as briefly as it allows.
func TestBench(t *testing.T) {
	got := lockstep(t, "", "bench", "--clients", "1,8", "--duration", "100ms", "--warm-up", "10ms", "--dir", t.TempDir(), "--json")
	var object struct {
		Measurements []struct {
			Operation string
			Clients   int
			Ops       float64 `json:"ops_per_s"`
			Errors    int
			Flushes   []int
		}
	}
	if err := json.Unmarshal([]byte(got.out), &object); err != nil || got.code != exitOK {
		t.Fatalf("exit code %d, %v: %s%s", got.code, err, got.out, got.err)
	}
	if len(object.Measurements) != 4 {
		t.Fatalf("%d measurements, want 4: %s", len(object.Measurements), got.out)
	}
	for _, m := range object.Measurements {
		flushed := 0 // a quorum must; the third may hang behind
		for _, n := range m.Flushes {
			flushed += min(n, 1)
		}
		if m.Ops == 0 || m.Errors != 0 || len(m.Flushes) != 3 || m.Operation == "write" && flushed < 2 {
			t.Errorf("%+v", m)
		}
	}
}
