package raft

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"lockstep.example/raft/internal/quorum"
	"lockstep.example/raft/internal/wake"
)

// electionTimer is a version and an optional deadline. Every reset adds one to
// the version and draws a fresh random deadline; stop adds one and removes it.
// Its mutex is a leaf: the order is always Raft.mu, then the timer.
type electionTimer struct {
	min, max time.Duration
	random   func() uint64
	moved    wake.Signal // wakes the daemon

	mu       sync.Mutex
	version  uint64
	deadline time.Time // zero: none
	eager    bool      // a campaign may live on this version: every move of it must wake the daemon
}

func (t *electionTimer) init(minimum, maximum time.Duration, random func() uint64) {
	t.min, t.max, t.random, t.moved = minimum, maximum, random, wake.NewSignal()
}

// reset starts a new period. The daemon is woken only if it has something to do
// now: a campaign to cancel, or an earlier deadline to sleep on. Else it finds
// the moved version when the old deadline wakes it.
func (t *electionTimer) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	before, eager := t.deadline, t.eager
	t.drawLocked()
	t.eager = false
	if eager || before.IsZero() || t.deadline.Before(before) {
		t.moved.Notify()
	}
}

func (t *electionTimer) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.version++
	t.deadline, t.eager = time.Time{}, false
	t.moved.Notify()
}

// resetIf resets the timer only if version is still current, and returns the
// version it made. That version belongs to whoever called.
func (t *electionTimer) resetIf(version uint64) (made uint64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.version != version {
		return 0, false
	}
	t.drawLocked()
	t.eager = true
	return t.version, true
}

func (t *electionTimer) read() (version uint64, deadline time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.version, t.deadline
}

// drawLocked makes the next version with a fresh deadline. t.mu must be held.
func (t *electionTimer) drawLocked() {
	t.version++
	t.deadline = time.Now().Add(t.min + time.Duration(t.random()%uint64(t.max-t.min)))
}

// electionDaemon sleeps until the deadline it knows passes or the timer wakes it:
// a reset does so only if a campaign may live or the deadline came nearer, else
// the moved version is found when the old deadline passes. If the version it slept
// on is current and its deadline has not passed, it sleeps on. Otherwise it
// cancels the campaign in flight. If the deadline passed and the version is still the one it slept on, it
// resets the timer and starts a campaign, in one step under Raft.mu: a heartbeat
// that arrives between the firing and the campaign moves the version and wins.
// Then it sleeps on the version the reset made, which belongs to the campaign and
// does not cancel it. A firing that may not campaign does the same reset and
// starts nothing.
//
// Cancelling is a courtesy: a campaign whose term has passed gives up by itself,
// after checking term and role under the lock.
func (rf *Raft) electionDaemon() {
	alarm := time.NewTimer(time.Hour)
	defer alarm.Stop()
	live := campaignHandle{cancel: func() {}}
	defer func() { live.cancel() }()
	version, deadline := rf.timer.read()
	for {
		if !rf.sleepUntil(alarm, deadline) {
			return
		}
		now, latest := rf.timer.read()
		fired := now == version && !deadline.IsZero() && !time.Now().Before(deadline)
		if now == version && !fired {
			continue // woken for a version already seen
		}
		live.end()
		if !fired {
			version, deadline = now, latest
			continue
		}
		if made, handle, ok := rf.fire(version); ok {
			version, live = made, handle
		}
		current, latest := rf.timer.read()
		if current != version {
			live.end()
			version = current
		}
		deadline = latest
	}
}

// fire is the one atomic step from a firing to a campaign: false if the version
// moved meanwhile.
func (rf *Raft) fire(version uint64) (made uint64, live campaignHandle, ok bool) {
	rf.lock()
	defer rf.unlock()
	if made, ok = rf.timer.resetIf(version); ok {
		live = rf.startCampaignLocked()
	}
	return made, live, ok
}

// sleepUntil waits for the deadline, if there is one, or for the timer to move;
// false if the server is stopping.
func (rf *Raft) sleepUntil(alarm *time.Timer, deadline time.Time) bool {
	var passed <-chan time.Time
	if !deadline.IsZero() {
		alarm.Reset(time.Until(deadline))
		passed = alarm.C
	}
	select {
	case <-passed:
	case <-rf.timer.moved:
	case <-rf.guard.stopping:
		return false
	}
	return true
}

// campaignHandle is the daemon's hold on the one campaign in flight.
type campaignHandle struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended; nil if none was started
}

// end cancels the campaign and waits for it, so that at most one is live. It
// ends promptly: everything it waits for also waits for its context.
func (h *campaignHandle) end() {
	h.cancel()
	if h.done != nil {
		<-h.done
	}
}

// campaignReport is what the last campaign met, for Why.
type campaignReport struct {
	term     uint64
	began    time.Time
	refusals map[ServerID]Refusal
}

// startCampaignLocked starts one campaign if this server may campaign: as a voter
// that was admitted, whose flushes come through, and that does not lead. rf.mu
// must be held.
func (rf *Raft) startCampaignLocked() campaignHandle {
	none := campaignHandle{cancel: func() {}}
	switch {
	case rf.role == Leader, rf.incarnation == 0, !rf.configuration.IsVoter(rf.config.ID):
		return none
	case rf.flushOverdue():
		rf.logLocked(slog.LevelWarn, "no campaign while a flush is overdue")
		return none
	}
	rf.setLeaderLocked("")
	rf.setRoleLocked(PreCandidate)
	rf.lastCampaign = campaignReport{term: rf.currentTerm + 1, began: time.Now(), refusals: map[ServerID]Refusal{}}
	ctx, cancel := context.WithCancel(context.Background())
	h := campaignHandle{cancel: cancel, done: make(chan struct{})}
	term := rf.currentTerm
	started := rf.guard.start("campaign", func() {
		defer close(h.done)
		rf.campaign(ctx, term)
	})
	if !started {
		close(h.done)
	}
	return h
}

// campaign runs one campaign from start to end, begun in the given term.
//
// Pre-vote asks at term+1: asking moves no term and persists nothing, at either
// side; only a refusal that carries a higher term is adopted, and ends the
// campaign. With a quorum, and still in the same term and role, the new term
// and the vote for self are staged as one and flushed; only then are votes asked
// for. With a quorum of them, and still in that term and role, this server leads.
// Whatever happens in between, the next firing of the timer starts over.
func (rf *Raft) campaign(ctx context.Context, term uint64) {
	if !rf.collect(ctx, PreCandidate, term, term+1) {
		return
	}

	position, ok := rf.raiseTerm(ctx, term)
	if !ok || rf.awaitDurable(ctx.Done(), position) != nil {
		return
	}
	term++
	if !rf.collect(ctx, Candidate, term, term) {
		return
	}

	rf.lock()
	defer rf.unlock()
	if ctx.Err() == nil && rf.role == Candidate && rf.currentTerm == term {
		rf.becomeLeaderLocked()
	}
}

// raiseTerm stages the next term with the vote for self, if the pre-vote that was
// won still counts, and returns where both will be durable.
func (rf *Raft) raiseTerm(ctx context.Context, term uint64) (Position, bool) {
	rf.lock()
	defer rf.unlock()
	if ctx.Err() != nil || rf.role != PreCandidate || rf.currentTerm != term {
		return 0, false
	}
	rf.setTermLocked(term+1, candidate{rf.config.ID, rf.incarnation})
	rf.setRoleLocked(Candidate)
	return rf.staged, true
}

// ballot is one voter's answer.
type ballot struct {
	voter ServerID
	reply *RequestVoteReply // nil if there was none
}

// collect asks every other voter and reports whether a quorum granted. Who has
// not answered after a heartbeat interval is asked again (paper §5.5: a vote is
// idempotent), so a lost message costs that much and not an election timeout.
// Votes are counted once a voter, by the server of this configuration that the
// call was made to, and only in the role and term of this round. It gives up when
// ctx ends, when the role or term moved, or when a quorum can no longer be had.
func (rf *Raft) collect(ctx context.Context, role Role, term, askTerm uint64) bool {
	requests, voters, old := rf.requests(role, term, askTerm)
	if voters == nil {
		return false
	}
	// An answer is 1 if granted, 0 if refused; who has not answered is missing.
	answers := map[ServerID]uint64{rf.config.ID: 1}
	granted := func(id ServerID) uint64 { return answers[id] }
	possible := func(id ServerID) uint64 {
		if answer, ok := answers[id]; ok {
			return answer
		}
		return 1
	}
	// Room for every answer: a callback never waits, whoever has gone.
	tries := int(rf.config.ElectionTimeoutMax/rf.config.Heartbeat) + 1
	ballots := make(chan ballot, tries*len(requests))
	again := time.NewTicker(rf.config.Heartbeat)
	defer again.Stop()
	rf.ask(requests, answers, ballots)
	for quorum.Agreed(voters, old, granted) == 0 {
		if quorum.Agreed(voters, old, possible) == 0 {
			return false
		}
		select {
		case b := <-ballots:
			answer, answered := rf.countBallot(role, term, b)
			if _, before := answers[b.voter]; answered && !before {
				answers[b.voter] = answer
			}
		case <-again.C:
			if tries--; tries > 0 {
				rf.ask(requests, answers, ballots)
			}
		case <-ctx.Done():
			return false
		case <-rf.guard.stopping:
			return false
		}
	}
	return true
}

// ask sends a request to each voter that has not answered.
func (rf *Raft) ask(requests []*RequestVoteArgs, answers map[ServerID]uint64, ballots chan<- ballot) {
	deadline := time.Now().Add(rf.config.ElectionTimeoutMax)
	for _, args := range requests {
		if _, answered := answers[args.To]; !answered {
			rf.peers[args.To].RequestVote(args, deadline, func(reply *RequestVoteReply, err error) {
				rf.guard.run("vote reply", func() { rf.noteBallot(args, reply, err) })
				ballots <- ballot{args.To, reply}
			})
		}
	}
}

// requests builds the vote requests of one round, with the voter sets that decide
// it; nil if the role or the term moved.
func (rf *Raft) requests(role Role, term, askTerm uint64) (requests []*RequestVoteArgs, voters, old []ServerID) {
	rf.lock()
	defer rf.unlock()
	if rf.role != role || rf.currentTerm != term {
		return nil, nil, nil
	}
	for _, s := range rf.configuration.Servers {
		if s.ID != rf.config.ID && rf.configuration.IsVoter(s.ID) {
			args := &RequestVoteArgs{
				Header: rf.headerLocked(s.ID), PreVote: role == PreCandidate,
				LastLogIndex: rf.log.lastIndex(), LastLogTerm: rf.log.lastTerm(),
			}
			args.Term = askTerm
			requests = append(requests, args)
		}
	}
	return requests, rf.configuration.Voters, rf.configuration.OldVoters
}

// noteBallot keeps an answer for Why, also one that comes when its round is over.
func (rf *Raft) noteBallot(args *RequestVoteArgs, reply *RequestVoteReply, err error) {
	rf.lock()
	defer rf.unlock()
	rf.heardLocked(args.To, err)
	if reply != nil && !reply.Granted && args.Term == rf.lastCampaign.term {
		rf.lastCampaign.refusals[args.To] = reply.Refusal
	}
}

// countBallot looks at one answer under the lock: it counts only in the role and
// term of its round; a higher term makes this server a follower of it. answered
// is false if the voter is to be asked again.
func (rf *Raft) countBallot(role Role, term uint64, b ballot) (answer uint64, answered bool) {
	rf.lock()
	defer rf.unlock()
	switch {
	case rf.role != role || rf.currentTerm != term:
		return 0, true
	case b.reply == nil:
		return 0, false
	case b.reply.Granted && (role == PreCandidate || b.reply.Term == term):
		return 1, true
	}
	rf.higherTermLocked(b.voter, b.reply.Term)
	return 0, true
}

// becomeLeaderLocked takes over the term, under one lock: stop the timer, fresh
// progress and authority, append the sentinel, wake every daemon. rf.mu must be
// held.
func (rf *Raft) becomeLeaderLocked() {
	if !rf.guardLeaderLocked(rf.config.ID) {
		return
	}
	rf.timer.stop()
	t := rf.newTenureLocked()
	rf.tenure = t
	rf.setRoleLocked(Leader)
	rf.setLeaderLocked(rf.config.ID)
	rf.leading.Store(true)
	rf.appendOwnLocked(NewBatch(AppendEntry(nil, EntrySentinel, rf.currentTerm, nil), 1))
	rf.logLocked(slog.LevelInfo, "leader", "sentinel", t.sentinelIndex)

	rf.guard.start("authority", func() { rf.authorityDaemon(t) })
	for _, p := range t.followers {
		rf.guard.start("sync log", func() { rf.syncLoop(t, p) })
	}
}
