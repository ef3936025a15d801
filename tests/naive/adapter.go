package naive

import (
	"sync"
	"time"

	"lockstep.example/raft/labrpc"
	"lockstep.example/raft/tests"
)

// Maker starts a naive server: what a test gives to tests.RunLab.
var Maker = Make(ForgetsAll | TrustsHeartbeats | SendsTwice | BeatsTooOften)

// Make returns the Maker of servers that make the given mistakes, 0 for none.
func Make(mistakes Mistake) tests.Maker {
	return func(env tests.Env) (tests.Server, error) {
		rf := &Raft{
			env: env, mistakes: mistakes,
			done: make(chan struct{}), committed: make(chan struct{}, 1),
			saved: saved{Log: []Entry{{}}}, // index 0: before the first entry
		}
		// What an earlier life has left on the disk.
		if disk, ok := env.Disk.Contents.(saved); ok {
			rf.saved = disk
		}
		rf.resetElectionTimer()
		// What the others may call. Arguments and replies are encoded on the way,
		// so only their exported fields arrive.
		labrpc.Handle(env.Endpoint, "RequestVote", rf.requestVote)
		labrpc.Handle(env.Endpoint, "AppendEntries", rf.appendEntries)
		// What runs until Kill.
		rf.daemons.Go(rf.electionDaemon)
		rf.daemons.Go(rf.heartbeatDaemon)
		rf.daemons.Go(rf.applyDaemon)
		return rf, nil
	}
}

// Raft is one server. It is a tests.Server.
type Raft struct {
	env       tests.Env
	mistakes  Mistake
	daemons   sync.WaitGroup
	done      chan struct{} // closed by Kill
	committed chan struct{} // wakes the apply daemon

	mu sync.Mutex // guards the rest, in the order of Figure 2
	saved
	commitIndex uint64
	lastApplied uint64
	role        role
	votes       map[string]bool      // of a candidate: who has granted
	followers   map[string]*follower // of a leader
	campaignAt  time.Time            // unless a leader is heard before
}

// saved is what must outlive a crash. The entry at index i is Log[i].
type saved struct {
	CurrentTerm uint64
	VotedFor    string
	Log         []Entry
}

// Entry is one slot of the log.
type Entry struct {
	Term    uint64
	Command []byte
}

type role uint8

const (
	isFollower role = iota
	isCandidate
	isLeader
)

// save writes what must outlive a crash. A real disk takes time and may lose
// what was not flushed; see tests.Env.FlushTime and tests.Disk.AfterCrash.
// rf.mu must be held.
func (rf *Raft) save() {
	if !rf.mistakes.has(ForgetsAll) {
		rf.env.Disk.Contents = rf.saved
	}
}

// Start implements tests.Server. The labs call the first result the index of the
// command. It is a number here: this Raft appends nothing but commands, so the
// two are the same.
func (rf *Raft) Start(command []byte) (number, term uint64, leads bool) {
	rf.mu.Lock()
	defer rf.mu.Unlock()
	if rf.role != isLeader {
		return 0, 0, false
	}
	rf.Log = append(rf.Log, Entry{rf.CurrentTerm, command})
	rf.save()
	for peer := range rf.followers {
		rf.sync(peer)
	}
	rf.advanceCommit()
	return rf.lastIndex(), rf.CurrentTerm, true
}

// State implements tests.Server.
func (rf *Raft) State() (term uint64, leads bool) {
	rf.mu.Lock()
	defer rf.mu.Unlock()
	return rf.CurrentTerm, rf.role == isLeader
}

// Kill implements tests.Server: when it returns, no daemon runs any more. The
// harness has closed the endpoint before, so no message comes or goes.
func (rf *Raft) Kill() error {
	close(rf.done)
	rf.daemons.Wait()
	return nil
}

// sleep waits for d; false if the server was killed.
func (rf *Raft) sleep(d time.Duration) bool {
	select {
	case <-rf.done:
		return false
	case <-time.After(d):
		return true
	}
}

// applyDaemon tells the harness of each committed command, in order, with no
// lock held.
func (rf *Raft) applyDaemon() {
	for {
		select {
		case <-rf.done:
			return
		case <-rf.committed:
		}
		rf.mu.Lock()
		first := rf.lastApplied + 1
		entries := append([]Entry{}, rf.Log[first:rf.commitIndex+1]...)
		rf.lastApplied = rf.commitIndex
		rf.mu.Unlock()
		for i, e := range entries {
			index := first + uint64(i)
			rf.env.Apply(tests.Applied{Number: index, Index: index, Term: e.Term, Command: e.Command})
		}
	}
}
