package raft

import (
	"fmt"
	"slices"
	"strings"
)

// trace tells how a state was reached from root, and the action that follows.
func (x *explorer) trace(root *world, state uint32, last int) string {
	path := []int{last}
	for ; state != 0; state = x.visited.parents[state] {
		path = append(path, int(x.visited.via[state]))
	}
	slices.Reverse(path)
	var b strings.Builder
	w := root
	for n, k := range path {
		a := slices.Clone(x.actions(w))[k]
		after, broken := x.do(w, a)
		fmt.Fprintf(&b, "%3d. %s\n", n+1, describe(w, after, a))
		if broken != nil {
			fmt.Fprintf(&b, "     %v\n", broken)
		}
		w = after
	}
	for _, s := range w.servers {
		fmt.Fprintf(&b, "     %s: %v of term %d, log %s, commitIndex %d\n", exploredIDs[s.slot], s.rf.role, s.term, slots(s.log), s.commit)
	}
	return b.String()
}

// describe tells an action and what it did to the server it happened to.
func describe(before, after *world, a action) string {
	text := cause(before, a)
	is, was := after.servers[a.server], before.servers[a.server]
	if is.rf.role != was.rf.role || is.term != was.term {
		text += fmt.Sprintf("; now %v of term %d", is.rf.role, is.term)
	}
	if string(is.log) != string(was.log) {
		text += "; log " + slots(is.log)
	}
	if is.commit != was.commit {
		text += fmt.Sprintf("; commitIndex %d", is.commit)
	}
	return text
}

func cause(w *world, a action) string {
	who := string(exploredIDs[a.server])
	other := string(exploredIDs[a.event.slot])
	switch a.kind {
	case crash:
		return fmt.Sprintf("%s crashes, keeps %d of %d unflushed stages, and starts again", who, a.event.count, w.servers[a.server].unflushed)
	case drop:
		return fmt.Sprintf("%s is told that a call failed: %v", who, w.bag[a.index])
	case duplicate:
		return fmt.Sprintf("%s gets a duplicate of %v", who, w.bag[a.index])
	case deliver:
		m := w.bag[a.index]
		switch {
		case campaigns(a) && m.body.granted:
			return fmt.Sprintf("%s's election timer fires; %s grants the pre-vote for term %d", who, other, m.body.term)
		case campaigns(a):
			return fmt.Sprintf("%s's election timer fires; %s refuses the pre-vote for term %d, being in term %d", who, other, m.body.term, m.body.replyTerm)
		case m.body.higher:
			return fmt.Sprintf("%s hears from %s, which is in term %d", who, other, m.body.replyTerm)
		case !m.answered && !m.live:
			return fmt.Sprintf("%s gets late %v", who, m)
		}
		return fmt.Sprintf("%s gets %v", who, m)
	}
	switch a.event.kind {
	case sends:
		return who + " sends to " + other
	case sendsAgain:
		return who + " gives a probe up and sends again to " + other
	case countsItself:
		return who + " has flushed and counts itself"
	case proposes:
		return who + " appends a command"
	case stepsDown:
		return who + " hears of no quorum for an election timeout"
	case reads:
		return who + " opens a round for a read"
	}
	return fmt.Sprintf("%s: event %d", who, a.event.kind)
}
