package raft

import (
	"slices"
	"time"
)

// send puts the messages of calls on their way.
func (x *explorer) send(out *step, calls ...*appendCall) {
	for _, call := range calls {
		out.sent = append(out.sent, x.requestOf(call))
	}
}

// settle does at once what changes nothing for anybody else and so commutes with
// whatever else may happen: what is committed is applied; a leader captures what
// its next flush will count; a campaign whose role or term has passed ends, as
// one does that can no longer win. It then takes time out of the state: everything
// was long ago, so what is due after a wait may happen at any moment, and nobody
// has heard a leader lately. It returns the breach that stopped the server.
func (x *explorer) settle(s *explored) error {
	rf := s.rf
	for rf.applyNext() {
	}
	if r := s.campaign; r != nil && (rf.role != r.role || rf.currentTerm != r.term || r.lost()) {
		s.campaign = nil
	}
	s.captures = slices.DeleteFunc(s.captures, func(c capture) bool { return c.tenure != rf.tenure })
	if rf.tenure != nil && rf.staged > s.captured() {
		if c, ok := rf.takeIn(); ok {
			s.captures = append(s.captures, c)
		}
	}
	rf.leader, rf.termLeader = "", "" // see encode
	rf.leaderContact = time.Time{}
	if t := rf.tenure; t != nil {
		for _, p := range t.followers {
			p.ackAt, p.retryAt, p.failures, p.heartbeatsOut = longAgo, longAgo, 0, 0
			for _, call := range p.inflight {
				call.built = longAgo
			}
		}
	}
	if s.diskless {
		if err := s.flushUpTo(s.store.end); err != nil {
			return err
		}
	}
	return rf.guard.err()
}

func (r *campaignRound) lost() bool {
	no := 0
	for _, a := range r.answers {
		if a == refused {
			no++
		}
	}
	return no > 1
}

// captured is the end of the newest capture of a leader.
func (s *explored) captured() Position {
	if n := len(s.captures); n > 0 {
		return s.captures[n-1].position
	}
	return Position(s.rf.durable.Load())
}

// moveWindows notes where the calls of each window are now, and counts epochs
// from the one that holds.
func (s *explored) moveWindows(before [3][]*appendCall, out *step) {
	for _, p := range s.rf.tenure.followers {
		moves := &out.windows[exploredSlot(p.id)]
		moves.newEpoch = p.epoch != 0
		given := current
		if moves.newEpoch {
			given = stale
		}
		for _, call := range before[exploredSlot(p.id)] {
			place := given
			if k := slices.Index(p.inflight, call); k >= 0 {
				place = held + uint8(k)
			}
			moves.held = append(moves.held, place)
		}
		p.epoch = 0
		for _, call := range p.inflight {
			call.epoch = 0
		}
	}
}
