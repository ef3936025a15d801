package local

import (
	"os/exec"
	"syscall"
)

// tether has the kernel kill the child when the thread that starts it ends, which
// is when this process ends, even by kill -9. The child gets a process group of
// its own, so that a Ctrl-C reaches this process alone, which stops the children
// in its own way.
func tether(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
