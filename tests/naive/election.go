package naive

import (
	"time"

	"lockstep.example/raft/tests"
)

const (
	electionTimeoutMin = 300 * time.Millisecond
	electionSpread     = 300 * time.Millisecond
)

// RequestVoteArgs and RequestVoteReply are those of Figure 2.
type (
	RequestVoteArgs struct {
		Term, LastLogIndex, LastLogTerm uint64
		Candidate                       string
	}
	RequestVoteReply struct {
		Term    uint64
		Granted bool
	}
)

// rf.mu must be held.
func (rf *Raft) resetElectionTimer() {
	timeout := electionTimeoutMin + time.Duration(rf.env.Rand()%uint64(electionSpread))
	if rf.mistakes.has(SameTimeouts) {
		timeout = electionTimeoutMin
	}
	rf.campaignAt = time.Now().Add(timeout)
}

// electionDaemon starts a campaign whenever no leader was heard for a timeout.
func (rf *Raft) electionDaemon() {
	for {
		rf.mu.Lock()
		if rf.role == isLeader {
			rf.resetElectionTimer()
		}
		wait := time.Until(rf.campaignAt)
		if wait <= 0 {
			rf.campaign()
			wait = time.Until(rf.campaignAt)
		}
		rf.mu.Unlock()
		if !rf.sleep(wait) {
			return
		}
	}
}

// campaign starts an election in a new term. rf.mu must be held.
func (rf *Raft) campaign() {
	rf.role = isCandidate
	rf.CurrentTerm++
	rf.VotedFor = rf.env.ID
	rf.save()
	rf.resetElectionTimer()
	rf.votes = map[string]bool{rf.env.ID: true}
	rf.askForVotes()
}

// askForVotes asks whoever has not granted yet, again at each heartbeat interval:
// of seven servers on a bad network too few answer at the first time. rf.mu must
// be held.
func (rf *Raft) askForVotes() {
	args := &RequestVoteArgs{rf.CurrentTerm, rf.lastIndex(), rf.Log[rf.lastIndex()].Term, rf.env.ID}
	for _, peer := range rf.env.Peers {
		if rf.votes[peer] {
			continue
		}
		reply := &RequestVoteReply{}
		// Call returns at once; the answer comes in a goroutine of its own.
		rf.env.Endpoint.Call(peer, "RequestVote", args, reply, rf.campaignAt, func(err error) {
			if err == nil && rf.count(peer, args, reply) {
				rf.env.Trace(tests.Event{Kind: tests.Leads, Term: args.Term})
			}
		})
	}
}

// count takes one vote and tells whether it was the one that made a leader.
func (rf *Raft) count(peer string, args *RequestVoteArgs, reply *RequestVoteReply) (elected bool) {
	rf.mu.Lock()
	defer rf.mu.Unlock()
	rf.noteTerm(reply.Term)
	if rf.role != isCandidate || rf.CurrentTerm != args.Term || !reply.Granted {
		return false // the answer to an earlier campaign, or a refusal
	}
	rf.votes[peer] = true
	if len(rf.votes) <= len(rf.env.Peers)/2 {
		return false
	}
	rf.role = isLeader
	rf.followers = map[string]*follower{}
	for _, peer := range rf.env.Peers {
		if peer != rf.env.ID {
			rf.followers[peer] = &follower{nextIndex: rf.lastIndex() + 1}
		}
	}
	rf.heartbeat()
	return true
}

// noteTerm makes a follower of a server that sees a higher term. rf.mu must be
// held.
func (rf *Raft) noteTerm(term uint64) {
	if term > rf.CurrentTerm {
		rf.CurrentTerm, rf.VotedFor = term, ""
		rf.role = isFollower
		rf.save()
	}
}

// requestVote is the receiver's side, in the order of Figure 2.
func (rf *Raft) requestVote(_ string, args *RequestVoteArgs) (*RequestVoteReply, error) {
	rf.mu.Lock()
	defer rf.mu.Unlock()
	rf.noteTerm(args.Term)
	if args.Term < rf.CurrentTerm || rf.VotedFor != "" && rf.VotedFor != args.Candidate {
		return &RequestVoteReply{Term: rf.CurrentTerm}, nil
	}
	lastTerm := rf.Log[rf.lastIndex()].Term
	upToDate := args.LastLogTerm > lastTerm || args.LastLogTerm == lastTerm && args.LastLogIndex >= rf.lastIndex()
	if !upToDate && !rf.mistakes.has(VotesForAnyLog) {
		return &RequestVoteReply{Term: rf.CurrentTerm}, nil
	}
	rf.VotedFor = args.Candidate
	rf.save()
	rf.resetElectionTimer()
	return &RequestVoteReply{Term: rf.CurrentTerm, Granted: true}, nil
}
