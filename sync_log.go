package raft

import (
	"slices"
	"time"

	"lockstep.example/raft/internal/quorum"
	"lockstep.example/raft/internal/wake"
)

// tenure is one leadership: all that a leader keeps, from becoming it to stepping
// down. A new one is made for each, so nothing of an earlier one can be credited
// to it. Its fields are guarded by Raft.mu but for those said to be immutable.
type tenure struct {
	term          uint64        // immutable
	sentinelIndex uint64        // immutable; nothing below it is committed by counting (§5.4.2)
	done          chan struct{} // closed when the tenure ends
	followers     []*progress   // immutable
	byID          map[ServerID]*progress
	selfMatch     uint64 // own log end that is durable

	round    uint64       // last round opened
	verified uint64       // highest round a quorum answered (ROUND: verified <= round)
	open     []*readRound // reads of rounds that are not verified, oldest first
}

type syncState uint8

const (
	probe     syncState = iota // one message at a time until the follower agrees
	replicate                  // optimistic nextIndex, a window of messages
)

func (s syncState) String() string { return [...]string{"probe", "replicate"}[s] }

// progress is what a leader knows of one follower's log. One object lives for
// one (ID, incarnation, term of leadership).
type progress struct {
	id   ServerID    // immutable
	peer Peer        // immutable
	wake wake.Signal // wakes the sync loop

	state          syncState
	nextIndex      uint64 // of the next entry to send
	matchIndex     uint64 // highest index known to be durable there (MATCH: matchIndex < nextIndex)
	epoch          uint64 // raised when the window is given up: refusals of an earlier one are stale
	inflight       []*appendCall
	inflightBytes  uint64
	commitSent     uint64 // highest commit point this follower was sent
	commitInflight bool   // an empty message that carries the commit point is out

	failures int       // calls failed in a row
	retryAt  time.Time // nothing is sent before; zero: now

	ackRound      uint64    // latest round it answered in this term
	ackAt         time.Time // when the latest message it answered was built
	heartbeatsOut int
}

// appendCall is one AppendEntries under way, with what was true when it was
// built.
type appendCall struct {
	p     *progress
	args  *AppendEntriesArgs
	epoch uint64
	built time.Time
	carry bool // carries only a commit point
}

func (rf *Raft) newTenureLocked() *tenure {
	now := time.Now()
	t := &tenure{
		term: rf.currentTerm, sentinelIndex: rf.log.end(),
		done: make(chan struct{}), byID: map[ServerID]*progress{},
	}
	for _, s := range rf.configuration.Servers {
		if s.ID == rf.config.ID {
			continue
		}
		p := &progress{id: s.ID, peer: rf.peers[s.ID], wake: wake.NewSignal(), nextIndex: rf.log.end(), ackAt: now}
		t.followers = append(t.followers, p)
		t.byID[s.ID] = p
	}
	return t
}

// syncLoop brings one follower's log up to date for the length of one tenure. It
// sends while there is something to send, one message for each time it takes the
// lock, and then sleeps until it is woken: by a batch appended, by a reply that
// leaves more to send, by a commit point to carry, or by its own alarm, set for
// the end of a backoff or the moment a queued batch may go.
func (rf *Raft) syncLoop(t *tenure, p *progress) {
	alarm := time.NewTimer(time.Hour)
	defer alarm.Stop()
	for {
		call, pause := rf.nextCall(t, p)
		if call != nil {
			rf.sendAppend(t, call)
			continue
		}
		var due <-chan time.Time
		if pause > 0 {
			alarm.Reset(pause)
			due = alarm.C
		}
		select {
		case <-p.wake:
		case <-due:
		case <-t.done:
			return
		case <-rf.guard.stopping:
			return
		}
	}
}

func (rf *Raft) nextCall(t *tenure, p *progress) (*appendCall, time.Duration) {
	rf.lock()
	defer rf.unlock()
	if rf.tenure != t {
		return nil, 0 // t.done is closed
	}
	return rf.nextCallLocked(t, p, time.Now())
}

func (rf *Raft) sendAppend(t *tenure, call *appendCall) {
	p := call.p
	p.peer.AppendEntries(call.args, call.built.Add(rf.config.ElectionTimeoutMax), func(reply *AppendEntriesReply, err error) {
		rf.guard.run("append reply", func() {
			rf.sendAll(t, rf.credit(t, call, reply, err))
		})
	})
}

const (
	probeBytes    = 64 << 10               // entries of a message to a follower that has not agreed yet
	fullMessage   = 64 << 10               // a message this big goes out beside outstanding ones
	minSecondWait = 200 * time.Microsecond // a smaller one waits at least this long for them
	minBackoff    = 10 * time.Millisecond
)

// nextCallLocked builds the next message to a follower, or says how long to
// sleep at most (0: until woken).
//
// While probing, one message is out at a time; one that is not answered for two
// heartbeats is given up for another. While replicating, a message goes at once if
// none is outstanding. A second one goes only if it is full, or if the oldest outstanding is older than two flushes usually take: small batches gather
// behind a fast follower, and a slow link is kept full. With nothing to send, a
// commit point the follower has not been told goes alone. rf.mu must be held.
func (rf *Raft) nextCallLocked(t *tenure, p *progress, now time.Time) (*appendCall, time.Duration) {
	if now.Before(p.retryAt) {
		return nil, p.retryAt.Sub(now)
	}
	if p.state == probe {
		if len(p.inflight) > 0 {
			if wait := 2*rf.config.Heartbeat - now.Sub(p.inflight[0].built); wait > 0 {
				return nil, wait
			}
			// Its answer still counts when it comes: the epoch stays.
			p.nextIndex = max(rf.resumeLocked(p, p.inflight[0]), p.matchIndex+1)
			p.inflight, p.inflightBytes = nil, 0
		}
		return rf.buildAppendLocked(t, p, now, min(probeBytes, rf.config.MaxAppendBytes)), 0
	}
	if p.nextIndex >= rf.log.end() {
		if !p.commitInflight && min(rf.commitIndex, p.matchIndex) > p.commitSent {
			return rf.buildCarryLocked(t, p, now), 0
		}
		return nil, 0
	}
	if len(p.inflight) > 0 {
		if len(p.inflight) >= rf.config.MaxInflight || p.inflightBytes >= rf.config.MaxInflightBytes {
			return nil, 0
		}
		if rf.log.bytesBetween(p.nextIndex-1, rf.log.lastIndex()) < fullMessage {
			age := now.Sub(p.inflight[0].built)
			if wait := max(minSecondWait, 2*rf.flushTime) - age; wait > 0 {
				return nil, wait
			}
		}
	}
	return rf.buildAppendLocked(t, p, now, rf.config.MaxAppendBytes), 0
}

// buildAppendLocked makes the message at nextIndex and moves nextIndex past its
// entries. Round, term and progress are fixed here. rf.mu must be held.
func (rf *Raft) buildAppendLocked(t *tenure, p *progress, now time.Time, limit uint64) *appendCall {
	prev := p.nextIndex - 1
	batch := rf.log.batch(prev, limit)
	upTo := prev + uint64(batch.Count)
	args := &AppendEntriesArgs{
		Header: rf.headerLocked(p.id), PrevLogIndex: prev, PrevLogTerm: rf.log.term(prev),
		LeaderCommit: min(rf.commitIndex, upTo), Round: t.round, Batch: batch,
	}
	p.nextIndex = upTo + 1
	p.commitSent = max(p.commitSent, args.LeaderCommit)
	p.inflightBytes += uint64(len(batch.Body))
	call := &appendCall{p: p, args: args, epoch: p.epoch, built: now}
	p.inflight = append(p.inflight, call)
	return call
}

// buildCarryLocked makes an empty message at matchIndex that carries the commit
// point. It is outside the window: one at a time. rf.mu must be held.
func (rf *Raft) buildCarryLocked(t *tenure, p *progress, now time.Time) *appendCall {
	args := &AppendEntriesArgs{
		Header: rf.headerLocked(p.id), PrevLogIndex: p.matchIndex, PrevLogTerm: rf.log.term(p.matchIndex),
		LeaderCommit: min(rf.commitIndex, p.matchIndex), Round: t.round,
	}
	p.commitSent = args.LeaderCommit
	p.commitInflight = true
	return &appendCall{p: p, args: args, epoch: p.epoch, built: now, carry: true}
}

// forget takes a call out of the window; false if it was not in it any more.
func (p *progress) forget(call *appendCall) bool {
	if call.carry {
		p.commitInflight = false
		return true
	}
	if i := slices.Index(p.inflight, call); i >= 0 {
		p.inflight = slices.Delete(p.inflight, i, i+1)
		p.inflightBytes -= uint64(len(call.args.Batch.Body))
		return true
	}
	return false
}

// reprobe gives the window up and goes on with one message at nextIndex, which
// stays above matchIndex (MATCH).
func (p *progress) reprobe(nextIndex uint64) {
	p.state = probe
	p.epoch++
	p.inflight, p.inflightBytes = nil, 0
	p.nextIndex = max(nextIndex, p.matchIndex+1)
	p.commitSent = min(p.commitSent, p.matchIndex)
}

// resumeLocked says where to go on after a call that was not answered. A window
// falls back to what is known to match. A probe learned nothing of where the logs
// meet, and most likely they do at our commit point: from there the next one
// carries what a follower can lack, and not the whole log. rf.mu must be held.
func (rf *Raft) resumeLocked(p *progress, lost *appendCall) uint64 {
	if p.state == replicate {
		return p.matchIndex + 1
	}
	return min(lost.args.PrevLogIndex, rf.commitIndex) + 1
}

// backOff puts the next message off, longer with each failure in a row.
func (p *progress) backOff(now time.Time, limit time.Duration) {
	p.retryAt = now.Add(min(limit, minBackoff<<min(p.failures, 8)))
	p.failures++
}

// credit takes the answer to a message of a tenure, and returns the heartbeats of
// the round that it may have opened. An answer is credited only to the progress
// object that sent the message, in the tenure it was sent in.
func (rf *Raft) credit(t *tenure, call *appendCall, reply *AppendEntriesReply, err error) []*appendCall {
	rf.lock()
	defer rf.unlock()
	p := call.p
	rf.heardLocked(p.id, err)
	if rf.tenure != t {
		return nil
	}
	if reply != nil && rf.higherTermLocked(p.id, reply.Term) {
		return nil
	}
	if reply != nil && reply.Term != t.term {
		reply = nil // not for me, or older than this tenure: worth as much as none
	}
	if call.args.Heartbeat {
		rf.heartbeatRepliedLocked(call, reply)
	} else {
		rf.appendRepliedLocked(t, call, reply)
	}
	return rf.verifyLocked()
}

// appendRepliedLocked credits the answer to a data message; nil if there is none.
// A refusal counts only for the window it was sent in, and only a conflict says
// where to go on. Of a probe that was given up a conflict counts while no other was
// agreed to, its loss never. rf.mu must be held.
func (rf *Raft) appendRepliedLocked(t *tenure, call *appendCall, reply *AppendEntriesReply) {
	p := call.p
	held := p.forget(call)
	current := call.epoch == p.epoch
	switch {
	case reply != nil && reply.Refusal == Agreed:
		rf.ackLocked(call)
		rf.matchedLocked(t, p, call.args.PrevLogIndex+uint64(call.args.Batch.Count))
	case reply != nil && reply.Refusal == RefusedConflict:
		rf.ackLocked(call)
		if current && (held || p.state == probe) {
			rf.conflictedLocked(p, call.args.PrevLogIndex, reply)
		}
	default: // lost, late, busy: send it again, but not at once
		if reply != nil && reply.Refusal.follows() {
			rf.ackLocked(call)
		}
		if current && held {
			p.reprobe(rf.resumeLocked(p, call))
			p.backOff(time.Now(), rf.config.Heartbeat)
		}
	}
	p.wake.Notify()
}

// conflictedLocked goes on where a conflict says. One at or below matchIndex says
// nothing of where the logs meet: the message came before its predecessor and may
// match by now, or the follower lost what it had acknowledged. Either way its
// entries are to be sent again, but not in a hot loop. rf.mu must be held.
func (rf *Raft) conflictedLocked(p *progress, prev uint64, reply *AppendEntriesReply) {
	if prev <= p.matchIndex {
		p.reprobe(p.matchIndex + 1)
		p.backOff(time.Now(), rf.config.Heartbeat)
		return
	}
	p.reprobe(rf.afterConflictLocked(prev, reply))
	p.retryAt = time.Time{}
}

// matchedLocked records that a follower holds everything up to index durably.
// rf.mu must be held.
func (rf *Raft) matchedLocked(t *tenure, p *progress, index uint64) {
	p.failures, p.retryAt = 0, time.Time{}
	p.state = replicate
	p.matchIndex = max(p.matchIndex, index)
	p.nextIndex = max(p.nextIndex, p.matchIndex+1)
	rf.advanceCommitLocked(t)
}

// afterConflictLocked says where to probe next after a refusal at prev. The
// follower's entries from ConflictIndex to prev are all of ConflictTerm. If our
// log has that term below prev, the two may agree up to its last entry here; else
// they differ from ConflictIndex on. Either way one round trip passes over a
// whole term. The follower's committed entries are ours too. rf.mu must be held.
func (rf *Raft) afterConflictLocked(prev uint64, reply *AppendEntriesReply) uint64 {
	next := min(reply.ConflictIndex, prev)
	if reply.ConflictTerm > 0 && prev > 0 {
		last := rf.log.lastUpToTerm(prev-1, reply.ConflictTerm)
		if last >= reply.ConflictIndex && rf.log.term(last) == reply.ConflictTerm {
			next = last + 1
		}
	}
	return max(1, next, min(reply.CommitIndex+1, prev))
}

// follows tells whether an answer of our term comes from a server that took us for
// its leader: it acknowledges the round, whatever became of the entries.
func (r Refusal) follows() bool { return r == Agreed || r == RefusedConflict || r == RefusedBusy }

// advanceCommitLocked commits what a quorum holds durably, if it is of this term
// (§5.4.2: the sentinel is the first such entry). rf.mu must be held.
func (rf *Raft) advanceCommitLocked(t *tenure) {
	match := func(id ServerID) uint64 {
		if id == rf.config.ID {
			return t.selfMatch
		}
		if p := t.byID[id]; p != nil {
			return p.matchIndex
		}
		return 0
	}
	agreed := quorum.Agreed(rf.configuration.Voters, rf.configuration.OldVoters, match)
	if agreed < t.sentinelIndex || agreed <= rf.commitIndex {
		return
	}
	rf.setCommitLocked(agreed)
	for _, p := range t.followers {
		if p.state == replicate && p.nextIndex >= rf.log.end() {
			p.wake.Notify() // to carry the commit point
		}
	}
}

// appendOwnLocked appends a leader's own batch and stages it, under one lock.
// rf.mu must be held.
func (rf *Raft) appendOwnLocked(b Batch) {
	first := rf.log.end()
	if err := rf.log.append(b); err != nil {
		rf.breachLocked("TERMS", "%v", err)
		return
	}
	rf.log.remember(first, b)
	rf.stageLocked(Stage{FirstIndex: first, Batch: b})
	for _, p := range rf.tenure.followers {
		p.wake.Notify()
	}
}
