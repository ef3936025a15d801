package local

import (
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	DefaultRestart  = time.Second
	maxRestartDelay = 30 * time.Second
	// A server that fails by itself within failsFast is waited for longer each
	// time: its cause will not go away by itself, and the reader has seen it.
	failsFast = 5 * time.Second
	// stopTimeout is how long a server may take to stop; "serve" bounds itself
	// to a little less.
	stopTimeout = 7 * time.Second
)

// supervisor keeps one server running.
type supervisor struct {
	// immutable
	Member
	cluster *Cluster
	dir     string
	begun   func() // called when the first attempt to start it is over

	mu  sync.Mutex // a leaf
	cmd *exec.Cmd  // guarded by mu; nil while no process runs
}

// run starts the server's process, waits for its end, says why it ended, and
// after a pause starts it again, until the cluster stops.
func (s *supervisor) run() {
	c := s.cluster
	log := newLogFile(s.dir + ".log")
	defer log.close()
	delay := c.options.Restart
	defer s.begun()
	for {
		began := time.Now()
		pid, cause, failed := s.runOnce(log)
		if c.stopping.Err() != nil {
			return
		}
		s.begun()
		if !failed || time.Since(began) > failsFast {
			delay = c.options.Restart
		}
		if c.options.NoRestart {
			c.tell(Exited{s.Member, pid, cause, -1})
			return
		}
		c.tell(Exited{s.Member, pid, cause, delay})
		select {
		case <-time.After(delay):
		case <-c.stopping.Done():
			return
		}
		delay = min(2*delay, maxRestartDelay)
	}
}

// runOnce runs the server until it ends and tells why; failed if it ended by
// itself, with an error.
func (s *supervisor) runOnce(log *logFile) (pid int, cause string, failed bool) {
	command := []string{"serve", "--dir", s.dir, "--id", string(s.ID)}
	cmd := exec.Command(s.cluster.options.Binary, append(command, "--until-eof")...)
	cmd.Stderr = log
	cmd.WaitDelay = time.Second
	tether(cmd)
	// The read end of this pipe is the server's standard input. The write end
	// closes with this process, however it ends, and nobody ever writes.
	tie, err := cmd.StdinPipe()
	if err != nil {
		return 0, err.Error(), true
	}
	if err := s.start(cmd); err != nil {
		return 0, "cannot start: " + err.Error(), true
	}
	s.cluster.tell(Started{s.Member, cmd.Process.Pid, s.dir, command})
	s.begun()

	ended := make(chan struct{})
	var stopper sync.WaitGroup
	stopper.Go(func() { s.stopWhenAsked(cmd, tie, ended) })
	cmd.Wait() // its error is told by ProcessState
	close(ended)
	stopper.Wait()
	s.mu.Lock()
	s.cmd = nil
	s.mu.Unlock()
	cause, failed = explain(cmd, log)
	return cmd.Process.Pid, cause, failed
}

// start starts the process on the launcher's thread.
func (s *supervisor) start(cmd *exec.Cmd) error {
	result := make(chan error, 1)
	s.cluster.launches <- func() { result <- cmd.Start() }
	err := <-result
	if err == nil {
		s.mu.Lock()
		s.cmd = cmd
		s.mu.Unlock()
	}
	return err
}

// stopWhenAsked stops the process when the cluster stops: first it asks, then it
// kills.
func (s *supervisor) stopWhenAsked(cmd *exec.Cmd, tie io.Closer, ended <-chan struct{}) {
	defer tie.Close()
	select {
	case <-ended:
		return
	case <-s.cluster.stopping.Done():
	}
	if cmd.Process.Signal(syscall.SIGTERM) != nil {
		tie.Close() // no such signal here
	}
	select {
	case <-ended:
	case <-time.After(stopTimeout):
		cmd.Process.Kill()
	}
}

// explain says in a line why a process ended.
func explain(cmd *exec.Cmd, log *logFile) (cause string, failed bool) {
	state := cmd.ProcessState
	switch {
	case state == nil:
		return "lost sight of it", true
	case state.Success():
		return "it stopped on request", false
	case !state.Exited():
		return state.String(), false // "signal: killed"
	}
	line := strings.TrimPrefix(log.lastLine(), "lockstep: ")
	return fmt.Sprintf("exit code %d: %s", state.ExitCode(), line), true
}

func (s *supervisor) kill() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil || s.cmd.Process.Kill() != nil {
		return 0
	}
	return s.cmd.Process.Pid
}

func (s *supervisor) runs() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cmd != nil
}
