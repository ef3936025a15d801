package raft

// applyBatchBytes bounds the entries of one call of Apply, so that what a batch
// holds up (waiters, a stop) is bounded too.
const applyBatchBytes = 1 << 20

// applyDaemon gives committed entries to the state machine, in index order, from
// one goroutine. It takes a bounded batch under the lock, delivers it without,
// and takes the lock again to move lastApplied. What was handed over is committed,
// so nothing can have changed about it meanwhile (APPLIED).
func (rf *Raft) applyDaemon() {
	for {
		select {
		case <-rf.applyWake:
		case <-rf.guard.stopping:
			return
		}
		for !rf.stopped() && rf.applyNext() {
		}
	}
}

// applyNext applies one batch; false if there was nothing to apply.
func (rf *Raft) applyNext() bool {
	from, upTo, commands, results := rf.takeCommitted()
	if upTo < from {
		return false
	}
	if len(commands) > 0 {
		rf.config.StateMachine.Apply(commands, results)
	}
	woken := rf.appliedUpTo(from, upTo)
	rf.appliedUp.Release()
	for _, w := range woken {
		w.settle(commands, results)
	}
	return true
}

// takeCommitted returns the next indexes to apply, from..upTo, with the commands
// among them, and room for their results if anybody here waits.
func (rf *Raft) takeCommitted() (from, upTo uint64, commands []Entry, results []Result) {
	rf.lock()
	defer rf.unlock()
	from, upTo = rf.lastApplied+1, rf.applyEndLocked()
	commands = make([]Entry, 0, upTo+1-from)
	for i := from; i <= upTo; i++ {
		if e := rf.log.entry(i); e.Kind == EntryCommand {
			commands = append(commands, e)
		}
	}
	if len(rf.waiting) > 0 {
		results = make([]Result, len(commands))
	}
	return from, upTo, commands, results
}

func (rf *Raft) appliedUpTo(from, upTo uint64) []appliedWaiter {
	rf.lock()
	defer rf.unlock()
	rf.lastApplied = upTo
	rf.applied.Store(upTo)
	return rf.takeWaitersLocked(from, upTo)
}

// applyEndLocked returns the last index of the next batch. rf.mu must be held.
func (rf *Raft) applyEndLocked() uint64 {
	upTo := rf.lastApplied
	for upTo < rf.commitIndex {
		if upTo > rf.lastApplied && rf.log.bytesBetween(rf.lastApplied, upTo+1) > applyBatchBytes {
			break
		}
		upTo++
	}
	return upTo
}

// awaitApplied returns nil once everything up to index is applied here.
func (rf *Raft) awaitApplied(cancelled <-chan struct{}, index uint64) error {
	for rf.applied.Load() < index {
		moved := rf.appliedUp.Join()
		if rf.applied.Load() >= index {
			break
		}
		select {
		case <-moved:
		case <-cancelled:
			return errCancelled
		case <-rf.guard.stopping:
			return ErrStopped
		}
	}
	return nil
}

// setCommitLocked moves commitIndex up, never beyond the log (COMMIT_END), and
// wakes the apply daemon. rf.mu must be
// held.
func (rf *Raft) setCommitLocked(index uint64) {
	if index > rf.commitIndex && rf.guardCommitLocked(index) {
		rf.commitIndex = index
		rf.applyWake.Notify()
	}
}
