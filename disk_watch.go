package raft

import "time"

// diskWatch notices a flush that does not come back. It reads one atomic and
// shares no lock with storage. Heartbeats prove a live process, not a live disk:
// a leader whose flush is unfinished for an election timeout gives up the
// leadership, and no server campaigns in that state. A single server has no one
// to hand to and keeps the role.
func (rf *Raft) diskWatch() {
	ticker := time.NewTicker(rf.config.Heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-rf.guard.stopping:
			return
		}
		if !rf.flushOverdue() {
			continue
		}
		rf.flushed.Release() // promises that wait end without an answer
		if rf.leading.Load() && len(rf.peers) > 0 {
			rf.giveUpStalled()
		}
	}
}

func (rf *Raft) giveUpStalled() {
	rf.lock()
	defer rf.unlock()
	if rf.role == Leader && rf.flushOverdue() {
		rf.becomeFollowerLocked(rf.currentTerm, "", "own disk is stalled: a flush is overdue")
	}
}

// flushOverdue tells whether something staged has waited for its flush longer
// than an election timeout.
func (rf *Raft) flushOverdue() bool {
	since := rf.unflushedSince.Load()
	return since != 0 && time.Since(rf.born)-time.Duration(since) > rf.config.ElectionTimeoutMax
}
