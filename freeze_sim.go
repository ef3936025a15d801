//go:build raftsim

package raft

// Freeze stops this server where it stands, as SIGSTOP stops a process: whoever
// needs Raft.mu waits until thaw is called, and finds the world older by then.
// Only for simulations in virtual time.
func (rf *Raft) Freeze() (thaw func()) {
	rf.mu.Lock()
	return rf.mu.Unlock
}
