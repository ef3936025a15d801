package microscope

import (
	"cmp"
	"fmt"
	"slices"

	"lockstep.example/raft"
	"lockstep.example/raft/labrpc"
	"lockstep.example/raft/tests"
)

// channel is a stream of messages of one kind between two servers.
type channel struct {
	from, to int
	method   string
	reply    bool
}

// short names of the methods, as schedules are written.
var short = map[string]string{
	tests.MethodVote: "vote", tests.MethodAppend: "append", tests.MethodHeartbeat: "beat", tests.MethodRead: "ask",
}

func (c channel) String() string {
	mark := ""
	if c.reply {
		mark = "'"
	}
	return fmt.Sprintf("%d>%d %s%s", c.from, c.to, c.method, mark)
}

func (c channel) compare(d channel) int {
	return cmp.Or(cmp.Compare(c.from, d.from), cmp.Compare(c.to, d.to), cmp.Compare(c.method, d.method), c.kind()-d.kind())
}

func (c channel) kind() int {
	if c.reply {
		return 1
	}
	return 0
}

// message is one that the network holds.
type message struct {
	channel
	nth  int    // among those of its channel
	id   uint64 // which message it is, whatever the order of what does not concern it
	held *labrpc.Message
	hold *labrpc.Hold // of this message alone
}

// label names the message in a schedule: "1>0 beat' 2" is the second answer to a
// heartbeat that server 1 sends to server 0.
func (m *message) label() string { return fmt.Sprintf("%v %d", m.channel, m.nth) }

// about tells what a message says.
func (m *message) about() string {
	switch {
	case m.method == "vote" && !m.reply:
		var v raft.RequestVoteArgs
		_ = m.held.Decode(&v)
		what := "vote"
		if v.PreVote {
			what = "pre-vote"
		}
		return fmt.Sprintf("asks for a %s in term %d; its log ends at %d.%d", what, v.Term, v.LastLogIndex, v.LastLogTerm)
	case m.method == "vote":
		var v raft.RequestVoteReply
		_ = m.held.Decode(&v)
		if v.Granted {
			return fmt.Sprintf("granted in term %d", v.Term)
		}
		return fmt.Sprintf("refused in term %d", v.Term)
	case m.method == "ask" && !m.reply:
		return "asks for an index"
	case m.method == "ask":
		var v raft.ReadIndexReply
		_ = m.held.Decode(&v)
		if v.Refusal != raft.Agreed {
			return "refused"
		}
		return fmt.Sprintf("index %d, committed %d, term %d", v.Index, v.CommitIndex, v.Term)
	case !m.reply:
		var v raft.AppendEntriesArgs
		_ = m.held.Decode(&v)
		return fmt.Sprintf("term %d, round %d, %d entries after %d.%d, committed %d",
			v.Term, v.Round, v.Batch.Count, v.PrevLogIndex, v.PrevLogTerm, v.LeaderCommit)
	}
	var v raft.AppendEntriesReply
	_ = m.held.Decode(&v)
	if v.Refusal != raft.Agreed {
		return fmt.Sprintf("refused in term %d", v.Term)
	}
	return fmt.Sprintf("agreed in term %d", v.Term)
}

// net is the network under the microscope: every message is held, each by a hold
// of its own, so that any of them can go next.
type net struct {
	c     *tests.Cluster
	place map[string]int
	spare []*labrpc.Hold // each catches one message; the oldest first
	held  []*message     // by channel, oldest first
	count map[channel]int
}

// spares is how many messages can be sent in one step, for each server.
const spares = 10

func newNet(c *tests.Cluster) *net {
	n := &net{c: c, place: map[string]int{}, count: map[channel]int{}}
	for i := range c.N {
		n.place[c.ID(i)] = i
	}
	n.refill()
	return n
}

func (n *net) refill() {
	for len(n.spare) < spares*n.c.N {
		n.spare = append(n.spare, n.c.Net.Hold(labrpc.Match{Nth: 1}))
	}
}

// gather finds what was sent since the last time, oldest first in each channel.
// The order of channels among each other means nothing.
func (n *net) gather() (sent []*message, err error) {
	caught := 0
	for _, h := range n.spare {
		list := h.Held()
		if len(list) == 0 {
			break
		}
		caught++
		m := list[0]
		c := channel{n.place[m.From], n.place[m.To], short[m.Method], m.Kind == labrpc.Reply}
		n.count[c]++
		sent = append(sent, &message{channel: c, nth: n.count[c], held: m, hold: h})
	}
	if caught == spares*n.c.N {
		return nil, fmt.Errorf("%d messages or more in one step: the servers run wild", caught)
	}
	n.spare = n.spare[caught:]
	n.refill()
	n.held = append(n.held, sent...)
	slices.SortStableFunc(n.held, func(a, b *message) int { return a.compare(b.channel) })
	return sent, nil
}

// take removes a message that is about to go or be lost.
func (n *net) take(m *message) {
	if i := slices.Index(n.held, m); i >= 0 {
		n.held = slices.Delete(n.held, i, i+1)
	}
}

// find returns the held message of that label; with nth 0 the oldest of its
// channel, with nth -1 the newest. nil if there is none.
func (n *net) find(c channel, nth int) *message {
	var found *message
	for _, m := range n.held {
		if m.channel != c {
			continue
		}
		if m.nth == nth || nth <= 0 {
			found = m
		}
		if nth == 0 && found != nil {
			break
		}
	}
	return found
}
