package naive

import (
	"slices"
	"time"
)

// AppendEntriesArgs and AppendEntriesReply are those of Figure 2, and Conflict:
// where a refusal says the logs may part, so that the leader skips a whole term.
type (
	AppendEntriesArgs struct {
		Term, PrevLogIndex, PrevLogTerm, LeaderCommit uint64
		Entries                                       []Entry
	}
	AppendEntriesReply struct {
		Term, Conflict uint64
		Success        bool
	}
)

// follower is what a leader knows of one.
type follower struct {
	nextIndex, matchIndex uint64
	busy                  bool // entries are under way: more wait for the answer
}

const (
	answerTimeout = 100 * time.Millisecond // after which a call is given up for lost
	mostEntries   = 1000                   // of one message: one that lags must catch up on a bad network too
)

func (rf *Raft) lastIndex() uint64 { return uint64(len(rf.Log) - 1) }

func (rf *Raft) heartbeatInterval() time.Duration {
	if rf.mistakes.has(BeatsTooOften) {
		return 10 * time.Millisecond
	}
	return 100 * time.Millisecond
}

// heartbeatDaemon also sends again what was lost.
func (rf *Raft) heartbeatDaemon() {
	for rf.sleep(rf.heartbeatInterval()) {
		rf.mu.Lock()
		if rf.role == isCandidate {
			rf.askForVotes()
		}
		rf.heartbeat()
		rf.mu.Unlock()
	}
}

// heartbeat tells every follower who leads. rf.mu must be held.
func (rf *Raft) heartbeat() {
	for peer, f := range rf.followers {
		if rf.role == isLeader && !rf.sync(peer) {
			rf.send(peer, f.nextIndex-1, nil)
		}
	}
}

// sync sends a follower what it lacks and tells whether there was anything to
// send. rf.mu must be held.
func (rf *Raft) sync(peer string) bool {
	f := rf.followers[peer]
	if rf.role != isLeader || f.busy || f.nextIndex > rf.lastIndex() {
		return false
	}
	f.busy = true
	entries := rf.Log[f.nextIndex:min(f.nextIndex+mostEntries, rf.lastIndex()+1)]
	rf.send(peer, f.nextIndex-1, entries)
	if rf.mistakes.has(SendsTwice) {
		rf.send(peer, f.nextIndex-1, entries)
	}
	return true
}

// send is one AppendEntries. rf.mu must be held.
func (rf *Raft) send(peer string, prev uint64, entries []Entry) {
	args := &AppendEntriesArgs{rf.CurrentTerm, prev, rf.Log[prev].Term, rf.commitIndex, entries}
	reply, deadline := &AppendEntriesReply{}, time.Now().Add(answerTimeout)
	f := rf.followers[peer]
	rf.env.Endpoint.Call(peer, "AppendEntries", args, reply, deadline, func(err error) {
		rf.mu.Lock()
		defer rf.mu.Unlock()
		if len(args.Entries) > 0 {
			f.busy = false
		}
		if err != nil {
			return // the next heartbeat tries again
		}
		rf.noteTerm(reply.Term)
		if rf.role == isLeader && rf.CurrentTerm == args.Term && rf.credit(f, args, reply) {
			rf.sync(peer)
		}
	})
}

// credit takes a follower's answer and tells whether it led any further: if not,
// the next try waits for the next heartbeat. What the follower holds is what this
// very request said, not what was sent since. rf.mu must be held.
func (rf *Raft) credit(f *follower, args *AppendEntriesArgs, reply *AppendEntriesReply) bool {
	before := f.nextIndex
	switch {
	case reply.Success && len(args.Entries) > 0:
		f.matchIndex = max(f.matchIndex, args.PrevLogIndex+uint64(len(args.Entries)))
		f.nextIndex = f.matchIndex + 1
		rf.advanceCommit()
	case !reply.Success:
		f.nextIndex = max(f.matchIndex+1, min(reply.Conflict, args.PrevLogIndex))
	}
	return f.nextIndex != before
}

// advanceCommit commits what a majority holds. rf.mu must be held.
func (rf *Raft) advanceCommit() {
	held := []uint64{rf.lastIndex()}
	for _, f := range rf.followers {
		held = append(held, f.matchIndex)
	}
	slices.Sort(held)
	agreed := held[(len(held)-1)/2]
	if rf.mistakes.has(CountsHalf) {
		agreed = held[(len(held)+1)/2]
	}
	// By counting only entries of its own term: §5.4.2.
	if rf.Log[agreed].Term == rf.CurrentTerm {
		rf.commit(agreed)
	}
}

// commit moves commitIndex, never back. rf.mu must be held.
func (rf *Raft) commit(index uint64) {
	if index <= rf.commitIndex {
		return
	}
	rf.commitIndex = index
	select {
	case rf.committed <- struct{}{}:
	default: // it will look anyway
	}
}

// appendEntries is the receiver's side, in the order of Figure 2.
func (rf *Raft) appendEntries(_ string, args *AppendEntriesArgs) (*AppendEntriesReply, error) {
	rf.mu.Lock()
	defer rf.mu.Unlock()
	rf.noteTerm(args.Term)
	if args.Term < rf.CurrentTerm {
		return &AppendEntriesReply{Term: rf.CurrentTerm}, nil
	}
	rf.role = isFollower // a candidate that sees the leader of its term
	rf.resetElectionTimer()
	if len(args.Entries) == 0 && rf.mistakes.has(TrustsHeartbeats) {
		rf.commit(min(args.LeaderCommit, rf.lastIndex()))
		return &AppendEntriesReply{Term: rf.CurrentTerm, Success: true}, nil
	}
	prev := args.PrevLogIndex
	if prev > rf.lastIndex() {
		return &AppendEntriesReply{Term: rf.CurrentTerm, Conflict: rf.lastIndex() + 1}, nil
	}
	if term := rf.Log[prev].Term; term != args.PrevLogTerm {
		first := slices.IndexFunc(rf.Log, func(e Entry) bool { return e.Term == term })
		return &AppendEntriesReply{Term: rf.CurrentTerm, Conflict: uint64(first)}, nil
	}
	// Cut the log only where it conflicts: a late request must not undo a newer one.
	for i, e := range args.Entries {
		index := prev + 1 + uint64(i)
		if index > rf.lastIndex() || rf.Log[index].Term != e.Term {
			rf.Log = append(rf.Log[:index:index], args.Entries[i:]...)
			rf.save()
			break
		}
	}
	rf.commit(min(args.LeaderCommit, prev+uint64(len(args.Entries))))
	return &AppendEntriesReply{Term: rf.CurrentTerm, Success: true}, nil
}
