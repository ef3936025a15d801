package labrpc

import "time"

// Fate is what becomes of a message at one moment of its way.
type Fate uint8

const (
	Sent Fate = iota + 1 // it is on its way, for the first time or released by a hold
	Held                 // a hold has it
	Lost                 // it will never arrive: a cut, a loss, nobody there
)

// Trace has f told what becomes of every message from now on. f is called with
// the network's lock held: it must neither call the network nor wait.
func (n *Network) Trace(f func(*Message, Fate)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.trace = f
}

// SetDelay has f say how long each message takes from now on, instead of drawing
// it: with a delay of its own for each link, no two messages arrive at one
// instant, and a run depends on nothing but its script. f is called with the
// network's lock held: it must neither call the network nor wait.
func (n *Network) SetDelay(f func(*Message) time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.delay = f
}

// tellFate tells whoever traces. n.mu must be held.
func (n *Network) tellFate(m *Message, fate Fate) {
	if n.trace != nil {
		n.trace(m, fate)
	}
}

// delayOf returns the time a message takes. n.mu must be held.
func (n *Network) delayOf(m *Message) time.Duration {
	if n.delay != nil {
		return max(minLatency, n.delay(m))
	}
	return n.latency()
}

// lose ends the way of a message that will not arrive. n.mu must be held.
func (n *Network) lose(m *Message, seen Range, err error) {
	n.tellFate(m, Lost)
	n.fail(m, seen, err)
}
