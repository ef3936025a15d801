package raft

import "slices"

// world is three servers and what is on its way between them.
type world struct {
	servers [3]*explored
	bag     []message
	left    allowance
	past    past
	crashed uint8 // 1 + the slot of a server that has crashed and not moved yet
	broken  *breach
}

// allowance is what may still happen.
type allowance struct {
	proposals, crashes, duplicates, drops, reads, campaigns, stepDowns uint8
	resends                                                            uint8 // of a probe that is not answered in time
}

// covers tells whether whatever b allows a allows too.
func (a allowance) covers(b allowance) bool {
	return a.proposals >= b.proposals && a.crashes >= b.crashes && a.duplicates >= b.duplicates && a.drops >= b.drops &&
		a.reads >= b.reads && a.campaigns >= b.campaigns && a.stepDowns >= b.stepDowns && a.resends >= b.resends
}

// past is what the properties remember of what no server may remember any more.
type past struct {
	leaders   [6]uint8     // by term: 1 + the slot of its leader
	committed [8]committed // by index-1
	length    uint8        // how many are committed
	readFrom  uint8        // 1 + the length when the read began that is under way
}

// committed is an entry that some server held for committed.
type committed struct {
	slot byte  // of the entry
	term uint8 // in which it was committed first
}

// limits bound a search.
type limits struct {
	allowance
	terms     uint64 // past the term of the bootstrap
	large     bool   // commands so large that each fills a message of its own
	inflight  int    // MaxInflight
	carries   bool   // commit points also travel alone
	freeLoops bool   // a sync loop may take its turn late, and not at once
}

func (l limits) lastTerm() uint64 { return bootstrapTerm + l.terms }

func (l limits) command() []byte {
	if l.large {
		return make([]byte, probeBytes)
	}
	return []byte("c")
}

// do returns the world after an action; w stays as it is.
func (x *explorer) do(w *world, a action) (*world, *breach) {
	next := &world{servers: w.servers, left: w.left, past: w.past, bag: make([]message, 0, len(w.bag)+3)}
	next.bag = append(next.bag, w.bag...)
	spend(&next.left, a)
	awaited := true // somebody waits for the answer to the request that arrives
	switch a.kind {
	case deliver, duplicate, drop:
		m := next.bag[a.index]
		awaited = m.live
		if a.kind != drop {
			x.speak(next, m)
		}
		x.takeOut(next, a)
	case crash:
		x.lose(next, a)
		next.crashed = uint8(a.server) + 1
	}
	if campaigns(a) {
		x.move(next, a.server, event{kind: timerFires})
		spendOne(&next.left.campaigns)
	}
	was := next.servers[a.server]
	s := x.move(next, a.server, a.event)
	for _, m := range s.sent {
		if m.answered && !awaited {
			continue
		}
		if asks := next.servers[m.from]; m.answered && m.body.replyTerm > asks.term {
			m.body, m.window = x.higherTerm(asks, m.body.replyTerm), stale
		}
		next.bag = append(next.bag, m)
	}
	forgetPreVotes(next, was, a)
	if a.kind == crash && next.left.crashes == 0 {
		x.forgetDisks(next)
	}
	if !x.limits.freeLoops {
		x.runLoops(next, a.server)
	}
	if next.broken == nil {
		x.prune(next)
		x.askAround(next)
		noteRead(next, a, was, s)
		next.broken = x.checkWorld(next, a.server, s)
	}
	return next, next.broken
}

// move takes one server through an event.
func (x *explorer) move(w *world, server int, e event) *step {
	s := x.take(w.servers[server], e)
	if s.breach != nil && w.broken == nil && !x.ignored[s.breach.property] {
		w.broken = s.breach
	}
	w.servers[server] = s.after
	x.follow(w, server, s)
	return s
}

// campaigns tells whether an action is the answer to a pre-vote: the election
// timer fires just before (see askAround).
func campaigns(a action) bool {
	return a.kind == deliver && a.event.kind == answerArrives && a.event.body.kind == preVoteMessage
}

// forgetPreVotes takes back what a server asked for before it changed its log or
// term, or crashed.
func forgetPreVotes(w *world, was *explored, a action) {
	is := w.servers[a.server]
	if a.kind == crash || is.leads || is.term != was.term || is.lastIndex != was.lastIndex || is.lastTerm != was.lastTerm {
		w.bag = slices.DeleteFunc(w.bag, func(m message) bool {
			return m.answered && int(m.from) == a.server && m.body.kind == preVoteMessage
		})
	}
}

// noteRead remembers what was committed when a read began, until it ends.
func noteRead(w *world, a action, was *explored, s *step) {
	switch {
	case a.event.kind == reads:
		w.past.readFrom = 1 + w.past.length
	case (s.tenureOver || a.kind == crash) && was.tenure != nil && len(was.tenure.open) > 0:
		w.past.readFrom = 0
	}
}

// runLoops has the sync loops of a leader send what there is to send, unless the
// limits say that a loop may be late.
func (x *explorer) runLoops(w *world, server int) {
	for to := range w.servers {
		for w.servers[server].leads && to != server && x.maySend(w.servers[server], to) {
			s := x.move(w, server, event{kind: sends, slot: to})
			w.bag = append(w.bag, s.sent...)
			if s.breach != nil {
				return
			}
		}
	}
}

func spend(left *allowance, a action) {
	switch {
	case a.kind == crash:
		left.crashes--
	case a.kind == duplicate:
		left.duplicates--
	case a.event.kind == sendsAgain:
		left.resends--
	case a.kind == drop:
		left.drops--
	case a.event.kind == proposes:
		left.proposals--
	case a.event.kind == stepsDown:
		left.stepDowns--
	case a.event.kind == reads:
		left.reads--
	}
}

const unlimited = 255

func spendOne(left *uint8) {
	if *left != unlimited {
		*left--
	}
}

func (x *explorer) forgetDisks(w *world) {
	for i, s := range w.servers {
		w.servers[i] = x.take(s, event{kind: forgetsDisk}).after // changes nothing but what is looked at
	}
	for i := range w.bag {
		w.bag[i].need = 0
	}
}
