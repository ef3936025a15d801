package raft

import "fmt"

// message is a request on its way, or the answer to one.
type message struct {
	body     *body
	from, to uint8 // the caller and the called, of the answer too
	answered bool  // it is the answer
	live     bool  // the caller still waits for the answer
	window   uint8 // of AppendEntries: what the call is to its leader
	need     uint8 // stages that its speaker must flush before it may say this
}

// speaker is whose promise the message is.
func (m message) speaker() uint8 {
	if m.answered {
		return m.to
	}
	return m.from
}

// sameCall tells whether two messages are question and answer, or two answers,
// of one call.
func (m message) sameCall(n message) bool {
	a, b := &m.body.content, &n.body.content
	return m.from == n.from && m.to == n.to && m.window == n.window && a.kind == b.kind && a.term == b.term &&
		(a.kind < appendMessage || a.index == b.index && a.count == b.count && a.round == b.round)
}

func (m message) String() string {
	return fmt.Sprintf("%s→%s %v", exploredIDs[m.from], exploredIDs[m.to], m.body)
}

// body is what a message says, without names. Equal bodies are one object.
type body struct {
	content
	id uint32
}

type messageKind uint8

const (
	preVoteMessage messageKind = iota
	voteMessage
	appendMessage
	carryMessage // an empty AppendEntries that carries a commit point
	heartbeatMessage
)

func (k messageKind) String() string {
	return [...]string{"pre-vote", "vote", "append", "commit point", "heartbeat"}[k]
}

type content struct {
	kind            messageKind
	term            uint64
	index, prevTerm uint64 // prev of AppendEntries, last of a vote request
	commit, round   uint64
	entries         string // encoded
	count           uint32

	// of the answer
	answered                    bool
	failed                      bool // there is none: the called crashed
	higher                      bool // it comes from a server of a higher term, and says no more
	replyTerm                   uint64
	granted                     bool
	refusal                     Refusal
	conflictTerm, conflictIndex uint64
	replyCommit                 uint64
}

func (x *explorer) bodyOf(c content) *body {
	b := x.bodies[c]
	if b == nil {
		b = &body{c, uint32(len(x.bodies))}
		x.bodies[c] = b
	}
	return b
}

func exploredHeader(from, to int, term uint64) Header {
	return Header{From: exploredIDs[from], FromIncarnation: 1, To: exploredIDs[to], ToIncarnation: 1, Term: term}
}

func voteRequest(args *RequestVoteArgs) content {
	kind := voteMessage
	if args.PreVote {
		kind = preVoteMessage
	}
	return content{kind: kind, term: args.Term, index: args.LastLogIndex, prevTerm: args.LastLogTerm}
}

func (b *body) voteArgs(from, to int) *RequestVoteArgs {
	return &RequestVoteArgs{
		Header: exploredHeader(from, to, b.term), PreVote: b.kind == preVoteMessage,
		LastLogIndex: b.index, LastLogTerm: b.prevTerm,
	}
}

// votedBy is the answer to a vote request. Only what the candidate looks at is
// kept: why it was refused is for people.
func (b *body) votedBy(reply *RequestVoteReply) content {
	return content{kind: b.kind, term: b.term, answered: true, replyTerm: reply.Term, granted: reply.Granted}
}

// senderTerm is the term of a candidate that asks: a pre-vote asks for the next.
func (b *body) senderTerm() uint64 {
	if b.kind == preVoteMessage {
		return b.term - 1
	}
	return b.term
}

func (b *body) voteReply() *RequestVoteReply {
	reply := &RequestVoteReply{Term: b.replyTerm, Granted: b.granted}
	if !b.granted {
		reply.Refusal = RefusedVoted
	}
	return reply
}

func appendRequest(call *appendCall) content {
	kind := appendMessage
	switch {
	case call.args.Heartbeat:
		kind = heartbeatMessage
	case call.carry:
		kind = carryMessage
	}
	a := call.args
	return content{
		kind: kind, term: a.Term, index: a.PrevLogIndex, prevTerm: a.PrevLogTerm, commit: a.LeaderCommit,
		round: a.Round, entries: string(a.Batch.Body), count: a.Batch.Count,
	}
}

// requestOf is the message of a call that a leader has just built.
func (x *explorer) requestOf(call *appendCall) message {
	m := message{
		body: x.bodyOf(appendRequest(call)), live: true, window: current,
		from: uint8(exploredSlot(call.args.From)), to: uint8(exploredSlot(call.args.To)),
	}
	for k, other := range call.p.inflight {
		if other == call {
			m.window = held + uint8(k)
		}
	}
	return m
}

// appendArgs rebuilds a request. Of one that was answered the entries are known
// by their count alone, which is all that its leader looks at.
func (b *body) appendArgs(from, to int) *AppendEntriesArgs {
	args := &AppendEntriesArgs{
		Header: exploredHeader(from, to, b.term), PrevLogIndex: b.index, PrevLogTerm: b.prevTerm,
		LeaderCommit: b.commit, Round: b.round, Heartbeat: b.kind == heartbeatMessage,
	}
	switch {
	case b.answered:
		args.Batch.Count = b.count
	case b.count > 0:
		args.Batch = NewBatch([]byte(b.entries), int(b.count))
	}
	return args
}

// appendedBy is the answer to AppendEntries. What only a conflict is asked for is
// kept of a conflict alone; LastLogIndex is for people.
func (b *body) appendedBy(reply *AppendEntriesReply) content {
	c := content{
		kind: b.kind, term: b.term, index: b.index, round: b.round, count: b.count,
		answered: true, replyTerm: reply.Term, refusal: reply.Refusal,
	}
	if reply.Refusal == RefusedConflict {
		c.conflictTerm, c.conflictIndex, c.replyCommit = reply.ConflictTerm, reply.ConflictIndex, reply.CommitIndex
	}
	return c
}

func (b *body) appendReply() *AppendEntriesReply {
	return &AppendEntriesReply{
		Term: b.replyTerm, Refusal: b.refusal,
		ConflictTerm: b.conflictTerm, ConflictIndex: b.conflictIndex, CommitIndex: b.replyCommit,
	}
}

func (b *body) String() string {
	switch b.kind {
	case preVoteMessage, voteMessage:
		if !b.answered {
			return fmt.Sprintf("%v request for term %d (its log ends at index %d of term %d)", b.kind, b.term, b.index, b.prevTerm)
		}
		verdict := "refused"
		if b.granted {
			verdict = "granted"
		}
		return fmt.Sprintf("%v for term %d %s by a server of term %d", b.kind, b.term, verdict, b.replyTerm)
	}
	s := fmt.Sprintf("%v of term %d after index %d", b.kind, b.term, b.index)
	if b.failed {
		return s + " has failed"
	}
	if b.answered {
		if b.count > 0 {
			s += fmt.Sprintf(" with %d entries", b.count)
		}
		return s + fmt.Sprintf(": %s, term %d", refusalName(b.refusal), b.replyTerm)
	}
	if b.count > 0 {
		s += fmt.Sprintf(" of term %d with %s", b.prevTerm, slots(batchSlots(Batch{Body: []byte(b.entries), Count: b.count})))
	}
	return s + fmt.Sprintf(", leaderCommit %d", b.commit)
}

func refusalName(r Refusal) string {
	switch r {
	case Agreed:
		return "agreed"
	case RefusedConflict:
		return "conflict"
	case RefusedStaleTerm:
		return "stale term"
	}
	return fmt.Sprintf("refusal %d", r)
}

// slots spells entries: s2 is the sentinel of term 2, c3 a command of term 3.
func slots(list []byte) string {
	text := "["
	for i, e := range list {
		if i > 0 {
			text += " "
		}
		text += string("?csb"[e&3]) + fmt.Sprint(e>>2)
	}
	return text + "]"
}
