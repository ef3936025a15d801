package raft

import "fmt"

// Guards are always compiled and run before anything is staged, so that a breach
// is never written. Checks run at every unlock, over what changed since the lock,
// under the build tag raftdebug or if Config.CheckInvariants is set. Either way a
// breach stops the server with its cause: it is never recorded and passed over.

// breachLocked stops the server because one of its invariants is broken.
func (rf *Raft) breachLocked(name, format string, args ...any) {
	detail := fmt.Sprintf(format, args...)
	rf.guard.fail(&InvariantError{Name: name, Detail: fmt.Sprintf(
		"%s (server %s, %v, term %d, log (%d, %d), commitIndex %d, lastApplied %d)",
		detail, rf.config.ID, rf.role, rf.currentTerm, rf.log.start, rf.log.end(), rf.commitIndex, rf.lastApplied)})
}

// guardTermLocked: the term never falls, and there is one vote in a term.
func (rf *Raft) guardTermLocked(term uint64, vote candidate) bool {
	switch {
	case term < rf.currentTerm:
		rf.breachLocked("HELD", "the term would fall to %d", term)
	case term == rf.currentTerm && rf.votedFor.id != "" && vote != rf.votedFor:
		rf.breachLocked("ONE_VOTE", "a second vote in term %d, for %s after %s", term, vote.id, rf.votedFor.id)
	default:
		return true
	}
	return false
}

// guardLeaderLocked: a term has one leader.
func (rf *Raft) guardLeaderLocked(id ServerID) bool {
	if rf.termLeader != "" && rf.termLeader != id {
		rf.breachLocked("ONE_LEADER", "%s leads term %d, which %s led", id, rf.currentTerm, rf.termLeader)
		return false
	}
	rf.termLeader = id
	return true
}

// guardTruncateLocked: nothing at or below commitIndex is removed, and a leader
// removes nothing.
func (rf *Raft) guardTruncateLocked(from uint64) bool {
	if from <= rf.commitIndex || rf.role == Leader {
		rf.breachLocked("COMMIT_END", "the log would be cut from index %d", from)
		return false
	}
	return true
}

// guardCommitLocked: only what is in the log is committed.
func (rf *Raft) guardCommitLocked(index uint64) bool {
	if index >= rf.log.end() {
		rf.breachLocked("COMMIT_END", "commitIndex would be %d", index)
		return false
	}
	return true
}

// heldState is what the last unlock saw, for the checks of what may not fall or
// change.
type heldState struct {
	term        uint64
	votedFor    candidate
	commitIndex uint64
	lastApplied uint64
	logEnd      uint64
	leading     bool
	round       uint64
	unlocks     uint64
}

// fullScanEvery is how many unlocks lie between two scans of the whole log.
const fullScanEvery = 4096

// checkLocked runs the checks. rf.mu must be held.
func (rf *Raft) checkLocked() {
	was, now := &rf.held, heldState{
		term: rf.currentTerm, votedFor: rf.votedFor, commitIndex: rf.commitIndex,
		lastApplied: rf.lastApplied, logEnd: rf.log.end(), leading: rf.role == Leader, unlocks: rf.held.unlocks + 1,
	}
	if rf.tenure != nil {
		now.round = rf.tenure.round
	}
	sameTerm := now.term == was.term
	must := func(ok bool, name, detail string) {
		if !ok {
			rf.breachLocked(name, "%s; it was %+v and is %+v", detail, *was, now)
		}
	}
	must(rf.log.start <= now.commitIndex, "LOG_START", "log.start is beyond commitIndex")
	must(now.commitIndex < now.logEnd, "COMMIT_END", "commitIndex is beyond the log")
	must(now.lastApplied <= now.commitIndex, "APPLIED", "lastApplied is beyond commitIndex")
	must(rf.log.lastTerm() <= now.term, "TERMS", "an entry is above currentTerm")
	must(now.term >= was.term && now.commitIndex >= was.commitIndex && now.lastApplied >= was.lastApplied, "HELD", "something fell")
	must(!sameTerm || was.votedFor.id == "" || was.votedFor == now.votedFor, "ONE_VOTE", "the vote changed in a term")
	must(!(sameTerm && was.leading && now.leading) || now.logEnd >= was.logEnd && now.round >= was.round, "HELD", "a leader's log or round fell")
	must(now.leading == (rf.tenure != nil) && now.leading == rf.leading.Load(), "LEADER", "role and tenure differ")
	must(rf.log.lastIndex() <= rf.stagedLast, "STAGED", "an entry was never staged")
	must(Position(rf.durable.Load()) <= rf.staged, "DURABLE", "durable is beyond what was staged")
	if t := rf.tenure; t != nil {
		_, deadline := rf.timer.read()
		must(rf.votedFor.id == rf.config.ID && deadline.IsZero() && t.term == now.term, "LEADER", "a leader has not its own vote, or has a timer")
		must(t.verified <= t.round, "ROUND", "verified is beyond round")
		must(t.selfMatch < now.logEnd, "MATCH", "own match is beyond the log")
		for _, p := range t.followers {
			must(p.matchIndex < p.nextIndex && p.nextIndex <= now.logEnd, "MATCH", "of "+string(p.id))
		}
	}
	if now.unlocks%fullScanEvery == 0 {
		rf.scanLocked(must)
	}
	rf.held = now
}

// scanLocked looks at every entry in memory.
func (rf *Raft) scanLocked(must func(bool, string, string)) {
	last := rf.log.before
	for i := rf.log.start + 1; i < rf.log.end(); i++ {
		r := rf.log.at(i)
		number := last.number
		if r.kind() == EntryCommand {
			number++
		}
		must(r.term >= last.term, "TERMS", fmt.Sprintf("term falls at index %d", i))
		must(r.number == number && r.bytes == last.bytes+uint64(len(r.raw)), "NUMBER", fmt.Sprintf("at index %d", i))
		last = *r
	}
}
