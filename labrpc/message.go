package labrpc

import (
	"time"

	"lockstep.example/raft/internal/msgpack"
)

// Kind tells requests from replies.
type Kind uint8

const (
	Request Kind = iota + 1
	Reply
)

func (k Kind) String() string {
	if k == Reply {
		return "reply"
	}
	return "request"
}

// Message is a request or a reply on its way. A reply travels from the endpoint
// that was called to its caller.
type Message struct {
	Kind     Kind
	From, To string
	Method   string
	Sent     time.Time
	Request  *Message // of a reply: what it answers

	body  []byte
	call  *call
	again bool // not the first of its kind
}

// Decode decodes the arguments of a request, or the reply.
func (m *Message) Decode(into any) error { return msgpack.Unmarshal(m.body, into) }

// send puts a message on the network: it is lost, held, or arrives later. n.mu
// must be held.
func (n *Network) send(m *Message) {
	c := &n.conditions
	loss := c.LoseRequest
	if m.Kind == Reply {
		loss = c.LoseReply
	}
	switch {
	case !n.arrives(m.From, m.To) || m.Kind == Request && n.endpoints[m.To] == nil:
		n.lose(m, c.CutSeen, ErrUnreachable)
	case n.chance(loss):
		n.lose(m, c.LossSeen, ErrLost)
	case !n.hold(m):
		n.carry(m)
	}
}

// twice tells whether a message is one that arrives again, with probability p.
// n.mu must be held.
func (n *Network) twice(m *Message, p float64) bool {
	e := n.endpoints[m.To]
	return m.Kind == Request && e != nil && !e.once[m.Method] && n.chance(p)
}

// fail ends the call of a message that will not arrive. n.mu must be held.
func (n *Network) fail(m *Message, seen Range, err error) {
	if seen != Hidden {
		n.after(seen.draw(n.random), func() { m.call.finish(nil, err) })
	}
}

// carry delivers a message after its latency. n.mu must be held.
func (n *Network) carry(m *Message) {
	c, d := &n.conditions, n.delayOf(m)
	n.tellFate(m, Sent)
	late := c.LateRequest
	if m.Kind == Reply {
		late = c.LateReply
	}
	if n.chance(late) {
		d += c.Late.draw(n.random)
	}
	n.after(d, func() { n.deliver(m) })
	if n.twice(m, c.Replay) {
		copied := *m
		copied.again = true
		n.after(d+c.Late.draw(n.random), func() { n.deliver(&copied) })
	}
}

// deliver hands a message over where it arrives, if it still can.
func (n *Network) deliver(m *Message) {
	n.mu.Lock()
	e := n.endpoints[m.To]
	if e == nil || !n.arrives(m.From, m.To) {
		n.lose(m, n.conditions.CutSeen, ErrUnreachable)
		n.mu.Unlock()
		return
	}
	if m.again && e.once[m.Method] {
		n.mu.Unlock() // when it was sent the server was starting and had not said so
		return
	}
	h := e.methods[m.Method]
	n.mu.Unlock()
	if m.Kind == Reply {
		m.call.finish(m.body, nil)
		return
	}

	var body []byte
	err := ErrUnreachable // no such method: nobody listens
	if h != nil {
		body, err = h(m.From, m.body)
	}

	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.closed || e.gone:
		// Its caller was told when the endpoint closed.
	case err != nil:
		n.fail(m, n.conditions.LossSeen, err)
	default:
		n.count(m.call.route, Traffic{Replies: 1, ReplyBytes: len(body)})
		n.send(&Message{
			Kind: Reply, From: m.To, To: m.From, Method: m.Method, Sent: time.Now(), Request: m, body: body, call: m.call,
		})
	}
}
