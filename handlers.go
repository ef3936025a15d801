package raft

import (
	"fmt"
	"time"
)

// The follower side: each handler follows the order of Figure 2. A reply is a
// promise: it is computed under Raft.mu together with the end of the staged
// stream at that moment, and spoken, as computed, once everything up to there is
// durable. That holds also for a handler that staged nothing itself: a duplicate
// must not overtake the original's bytes (DURABLE).

// misdirected tells whether a message is for another server, or for a lower
// admission of this one than it knows of. Nothing changes on such a message.
func (rf *Raft) misdirected(h *Header) bool {
	return h.To != rf.config.ID || h.ToIncarnation < rf.incarnation || h.From == rf.config.ID
}

// HandleRequestVote implements Handler: a vote or a pre-vote is asked for.
func (rf *Raft) HandleRequestVote(args *RequestVoteArgs) (*RequestVoteReply, error) {
	if args.From == "" || args.Term == 0 || args.Term > maxIndex || args.LastLogIndex > maxIndex || args.LastLogTerm > args.Term {
		return nil, fmt.Errorf("%w: vote request of %q for term %d with a log that ends at index %d of term %d", ErrMalformed, args.From, args.Term, args.LastLogIndex, args.LastLogTerm)
	}
	if rf.misdirected(&args.Header) {
		return &RequestVoteReply{Refusal: RefusedNotForMe}, nil
	}
	var reply *RequestVoteReply
	err := ErrStopped
	rf.guard.run("vote", func() {
		var position Position
		reply, position = rf.takeVote(args)
		err = rf.promise(position)
	})
	if err != nil {
		return nil, err
	}
	return reply, nil
}

// takeVote decides, and returns with the reply where it will be durable.
func (rf *Raft) takeVote(args *RequestVoteArgs) (*RequestVoteReply, Position) {
	rf.lock()
	defer rf.unlock()
	var refusal Refusal
	if args.PreVote {
		refusal = rf.preVoteLocked(args)
	} else {
		refusal = rf.voteLocked(args)
	}
	return &RequestVoteReply{Term: rf.currentTerm, Granted: refusal == Agreed, Refusal: refusal}, rf.staged
}

// preVoteLocked says whether this server would vote for the candidate in the
// term asked for; nothing changes. rf.mu must be held.
func (rf *Raft) preVoteLocked(args *RequestVoteArgs) Refusal {
	switch {
	case rf.incarnation == 0:
		return RefusedBlank
	case args.Term <= rf.currentTerm:
		return RefusedStaleTerm
	case rf.hasLeaderLocked():
		return RefusedHasLeader
	case !rf.log.upToDate(args.LastLogIndex, args.LastLogTerm):
		return RefusedLogBehind
	}
	return Agreed
}

// hasLeaderLocked tells whether this server heard from a leader within the
// minimum election timeout. A leader in touch with a quorum is its own recent
// leader. rf.mu must be held.
func (rf *Raft) hasLeaderLocked() bool {
	if t := rf.tenure; t != nil {
		return time.Since(rf.quorumContactLocked(t)) < rf.config.ElectionTimeoutMin
	}
	return !rf.leaderContact.IsZero() && time.Since(rf.leaderContact) < rf.config.ElectionTimeoutMin
}

// voteLocked decides on a vote (Figure 2, RequestVote RPC). Term and vote are
// staged as one. Only granting resets the election timer. rf.mu must be held.
func (rf *Raft) voteLocked(args *RequestVoteArgs) Refusal {
	switch {
	case args.Term < rf.currentTerm:
		return RefusedStaleTerm
	case rf.incarnation == 0:
		return RefusedBlank
	case args.Term <= bootstrapTerm:
		return RefusedStaleTerm // nobody votes in the bootstrap term
	}
	asking := candidate{args.From, args.FromIncarnation}
	refusal := Agreed
	if args.Term == rf.currentTerm && rf.votedFor.id != "" && rf.votedFor != asking {
		refusal = RefusedVoted
	} else if !rf.log.upToDate(args.LastLogIndex, args.LastLogTerm) {
		refusal = RefusedLogBehind
	}
	newTerm := args.Term > rf.currentTerm
	if newTerm {
		vote := candidate{}
		if refusal == Agreed {
			vote = asking
		}
		rf.setTermLocked(args.Term, vote)
		rf.becomeFollowerLocked(args.Term, "", fmt.Sprintf("%s campaigns in term %d", args.From, args.Term))
	} else if refusal == Agreed && rf.votedFor != asking {
		rf.setTermLocked(args.Term, asking)
	}
	if refusal == Agreed {
		rf.setRoleLocked(Follower) // a pre-candidate that backs another gives up
		rf.timer.reset()
	}
	return refusal
}

// received is an AppendEntries request that passed the gateway: the wire is
// checked once, here, before any lock.
type received struct {
	*AppendEntriesArgs
	terms   []uint64 // of its entries, in order
	offsets []int    // where each begins in the body; one more for the end
}

// checkAppend is the gateway. It refuses what no correct leader sends: overflowing
// numbers, a broken checksum, falling terms, an entry above its sender's term.
func (rf *Raft) checkAppend(args *AppendEntriesArgs) (received, error) {
	bad := func(format string, a ...any) (received, error) {
		return received{}, fmt.Errorf("%w: AppendEntries of %s in term %d: %s", ErrMalformed, args.From, args.Term, fmt.Sprintf(format, a...))
	}
	switch {
	case args.From == "":
		return bad("nobody sent it")
	case args.Term <= bootstrapTerm || args.Term > maxIndex:
		return bad("nobody leads this term")
	case args.PrevLogIndex > maxIndex || args.PrevLogTerm > args.Term || args.LeaderCommit > maxIndex:
		return bad("prev %d of term %d, commit %d", args.PrevLogIndex, args.PrevLogTerm, args.LeaderCommit)
	case args.Heartbeat && args.Batch.Count > 0:
		return bad("a heartbeat with entries")
	}
	r := received{AppendEntriesArgs: args}
	if len(args.Batch.Body) == 0 && args.Batch.Count == 0 {
		return r, nil
	}
	if err := args.Batch.Check(); err != nil {
		return bad("%v", err)
	}
	last, offset := args.PrevLogTerm, 0
	err := args.Batch.Walk(func(kind EntryKind, term uint64, raw []byte) error {
		index := args.PrevLogIndex + uint64(len(r.terms)) + 1
		if term < last || term > args.Term {
			return fmt.Errorf("the entry at %d has term %d after term %d", index, term, last)
		}
		if kind == EntryConfiguration && index != bootstrapIndex {
			return fmt.Errorf("a configuration at index %d; membership changes need a newer version of this program", index)
		}
		r.terms, r.offsets = append(r.terms, term), append(r.offsets, offset)
		last, offset = term, offset+len(raw)
		return nil
	})
	if err != nil {
		return bad("%v", err)
	}
	r.offsets = append(r.offsets, offset)
	return r, nil
}

// HandleAppendEntries implements Handler. Its turn ends when Raft.mu is released
// after staging, before the wait for the flush, on every way out. Over an
// unordered transport a request that comes before its predecessor waits a little
// for it.
func (rf *Raft) HandleAppendEntries(args *AppendEntriesArgs, turn Turn) (*AppendEntriesReply, error) {
	if turn != nil {
		defer turn.End() // for the ways out that never reach takeAppend
	}
	r, err := rf.checkAppend(args)
	if err != nil {
		return nil, err
	}
	if rf.misdirected(&args.Header) {
		return &AppendEntriesReply{Refusal: RefusedNotForMe}, nil
	}
	var reply *AppendEntriesReply
	err = ErrStopped
	rf.guard.run("append", func() {
		var position Position
		if reply, position = rf.takeAppend(&r, turn); reply == nil {
			return
		}
		if args.Heartbeat && reply.Refusal == Agreed {
			position = 0 // proves round and term only: no durability is promised
		}
		err = rf.promise(position)
	})
	if err != nil {
		return nil, err
	}
	return reply, nil
}

// takeAppend handles a request in its turn, and returns with the reply where it
// will be durable; nil if the connection closed before its turn came.
func (rf *Raft) takeAppend(r *received, turn Turn) (*AppendEntriesReply, Position) {
	if turn != nil {
		defer turn.End()
		if !turn.Wait() {
			return nil, 0
		}
	}
	rf.lock()
	defer rf.unlock()
	if turn == nil && !r.Heartbeat {
		rf.awaitPredecessorLocked(r.AppendEntriesArgs)
	}
	reply := rf.appendLocked(r)
	return reply, rf.staged
}

// maxEarly bounds the requests that wait for the one before them.
const maxEarly = 8

// awaitPredecessorLocked lets a request whose prev is beyond the log wait until
// the log reaches it, at most half a heartbeat, until the term moves or until the
// server stops. A bounded few wait; the rest are refused at once. It releases
// rf.mu while waiting: the caller starts from scratch. rf.mu must be held.
func (rf *Raft) awaitPredecessorLocked(args *AppendEntriesArgs) {
	early := func() bool {
		return args.Term == rf.currentTerm && rf.role == Follower && args.PrevLogIndex > rf.log.lastIndex()
	}
	if !early() || rf.earlyWaiting >= maxEarly {
		return
	}
	rf.earlyWaiting++
	patience := time.NewTimer(rf.config.Heartbeat / 2)
	defer patience.Stop()
	for waited := false; early() && !waited; {
		grew := rf.logGrew.Join()
		rf.unlock()
		select {
		case <-grew:
		case <-patience.C:
			waited = true
		case <-rf.guard.stopping:
			waited = true
		}
		rf.lock()
	}
	rf.earlyWaiting--
}

// appendLocked follows Figure 2, AppendEntries RPC: term, then role and timer,
// then the check of prev, then truncation and entries, then commit. rf.mu must
// be held.
func (rf *Raft) appendLocked(r *received) *AppendEntriesReply {
	reply := &AppendEntriesReply{Refusal: RefusedStaleTerm}
	defer func() {
		reply.Term, reply.CommitIndex, reply.LastLogIndex = rf.currentTerm, rf.commitIndex, rf.log.lastIndex()
	}()
	// 0. Who was never admitted gives no ack.
	if rf.incarnation == 0 {
		reply.Refusal = RefusedBlank
		return reply
	}
	// 1. A leader of an old term learns the new one.
	if r.Term < rf.currentTerm {
		return reply
	}
	// 2. A message of the current leader, also one that is refused below, makes
	// this server its follower and resets the timer.
	if r.Term > rf.currentTerm {
		rf.becomeFollowerLocked(r.Term, r.From, fmt.Sprintf("%s leads term %d", r.From, r.Term))
	}
	if !rf.guardLeaderLocked(r.From) {
		return reply
	}
	rf.becomeFollowerLocked(r.Term, r.From, "")
	rf.leaderContact = time.Now()
	rf.timer.reset()
	// 3. The log must hold prev. Up to commitIndex it does (Leader Completeness).
	reply.Refusal = rf.checkPrevLocked(r, reply)
	if reply.Refusal != Agreed {
		return reply
	}
	// 4. Remove what conflicts, append what is new.
	agreed, refusal := rf.takeEntriesLocked(r)
	// 5. Commit what this request proves equal to the leader's log, no more.
	rf.agreedIndex = max(rf.agreedIndex, agreed)
	rf.setCommitLocked(min(r.LeaderCommit, agreed))
	reply.Refusal = refusal
	return reply
}

// checkPrevLocked compares prevLogIndex and prevLogTerm with the log; a conflict
// tells the leader where this log's term begins. rf.mu must be held.
func (rf *Raft) checkPrevLocked(r *received, reply *AppendEntriesReply) Refusal {
	prev := r.PrevLogIndex
	switch {
	case prev > rf.log.lastIndex():
		reply.ConflictIndex = rf.log.end()
		return RefusedConflict
	case rf.log.term(prev) == r.PrevLogTerm:
		return Agreed
	case prev <= rf.commitIndex:
		if prev == 0 {
			return Agreed
		}
		rf.breachLocked("LEADER_COMPLETENESS", "%s has term %d at index %d, which is committed here with term %d", r.From, r.PrevLogTerm, prev, rf.log.term(prev))
		return RefusedConflict
	}
	reply.ConflictTerm = rf.log.term(prev)
	reply.ConflictIndex = max(rf.log.firstOfTermAt(prev), rf.commitIndex+1)
	return RefusedConflict
}

// takeEntriesLocked skips the entries the log holds already, removes a suffix
// that conflicts and appends the rest, staging the very bytes that arrived. Only
// new bytes can be refused as busy: a request that adds none never is, nor one
// when nothing is pending. It returns the index up to which the log now equals
// the leader's, as far as this request shows. rf.mu must be held.
func (rf *Raft) takeEntriesLocked(r *received) (agreed uint64, refusal Refusal) {
	first, skip := r.PrevLogIndex+1, 0
	for skip < len(r.terms) && rf.holdsLocked(first+uint64(skip), r.terms[skip]) {
		skip++
	}
	from := first + uint64(skip)
	if skip == len(r.terms) {
		return from - 1, Agreed
	}
	if from <= rf.log.lastIndex() { // what is committed never conflicts (COMMIT_END)
		if !rf.guardTruncateLocked(from) {
			return rf.commitIndex, RefusedConflict
		}
		rf.log.truncateFrom(from)
	}
	batch := r.Batch
	if skip > 0 {
		batch = NewBatch(r.Batch.Body[r.offsets[skip]:], len(r.terms)-skip)
	}
	if pending := rf.pendingBytesLocked(); pending > 0 && pending+uint64(len(batch.Body)) > rf.config.MaxApplyBytes && batch.hasCommand() {
		return from - 1, RefusedBusy
	}
	if err := rf.log.append(batch); err != nil {
		rf.breachLocked("TERMS", "%v", err)
		return from - 1, RefusedConflict
	}
	rf.stageLocked(Stage{FirstIndex: from, Batch: batch})
	rf.logGrew.Release()
	return r.PrevLogIndex + uint64(len(r.terms)), Agreed
}

// holdsLocked tells whether the log has an entry of the term at index; a
// committed one is the leader's whatever its request says. rf.mu must be held.
func (rf *Raft) holdsLocked(index, term uint64) bool {
	return index <= rf.commitIndex || index <= rf.log.lastIndex() && rf.log.term(index) == term
}

// pendingBytesLocked is what this follower has taken on and not dealt with:
// appended and not flushed, known committed and not applied. rf.mu must be held.
func (rf *Raft) pendingBytesLocked() uint64 {
	return rf.stagedBytes + rf.flushingBytes + rf.applyLagLocked()
}

// applyLagLocked is the bytes known committed and not applied. What was recovered
// does not count: replaying it must not keep a server from taking part. rf.mu must
// be held.
func (rf *Raft) applyLagLocked() uint64 {
	from := max(rf.lastApplied, rf.recoveredLast)
	return rf.log.bytesBetween(min(from, rf.commitIndex), rf.commitIndex)
}

// HandleReadIndex implements Handler: a follower asks for an index.
func (rf *Raft) HandleReadIndex(args *ReadIndexArgs) (*ReadIndexReply, error) {
	if rf.misdirected(&args.Header) {
		return &ReadIndexReply{Refusal: RefusedNotForMe}, nil
	}
	var reply *ReadIndexReply
	rf.guard.run("read index", func() {
		index, err := rf.joinRound(nil, &rf.reads, rf.openOwnRound)
		rf.lock()
		defer rf.unlock()
		if err != nil {
			reply = &ReadIndexReply{Refusal: RefusedNotLeader, Leader: rf.leader}
			return
		}
		reply = &ReadIndexReply{Index: index, Leader: rf.leader}
		if rf.role == Leader {
			reply.Term, reply.CommitIndex = rf.currentTerm, rf.commitIndex
		}
	})
	if reply == nil {
		return nil, ErrStopped
	}
	return reply, nil
}
