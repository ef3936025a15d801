//go:build unix && !linux

package local

import (
	"os/exec"
	"syscall"
)

// tether gives the child a process group of its own, so that a Ctrl-C reaches
// this process alone. That the child ends with this process rests on its
// standard input alone.
func tether(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}
