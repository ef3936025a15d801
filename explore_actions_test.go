package raft

import "slices"

// action is one thing that happens in a world.
type action struct {
	kind   actionKind
	server int
	event  event
	index  int // of the message
}

type actionKind uint8

const (
	atServer actionKind = iota // no message is taken from the bag
	deliver
	duplicate // a request that has arrived, or was lost, arrives once more; nobody waits for the answer
	drop      // the request or its answer is lost, and the caller told that its call failed
	crash
)

// actions lists what can happen next, always in the same order.
//
// After a crash the server that crashed moves next. A crash sends nothing, so it
// commutes with whatever the others do until that server moves again, and may as
// well happen just before; if it never moves again the crash made no difference.
func (x *explorer) actions(w *world) []action {
	list := x.buffer[:0]
	at := func(s int, e event) { list = append(list, action{kind: atServer, server: s, event: e}) }
	for i, s := range w.servers {
		if s.leads {
			x.leaderActions(w, i, at)
		}
		if w.left.crashes > 0 && w.crashed == 0 {
			for keep := 0; keep <= s.unflushed; keep++ {
				list = append(list, action{kind: crash, server: i, event: event{kind: crashes, count: uint8(keep)}})
			}
		}
	}
	for i, m := range w.bag {
		if i == 0 || m != w.bag[i-1] {
			list = x.messageActions(w, i, m, list)
		}
	}
	if w.crashed != 0 {
		list = slices.DeleteFunc(list, func(a action) bool { return a.server+1 != int(w.crashed) })
	}
	x.buffer = list
	return list
}

// leaderActions lists what a leader can do by itself. Its flush is an action
// only where it is counted; that of a follower is none (see speak).
func (x *explorer) leaderActions(w *world, i int, at func(int, event)) {
	s := w.servers[i]
	for _, p := range s.tenure.followers {
		to := exploredSlot(p.id)
		if x.maySend(s, to) {
			at(i, event{kind: sends, slot: to})
		}
		if p.state == probe && len(p.inflight) > 0 && w.left.resends > 0 {
			at(i, event{kind: sendsAgain, slot: to})
		}
	}
	for n := range s.captures {
		// Only what moves commitIndex: nothing else hangs on selfMatch, so a count
		// that moves nothing may as well come later, with the next that does.
		e := event{kind: countsItself, count: uint8(n + 1)}
		if counted := x.take(s, e); counted.after.commit > s.commit || counted.breach != nil {
			at(i, e)
			break
		}
	}
	if w.left.proposals > 0 {
		at(i, event{kind: proposes})
	}
	if w.left.stepDowns > 0 {
		at(i, event{kind: stepsDown})
	}
	if w.left.reads > 0 && w.past.readFrom == 0 {
		at(i, event{kind: reads})
	}
}

// maySend tells whether the sync loop for a follower has something to send.
// A probe that is under way is only given up by sendsAgain.
func (x *explorer) maySend(s *explored, to int) bool {
	p := s.tenure.byID[exploredIDs[to]]
	if p.state == probe && len(p.inflight) > 0 {
		return false
	}
	sending := x.take(s, event{kind: sends, slot: to})
	return sending.breach != nil || len(sending.sent) > 0 && (x.limits.carries || sending.sent[0].body.kind != carryMessage)
}

// messageActions lists what can happen to a message.
//
// Votes and pre-votes are not dropped: an answer that does not come changes
// nothing, and every state without it is visited on the way to those with it.
// Nor is any request asked for a second time without need: that is a duplicate.
func (x *explorer) messageActions(w *world, i int, m message, list []action) []action {
	a := action{kind: deliver, server: int(m.to), index: i, event: arrival(m)}
	if m.answered {
		a.server = int(m.from)
		list = append(list, a)
	} else {
		s := x.take(w.servers[m.to], a.event)
		if m.window == spent {
			a.kind = duplicate
		}
		if s.after != w.servers[m.to] || s.breach != nil || m.live && m.need > 0 { // else see askAround
			list = append(list, a)
		}
	}
	if m.live && w.left.drops > 0 && (m.body.kind == appendMessage || m.body.kind == carryMessage) && !m.body.higher && !m.body.failed {
		event := event{kind: callFails, slot: int(m.to), body: m.body, window: m.window}
		list = append(list, action{kind: drop, server: int(m.from), index: i, event: event})
	}
	return list
}
