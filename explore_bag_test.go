package raft

import "slices"

// takeOut takes the message of an action out of the bag, and with it what else
// there is of its call: the question goes with an answer, and with both the other
// answers it might have got. As long as a duplicate may come, what was asked is
// remembered, to arrive once more at any time.
func (x *explorer) takeOut(w *world, a action) {
	m := w.bag[a.index]
	if m.window == spent {
		return
	}
	if !m.live || m.body.higher {
		w.bag = slices.Delete(w.bag, a.index, a.index+1)
		x.remember(w, m)
		return
	}
	for _, other := range slices.Clone(w.bag) {
		if other.live && other.sameCall(m) {
			x.remember(w, other)
		}
	}
	w.bag = slices.DeleteFunc(w.bag, func(other message) bool { return other.live && other.sameCall(m) })
}

// remember keeps a request that has gone, once.
func (x *explorer) remember(w *world, m message) {
	m.live, m.window, m.need = false, spent, 0
	if w.left.duplicates > 0 && !m.answered && !slices.Contains(w.bag, m) {
		w.bag = append(w.bag, m)
	}
}

// askAround asks what every request on its way would meet now. If that is an
// answer that changes nothing at its receiver, the request may be taken to have
// arrived at any moment since it was sent: every such answer that the receiver
// could have given since then is on its way, the first to arrive is the answer,
// and arriving is no action of its own. (An answer given earlier waits for fewer
// stages.) What comes from an old term is of this kind.
//
// So are all pre-votes, and a server that asks for them changes nothing either
// before the first answer that matters: it goes on as a follower would, or as a
// candidate whose votes do not arrive. So the firing of its timer is put off to
// the arrival of that answer, and whoever could have fired since it last changed
// its log or term is taken to have asked.
func (x *explorer) askAround(w *world) {
	for i := range w.bag {
		if m := w.bag[i]; !m.answered && m.live && m.need == 0 {
			x.answerNow(w, m)
		}
	}
	for i, s := range w.servers {
		if !x.mayCampaign(w, s) {
			continue
		}
		for _, request := range x.take(s, event{kind: timerFires}).sent {
			if request.body.kind != preVoteMessage || int(request.from) != i {
				panic("a firing sent something else than pre-votes")
			}
			x.answerNow(w, request)
		}
	}
}

func (x *explorer) mayCampaign(w *world, s *explored) bool {
	return !s.leads && s.term < x.limits.lastTerm() && w.left.campaigns > 0
}

// answerNow puts the answer that a request would get on its way, if giving it
// changes nothing.
func (x *explorer) answerNow(w *world, m message) {
	s := x.take(w.servers[m.to], arrival(m))
	if s.after != w.servers[m.to] || s.breach != nil || len(s.sent) == 0 {
		return
	}
	answer := s.sent[0]
	asks := w.servers[m.from]
	if answer.body.replyTerm > asks.term {
		answer.body, answer.window = x.higherTerm(asks, answer.body.replyTerm), stale
	}
	for _, other := range w.bag {
		if other.body == answer.body && other.from == answer.from && other.answered && other.need <= answer.need &&
			(other.to == answer.to && other.window == answer.window || other.need == 0 && answer.body.anyones()) {
			return
		}
	}
	w.bag = append(w.bag, answer)
}

// anyones tells whether it does not matter who gave an answer: one pre-vote is
// enough, and so is one server of a higher term.
func (b *body) anyones() bool { return b.higher || b.kind == preVoteMessage }

// higherTerm is the answer of a server that has a higher term: what it answers to
// does not matter.
func (x *explorer) higherTerm(asks *explored, term uint64) *body {
	c := content{kind: preVoteMessage, term: asks.term + 1, answered: true, higher: true, replyTerm: term, refusal: RefusedStaleTerm}
	switch {
	case asks.leads:
		c.kind, c.term = appendMessage, asks.term
	case asks.campaign != nil:
		c.kind, c.term = voteMessage, asks.term
	}
	return x.bodyOf(c)
}

// arrival is the event of a message.
func arrival(m message) event {
	e := event{kind: requestArrives, slot: int(m.from), body: m.body, window: m.window}
	if !m.live {
		e.window = stale
	}
	if m.answered {
		e.kind, e.slot = answerArrives, int(m.to)
	}
	if m.body.failed {
		e.kind = callFails
	}
	return e
}

// speak flushes what must be durable before the message is said. A flush that
// nobody hears of matters only to a crash, which chooses then how much had been
// flushed; and a message that was said and not heard is as good as one not said.
// So a flush happens just before the first message that proves it arrives.
func (x *explorer) speak(w *world, m message) {
	if m.need == 0 {
		return
	}
	speaker := m.speaker()
	x.move(w, int(speaker), event{kind: flushes, count: m.need})
	for i := range w.bag {
		if other := &w.bag[i]; other.speaker() == speaker {
			other.need -= min(other.need, m.need)
		}
	}
}

// follow changes what the messages on their way are to a server that took a step.
func (x *explorer) follow(w *world, server int, s *step) {
	w.bag = slices.DeleteFunc(w.bag, func(m message) bool { return m.answered && int(m.from) == server && over(m, s) })
	for i := range w.bag {
		m := &w.bag[i]
		if int(m.from) != server || !m.live {
			continue
		}
		if over(*m, s) {
			m.live, m.window = false, stale
			continue
		}
		if moves := s.windows[m.to]; m.body.kind >= appendMessage {
			switch {
			case m.window >= held:
				m.window = moves.at(m.window)
			case m.window == current && moves.newEpoch:
				m.window = stale
			}
		}
	}
}

func (v windowMoves) at(window uint8) uint8 {
	if int(window-held) < len(v.held) {
		return v.held[window-held]
	}
	return window
}

// over tells whether nobody waits any more for the answer to a call.
func over(m message, s *step) bool {
	if m.body.kind >= appendMessage {
		return s.tenureOver
	}
	return s.roundOver
}

// lose takes from the world what a crash takes: what the server waited for, and
// what it had not said because it was not durable. A leader that waits for such an
// answer hears that its call failed, a candidate asks again.
func (x *explorer) lose(w *world, a action) {
	w.bag = slices.DeleteFunc(w.bag, func(m message) bool {
		mine, unsaid := int(m.speaker()) == a.server, m.need > a.event.count
		return int(m.from) == a.server && m.answered || mine && unsaid && (!m.answered || m.body.anyones())
	})
	for i := range w.bag {
		m := &w.bag[i]
		if int(m.from) == a.server {
			m.live, m.window = false, stale
		}
		if int(m.speaker()) != a.server {
			continue
		}
		if m.need > a.event.count && m.body.kind == voteMessage {
			asks := w.servers[m.from]
			m.answered, m.body = false, x.bodyOf(content{kind: voteMessage, term: asks.term, index: asks.lastIndex, prevTerm: asks.lastTerm})
		} else if m.need > a.event.count {
			c := m.body.content
			c.failed, c.replyTerm, c.refusal, c.conflictTerm, c.conflictIndex, c.replyCommit = true, 0, 0, 0, 0, 0
			m.body = x.bodyOf(c)
		}
		m.need = 0
	}
}

// prune drops messages for whose answer nobody waits and that can change nothing
// any more, whenever they arrive: a question is not remembered, and what is of an
// old term, or asks for a vote that another got, is refused for good. The code is
// asked too: what it would act on here stays.
func (x *explorer) prune(w *world) {
	w.bag = slices.DeleteFunc(w.bag, func(m message) bool {
		if m.live || m.answered {
			return !m.live
		}
		to := w.servers[m.to]
		if m.window == spent && w.left.duplicates == 0 {
			return true
		}
		refused := m.body.kind == preVoteMessage || m.body.term < to.certainTerm || m.body.kind == voteMessage &&
			m.body.term == to.certainTerm && to.certain.id != "" && to.certain.id != exploredIDs[m.from]
		return refused && x.take(to, arrival(m)).after == to
	})
}
