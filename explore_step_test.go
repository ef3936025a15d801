package raft

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"lockstep.example/raft/internal/quorum"
)

// event is what can happen to one server. It is a key: an event in a state always
// has the same outcome, for all times are long ago (see settle) and nothing is random.
type event struct {
	kind   eventKind
	slot   int   // the other server, where there is one
	body   *body // of the message
	window uint8 // of the message: see message
	count  uint8 // stages to flush, or to keep at a crash
}

type eventKind uint8

const (
	timerFires eventKind = iota
	requestArrives
	answerArrives
	callFails
	sends      // the sync loop of slot takes its turn
	sendsAgain // it does so when a probe has not been answered for two heartbeats
	countsItself
	proposes
	stepsDown
	reads
	flushes
	crashes
	forgetsDisk // no crash can come any more
)

// step is the outcome of an event.
type step struct {
	after   *explored
	sent    []message // requests, and the answer if the event is a request
	breach  *breach
	elected bool
	// What became of the calls that are under way.
	tenureOver, roundOver bool
	windows               [3]windowMoves
	released              []uint64 // indexes at which reads were released
}

// windowMoves tells where calls in the window to one follower have moved.
type windowMoves struct {
	held     []uint8 // new window code by old place
	newEpoch bool
}

// What the call of an AppendEntries is to its leader; 0 for other messages.
const (
	stale   uint8 = iota // of a window that was given up
	current              // of this window, but given up itself
	held                 // held+k: at place k of the window
	spent   = 255        // it has gone, and can only come as a duplicate
)

// mistakes are bugs planted for the search to find: each is a rule of package
// raft that the explorer breaks on its behalf.
type mistakes struct {
	commitsOldTerm bool // a leader counts replicas of entries of earlier terms (§5.4.2)
	votesTooSoon   bool // a vote is told before it is durable
	acksTooSoon    bool // entries are acknowledged before they are durable
	cutsAtPrev     bool // AppendEntries removes everything after prev, also what agrees
}

// take returns the outcome of an event, from memory if it was met before.
func (x *explorer) take(s *explored, e event) *step {
	if known := s.steps[e]; known != nil {
		return known
	}
	out := x.run(s, e)
	if s.steps == nil {
		s.steps = map[event]*step{}
	}
	s.steps[e] = out
	x.localSteps++
	x.note(s, e, out)
	return out
}

// run makes the event happen to a copy of the server, and notes what that means
// for the calls under way.
func (x *explorer) run(s *explored, e event) *step {
	c, out := s.copied(), &step{}
	var inflight [3][]*appendCall
	var open []*readRound
	if t := c.rf.tenure; t != nil {
		open = slices.Clone(t.open)
		for _, p := range t.followers {
			inflight[exploredSlot(p.id)] = slices.Clone(p.inflight)
		}
	}
	tenure, round := c.rf.tenure, c.campaign
	c.rf.held.unlocks = fullScanEvery - 1 // have the next unlock look at every entry
	err := x.happen(&c, e, out)
	if e.kind == crashes && err == nil {
		out.after = x.intern(c)
		return out
	}
	if err == nil {
		err = x.settle(c)
	}
	out.tenureOver = tenure != nil && c.rf.tenure != tenure
	out.elected = c.rf.tenure != nil && c.rf.tenure != tenure
	out.roundOver = round != nil && c.campaign != round
	if !out.tenureOver && tenure != nil {
		c.moveWindows(inflight, out)
	}
	for _, r := range open {
		if closed(r.done) && r.err == nil {
			out.released = append(out.released, r.index)
		}
	}
	if err != nil {
		out.breach = breachOf(err)
	}
	out.after = x.intern(c)
	if out.breach == nil {
		out.breach = x.checkStep(s, out.after)
	}
	return out
}

func breachOf(err error) *breach {
	if broken := new(InvariantError); errors.As(err, &broken) {
		return &breach{property: broken.Name, detail: broken.Detail}
	}
	return &breach{property: "ERROR", detail: err.Error()}
}

// happen calls the code of package raft. It is what daemons and transports do
// around it, and takes the place of nothing else.
func (x *explorer) happen(c **explored, e event, out *step) error {
	s, rf := *c, (*c).rf
	switch e.kind {
	case timerFires:
		x.fireTimer(s, out)
	case requestArrives:
		return x.receive(s, e, out)
	case answerArrives:
		if e.body.kind == voteMessage || e.body.kind == preVoteMessage {
			x.countAnswer(s, e, out)
			return nil
		}
		x.creditCall(s, e, e.body.appendReply(), nil, out)
	case callFails:
		x.creditCall(s, e, nil, errLost, out)
	case sends, sendsAgain:
		if call, _ := rf.nextCall(rf.tenure, rf.tenure.byID[exploredIDs[e.slot]]); call != nil {
			x.send(out, call)
		}
	case countsItself:
		for _, capture := range s.captures[:e.count] {
			if err := s.flushUpTo(capture.position); err != nil {
				return err
			}
			rf.flushedUpTo(capture, capture.position, 0)
		}
		s.captures = slices.Delete(s.captures, 0, int(e.count))
	case proposes:
		_, err := rf.Start(x.limits.command())
		return err
	case stepsDown:
		for _, p := range rf.tenure.followers {
			p.ackAt = longAgo
		}
		rf.openRoundOrStepDown(rf.tenure)
	case reads:
		if _, open := rf.reads.join(); open {
			_, calls := rf.nextRound()
			x.send(out, calls...)
		}
	case flushes:
		return s.flushUpTo(s.store.durable.position + Position(e.count))
	case forgetsDisk:
		s.diskless = true
	case crashes:
		again, err := x.awaken(s.slot, s.store.Crash(func(int) int { return int(e.count) }))
		if err != nil {
			return err
		}
		*c = again
	}
	if x.planted.commitsOldTerm {
		s.commitByCounting()
	}
	return nil
}

// fireTimer is what the election daemon does when the deadline passes. The guard
// is shut meanwhile, so that the campaign gets no goroutine: what campaign does
// in one is done here and in countAnswer.
func (x *explorer) fireTimer(s *explored, out *step) {
	rf := s.rf
	rf.lock()
	version, _ := rf.timer.read()
	if _, ok := rf.timer.resetIf(version); ok {
		rf.guard.stopped = true
		rf.startCampaignLocked()
		rf.guard.stopped = false
	}
	rf.unlock()
	x.ask(s, PreCandidate, rf.currentTerm, rf.currentTerm+1, 0, out)
}

// ask begins a round, as collect does: its requests go out once everything up to
// position is durable.
func (x *explorer) ask(s *explored, role Role, term, askTerm uint64, position Position, out *step) {
	requests, _, _ := s.rf.requests(role, term, askTerm)
	s.campaign = &campaignRound{role: role, term: term}
	s.campaign.answers[s.slot] = granted
	for _, args := range requests {
		out.sent = append(out.sent, message{
			from: uint8(s.slot), to: uint8(exploredSlot(args.To)), live: true,
			need: s.pending(position), body: x.bodyOf(voteRequest(args)),
		})
	}
}

// receive lets a handler decide, and notes until when its answer must wait.
func (x *explorer) receive(s *explored, e event, out *step) error {
	rf := s.rf
	answer := message{from: uint8(e.slot), to: uint8(s.slot), answered: true, live: true, window: e.window}
	switch e.body.kind {
	case preVoteMessage, voteMessage:
		reply, position := rf.takeVote(e.body.voteArgs(e.slot, s.slot))
		if !reply.Granted && reply.Term <= e.body.senderTerm() {
			// As good as an answer that never comes. So is the refusal of a voter
			// that heard a leader lately, which never carries a higher term: whoever
			// asks, no voter has (see settle), and one that has is one that is silent.
			return nil
		}
		answer.body, answer.need = x.bodyOf(e.body.votedBy(reply)), s.pending(position)
		if x.planted.votesTooSoon {
			answer.need = 0
		}
	default:
		args := e.body.appendArgs(e.slot, s.slot)
		r, err := rf.checkAppend(args)
		if err != nil {
			return err
		}
		if rf.misdirected(&args.Header) {
			return fmt.Errorf("%s takes %v for misdirected", rf.config.ID, e.body)
		}
		if x.planted.cutsAtPrev && args.Batch.Count > 0 && args.Term == rf.currentTerm && args.PrevLogIndex >= rf.commitIndex && args.PrevLogIndex < rf.log.lastIndex() {
			rf.log.truncateFrom(args.PrevLogIndex + 1)
		}
		reply, position := rf.takeAppend(&r, inOrder{})
		if args.Heartbeat && reply.Refusal == Agreed || x.planted.acksTooSoon {
			position = 0
		}
		answer.body, answer.need = x.bodyOf(e.body.appendedBy(reply)), s.pending(position)
	}
	out.sent = append(out.sent, answer)
	return nil
}

// inOrder is a turn that has come. A request of an unordered transport that waits
// for its predecessor does what one does that arrives later.
type inOrder struct{}

func (inOrder) Wait() bool { return true }
func (inOrder) End()       {}

// countAnswer is collect taking one ballot, and what campaign does if that was
// the last it needed.
func (x *explorer) countAnswer(s *explored, e event, out *step) {
	rf, round := s.rf, s.campaign
	reply := e.body.voteReply()
	value, answered := rf.countBallot(round.role, round.term, ballot{exploredIDs[e.slot], reply})
	if answered && round.answers[e.slot] == unanswered {
		round.answers[e.slot] = refused + answer(value)
	}
	won := quorum.Agreed(rf.configuration.Voters, rf.configuration.OldVoters, func(id ServerID) uint64 {
		if round.answers[exploredSlot(id)] == granted {
			return 1
		}
		return 0
	})
	if won == 0 {
		return
	}
	s.campaign = nil
	ctx := context.Background()
	if round.role == PreCandidate {
		if position, ok := rf.raiseTerm(ctx, round.term); ok {
			x.ask(s, Candidate, round.term+1, round.term+1, position, out)
		}
		return
	}
	rf.lock()
	defer rf.unlock()
	if rf.role == Candidate && rf.currentTerm == round.term {
		rf.guard.stopped = true // so that no daemon is started
		rf.becomeLeaderLocked()
		rf.guard.stopped = false
	}
}

// creditCall gives a leader the answer to one of its calls, or its failure.
func (x *explorer) creditCall(s *explored, e event, reply *AppendEntriesReply, err error, out *step) {
	rf := s.rf
	p := rf.tenure.byID[exploredIDs[e.slot]]
	call := &appendCall{p: p, args: e.body.appendArgs(s.slot, e.slot), epoch: p.epoch, built: longAgo, carry: e.body.kind == carryMessage}
	switch {
	case e.window >= held:
		call = p.inflight[e.window-held]
	case e.window == stale:
		call.epoch--
	}
	x.send(out, rf.credit(rf.tenure, call, reply, err)...)
}

// commitByCounting is the planted mistake of §5.4.2.
func (s *explored) commitByCounting() {
	rf := s.rf
	rf.lock()
	defer rf.unlock()
	if t := rf.tenure; t != nil {
		rf.setCommitLocked(quorum.Agreed(rf.configuration.Voters, nil, func(id ServerID) uint64 {
			if p := t.byID[id]; p != nil {
				return p.matchIndex
			}
			return t.selfMatch
		}))
	}
}

// checkStep looks at what one server did to itself.
func (x *explorer) checkStep(was, is *explored) *breach {
	same := was.tenure != nil && is.tenure != nil && was.term == is.term
	switch {
	case is.term < was.term:
		return &breach{"MONOTONE", fmt.Sprintf("the term of %s fell from %d to %d", exploredIDs[is.slot], was.term, is.term)}
	case is.commit < was.commit:
		return &breach{"MONOTONE", fmt.Sprintf("commitIndex of %s fell from %d to %d", exploredIDs[is.slot], was.commit, is.commit)}
	case was.term == is.term && was.rf.votedFor.id != "" && was.rf.votedFor != is.rf.votedFor:
		return &breach{"ONE_VOTE", fmt.Sprintf("%s moved its vote in term %d", exploredIDs[is.slot], is.term)}
	case same && !bytes.HasPrefix(is.log, was.log):
		return &breach{"LEADER_APPEND_ONLY", fmt.Sprintf("leader %s changed its log from %s to %s", exploredIDs[is.slot], slots(was.log), slots(is.log))}
	}
	return nil
}
