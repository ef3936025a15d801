package raft

import (
	"context"
	"fmt"
	"sync"
	"time"

	"lockstep.example/raft/internal/quorum"
)

// A leader proves that it still leads by rounds (thesis §6.4). Rounds are
// numbered; each message carries the round in which it was built, and an answer
// to it in our term proves that its sender followed no later leader when it
// answered, hence that nobody else had committed anything by the time the round
// opened. A quorum of such answers verifies the round and every earlier one.
//
// A read joins the next round to open. If none is open the reader opens it and
// sends its heartbeats at once, from its own goroutine; otherwise it opens when
// the open one is verified, or with the next heartbeat. Its index is fixed when its
// round opens: the commit point, or this term's sentinel if that is higher, for
// before the sentinel a new leader does not know what is committed. Once its
// round is verified a read is linearizable at any lastApplied >= that index.
//
// One quorum function answers commit, reads and check-quorum.

// readRound is a crowd of reads that share one round.
type readRound struct {
	done   chan struct{} // closed once; number, index and err are immutable then
	number uint64
	index  uint64
	err    error
}

func (r *readRound) end(index uint64, err error) {
	r.index, r.err = index, err
	close(r.done)
}

// readGate gathers reads until a round opens for them. Its mutex is a leaf.
type readGate struct {
	mu      sync.Mutex
	joining *readRound // not opened yet; nil if nobody waits
	busy    bool       // a round is open, or somebody is about to open one
}

// join adds a reader. If open is true nobody is going to open the round but the
// caller.
func (g *readGate) join() (r *readRound, open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.joining == nil {
		g.joining = &readRound{done: make(chan struct{})}
	}
	open = !g.busy
	g.busy = true
	return g.joining, open
}

// take hands over the reads that wait, to be opened now. If none wait and
// release is set, the gate is free: the next reader opens a round.
func (g *readGate) take(release bool) *readRound {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.joining
	g.joining = nil
	g.busy = r != nil || !release
	return r
}

// idle frees the gate if nobody waits; else somebody must open a round.
func (g *readGate) idle() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.busy = g.joining != nil
	return !g.busy
}

// fail ends the reads that wait and frees the gate.
func (g *readGate) fail(err error) {
	g.mu.Lock()
	r := g.joining
	g.joining, g.busy = nil, false
	g.mu.Unlock()
	if r != nil {
		r.end(0, err)
	}
}

// ReadIndex returns an index at which a read is linearizable, once everything up
// to it is applied on this server: a read of the state machine made after
// ReadIndex returned sees every write that was acknowledged, by any server,
// before ReadIndex was called. It writes nothing to the log. A follower asks the
// leader and the read is served here. It fails with ErrNotLeader if no leader is
// known, if the leader did not answer within ElectionTimeoutMax or lost the
// leadership meanwhile, ErrMalformed if its answer cannot be right, ErrStopped, or the error of ctx
// wrapped in ErrNoAuthority.
func (rf *Raft) ReadIndex(ctx context.Context) (uint64, error) {
	gate, open := &rf.reads, rf.openOwnRound
	if !rf.leading.Load() {
		gate, open = &rf.remoteReads, rf.openRemoteRound
	}
	index, err := rf.joinRound(ctx.Done(), gate, open)
	if err == nil {
		err = rf.awaitApplied(ctx.Done(), index)
	}
	if err == errCancelled {
		err = fmt.Errorf("%w: %w before a quorum answered or index %d was applied; ask again", ErrNoAuthority, context.Cause(ctx), index)
	}
	if err != nil {
		return 0, fmt.Errorf("read index: %w", err)
	}
	return index, nil
}

// joinRound waits for the round that the caller joins, opening it if need be.
func (rf *Raft) joinRound(cancelled <-chan struct{}, gate *readGate, open func()) (uint64, error) {
	r, opens := gate.join()
	if opens && !rf.guard.run("read", open) {
		gate.fail(ErrStopped)
	}
	select {
	case <-r.done:
		return r.index, r.err
	case <-cancelled:
		return 0, errCancelled
	case <-rf.guard.stopping:
		return 0, ErrStopped
	}
}

// openOwnRound opens a round of this leader for the reads that wait.
func (rf *Raft) openOwnRound() {
	t, calls := rf.nextRound()
	rf.sendAll(t, calls)
}

func (rf *Raft) nextRound() (*tenure, []*appendCall) {
	rf.lock()
	defer rf.unlock()
	if rf.tenure == nil {
		rf.reads.fail(rf.notLeaderLocked(""))
		return nil, nil
	}
	return rf.tenure, rf.openRoundLocked(rf.tenure)
}

// openRoundLocked opens the next round, with the reads that wait if there are
// any, and returns its heartbeats, to be sent without the lock. rf.mu must be
// held.
func (rf *Raft) openRoundLocked(t *tenure) []*appendCall {
	t.openRound(rf.reads.take(false), rf.commitIndex)
	calls := rf.heartbeatsLocked(t, time.Now())
	return append(calls, rf.verifyLocked()...) // a single server has its quorum already
}

// heartbeatsLocked builds the messages of a round. They are apart from data: a
// long snapshot or a full pipe cannot cost the leader its term. prev is the
// follower's matchIndex, so they agree whatever is queued for it. A few may be
// outstanding, so one lost call delays nothing. rf.mu must be held.
func (rf *Raft) heartbeatsLocked(t *tenure, now time.Time) []*appendCall {
	limit := int(rf.config.ElectionTimeoutMax/rf.config.Heartbeat) + 2
	calls := make([]*appendCall, 0, len(t.followers))
	for _, p := range t.followers {
		if p.heartbeatsOut >= limit {
			continue
		}
		p.heartbeatsOut++
		args := &AppendEntriesArgs{
			Header: rf.headerLocked(p.id), PrevLogIndex: p.matchIndex, PrevLogTerm: rf.log.term(p.matchIndex),
			LeaderCommit: min(rf.commitIndex, p.matchIndex), Round: t.round, Heartbeat: true,
		}
		calls = append(calls, &appendCall{p: p, args: args, epoch: p.epoch, built: now})
	}
	return calls
}

func (rf *Raft) sendAll(t *tenure, calls []*appendCall) {
	for _, call := range calls {
		rf.sendAppend(t, call)
	}
}

// heartbeatRepliedLocked credits a heartbeat: it proves round and term only, and
// never moves matchIndex. A follower that answers again is sent entries again
// without waiting for the end of its backoff. rf.mu must be held.
func (rf *Raft) heartbeatRepliedLocked(call *appendCall, reply *AppendEntriesReply) {
	p := call.p
	p.heartbeatsOut--
	if reply == nil || !reply.Refusal.follows() {
		return
	}
	rf.ackLocked(call)
	if p.failures > 0 {
		p.failures, p.retryAt = 0, time.Time{}
		p.wake.Notify()
	}
}

// ackLocked records that a follower answered a message in our term. rf.mu must
// be held.
func (rf *Raft) ackLocked(call *appendCall) {
	p := call.p
	p.ackRound = max(p.ackRound, call.args.Round)
	if call.built.After(p.ackAt) {
		p.ackAt = call.built
	}
}

// verifyLocked releases the reads of every round that a quorum has answered, and
// opens the next round if reads wait for it; it returns that round's heartbeats.
// rf.mu must be held.
func (rf *Raft) verifyLocked() []*appendCall {
	t := rf.tenure
	if t == nil || !rf.releaseVerifiedLocked(t) || len(t.open) > 0 {
		return nil
	}
	// Nothing is open. Let the next reader open a round, or do it for those who
	// wait already.
	r := rf.reads.take(true)
	if r == nil {
		return nil
	}
	t.openRound(r, rf.commitIndex)
	calls := rf.heartbeatsLocked(t, time.Now())
	// A single server is its own quorum. Whoever joined meanwhile is served by a
	// goroutine, so that the lock is not held for as long as readers come.
	if rf.releaseVerifiedLocked(t) && !rf.reads.idle() {
		rf.guard.start("read", rf.openOwnRound)
	}
	return calls
}

// releaseVerifiedLocked ends the reads of the rounds that are verified now; false
// if no more are than before. rf.mu must be held.
func (rf *Raft) releaseVerifiedLocked(t *tenure) bool {
	verified := quorum.Agreed(rf.configuration.Voters, rf.configuration.OldVoters, func(id ServerID) uint64 {
		if p := t.byID[id]; p != nil {
			return p.ackRound
		}
		return t.round // this server itself
	})
	if verified <= t.verified {
		return false
	}
	t.verified = verified
	for len(t.open) > 0 && t.open[0].number <= verified {
		t.open[0].end(t.open[0].index, nil)
		t.open = t.open[1:]
	}
	return true
}

// openRound opens the next round for r and fixes its index. Raft.mu must be held.
func (t *tenure) openRound(r *readRound, commitIndex uint64) {
	t.round++
	if r != nil {
		r.number, r.index = t.round, max(commitIndex, t.sentinelIndex)
		t.open = append(t.open, r)
	}
}

// failReads ends the reads of rounds that were never verified. Raft.mu must be
// held.
func (t *tenure) failReads(err error) {
	for _, r := range t.open {
		r.end(0, err)
	}
	t.open = nil
}

// authorityDaemon keeps one tenure's authority: at every heartbeat interval it opens a
// round,
// and steps down if no quorum has answered for an election timeout.
func (rf *Raft) authorityDaemon(t *tenure) {
	ticker := time.NewTicker(rf.config.Heartbeat)
	defer ticker.Stop()
	for {
		rf.sendAll(t, rf.openRoundOrStepDown(t))
		select {
		case <-ticker.C:
		case <-t.done:
			return
		case <-rf.guard.stopping:
			return
		}
	}
}

// openRoundOrStepDown opens a round of a tenure, unless it is time to give it up.
func (rf *Raft) openRoundOrStepDown(t *tenure) []*appendCall {
	rf.lock()
	defer rf.unlock()
	if rf.tenure != t {
		return nil
	}
	if silent := time.Since(rf.quorumContactLocked(t)); silent > rf.config.ElectionTimeoutMax {
		rf.becomeFollowerLocked(rf.currentTerm, "", fmt.Sprintf("no quorum answered for %v", silent))
		return nil
	}
	return rf.openRoundLocked(t)
}

// quorumContactLocked returns the latest time at which the messages that a
// quorum has answered were built. rf.mu must be held.
func (rf *Raft) quorumContactLocked(t *tenure) time.Time {
	now := time.Now()
	// The age of a contact is a duration on the monotonic clock; the quorum wants
	// "higher is better", so it is counted down from a day.
	const day = uint64(24 * time.Hour)
	agreed := quorum.Agreed(rf.configuration.Voters, rf.configuration.OldVoters, func(id ServerID) uint64 {
		if p := t.byID[id]; p != nil {
			return day - min(day, uint64(max(0, now.Sub(p.ackAt))))
		}
		return day // this server itself
	})
	return now.Add(-time.Duration(day - agreed))
}

// openRemoteRound asks the leader for an index on behalf of the reads that wait.
// Reads that arrive while the request is out share the next one: its answer may
// be older than they are.
func (rf *Raft) openRemoteRound() {
	for {
		r := rf.remoteReads.take(true)
		if r == nil {
			return
		}
		peer, args, gone := rf.askLeader()
		if gone != nil {
			r.end(0, gone)
			continue
		}
		peer.ReadIndex(args, time.Now().Add(rf.config.ElectionTimeoutMax), func(reply *ReadIndexReply, err error) {
			ran := rf.guard.run("read reply", func() {
				r.end(rf.remoteIndex(args.To, reply, err))
				rf.openRemoteRound()
			})
			if !ran {
				r.end(0, ErrStopped)
			}
		})
		return
	}
}

// askLeader builds the request to the leader; an error if none is known, or if
// this server has just become it.
func (rf *Raft) askLeader() (Peer, *ReadIndexArgs, error) {
	rf.lock()
	defer rf.unlock()
	peer := rf.peers[rf.leader]
	if peer == nil {
		return nil, nil, rf.notLeaderLocked("")
	}
	return peer, &ReadIndexArgs{Header: rf.headerLocked(rf.leader)}, nil
}

// remoteIndex reads the leader's answer, and takes its commit point as far as
// this log is known to equal the leader's.
func (rf *Raft) remoteIndex(leader ServerID, reply *ReadIndexReply, err error) (uint64, error) {
	rf.lock()
	defer rf.unlock()
	rf.heardLocked(leader, err)
	switch {
	case err != nil:
		return 0, rf.notLeaderLocked(fmt.Sprintf("%s did not answer: %v", leader, err))
	case reply.Refusal == RefusedNotLeader:
		return 0, &NotLeaderError{Leader: reply.Leader, Address: rf.address[reply.Leader], Reason: fmt.Sprintf("%s no longer leads", leader)}
	case reply.Refusal != Agreed:
		return 0, &NotLeaderError{Reason: fmt.Sprintf("%s refuses: %s", leader, refusalReason[reply.Refusal])}
	case reply.Index > maxIndex || reply.CommitIndex > maxIndex:
		return 0, fmt.Errorf("%w: %s answered index %d", ErrMalformed, leader, reply.Index)
	}
	if reply.Term == rf.currentTerm && rf.role == Follower {
		rf.setCommitLocked(min(reply.CommitIndex, rf.agreedIndex))
	}
	return reply.Index, nil
}
