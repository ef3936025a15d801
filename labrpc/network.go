package labrpc

import (
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

const minLatency = time.Microsecond

// Network carries messages between endpoints. All methods are safe for
// concurrent use.
type Network struct {
	running sync.WaitGroup // handlers, callbacks and deliveries under way

	mu         sync.Mutex // guards the rest; held for state changes only
	random     *rand.Rand
	conditions Conditions
	endpoints  map[string]*Endpoint
	away       map[string]bool // disconnected names
	cuts       map[link]bool   // one-way
	calls      map[*call]bool  // whose done is still owed
	timers     map[*timer]bool // all that will happen later
	holds      []*Hold
	traffic    map[route]*Traffic
	closed     bool
	trace      func(*Message, Fate)         // told of every message; may be nil
	delay      func(*Message) time.Duration // instead of Conditions.Latency; may be nil
}

type link struct{ from, to string }

// route names a method called by one endpoint of another.
type route struct{ from, to, method string }

// New returns a network without endpoints. All its choices are drawn from
// source; nil means a random seed.
func New(source rand.Source, c Conditions) *Network {
	if source == nil {
		source = rand.NewPCG(rand.Uint64(), rand.Uint64())
	}
	n := &Network{
		random:    rand.New(source),
		endpoints: map[string]*Endpoint{},
		away:      map[string]bool{},
		cuts:      map[link]bool{},
		calls:     map[*call]bool{},
		timers:    map[*timer]bool{},
		traffic:   map[route]*Traffic{},
	}
	n.SetConditions(c)
	return n
}

// SetConditions applies to what is sent from now on.
func (n *Network) SetConditions(c Conditions) {
	c.Latency.Min = max(c.Latency.Min, minLatency)
	c.Latency.Max = max(c.Latency.Max, c.Latency.Min)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conditions = c
}

// Disconnect takes endpoints off the network: nothing sent by them or to them
// arrives. They are not told, nor are the others: a dead cable, not a dead
// process. The names stay disconnected when an endpoint is replaced.
func (n *Network) Disconnect(names ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, name := range names {
		n.away[name] = true
	}
}

// Connect undoes Disconnect.
func (n *Network) Connect(names ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, name := range names {
		delete(n.away, name)
	}
}

// Connected tells whether name is not disconnected; cuts do not count.
func (n *Network) Connected(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.away[name]
}

// Cut loses everything that travels from one endpoint to another, replies
// included; the other direction is not touched.
func (n *Network) Cut(from, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cuts[link{from, to}] = true
}

// Restore undoes Cut.
func (n *Network) Restore(from, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.cuts, link{from, to})
}

// CutPair cuts both directions between two endpoints.
func (n *Network) CutPair(a, b string) {
	n.Cut(a, b)
	n.Cut(b, a)
}

// Partition replaces all cuts by those between the groups. An endpoint in no
// group is cut from all that are in one.
func (n *Network) Partition(groups ...[]string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	group := map[string]int{}
	for i, names := range groups {
		for _, name := range names {
			group[name] = i + 1
		}
	}
	names := slices.Collect(maps.Keys(n.endpoints))
	for name := range group {
		if n.endpoints[name] == nil {
			names = append(names, name)
		}
	}
	clear(n.cuts)
	for _, a := range names {
		for _, b := range names {
			if group[a] != group[b] {
				n.cuts[link{a, b}] = true
			}
		}
	}
}

// Heal undoes every Cut, Partition and Disconnect.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cuts)
	clear(n.away)
}

// arrives tells whether a message can pass now. n.mu must be held.
func (n *Network) arrives(from, to string) bool {
	return !n.away[from] && !n.away[to] && !n.cuts[link{from, to}]
}

// latency draws the time one message takes. n.mu must be held.
func (n *Network) latency() time.Duration { return n.conditions.Latency.draw(n.random) }

// chance is true with probability p. n.mu must be held.
func (n *Network) chance(p float64) bool { return p > 0 && n.random.Float64() < p }

// timer is one thing that will happen.
type timer struct{ *time.Timer }

// soon is the least a timer waits: one of 0 crashes Go 1.26 now and then, in a
// bubble and under the race detector.
const soon = time.Nanosecond

// after runs f in a goroutine of its own once d has passed, unless the timer is
// cancelled or the network closed. n.mu must be held; f runs without it.
func (n *Network) after(d time.Duration, f func()) *timer {
	t := &timer{}
	n.timers[t] = true
	t.Timer = time.AfterFunc(max(d, soon), func() {
		n.mu.Lock()
		if !n.timers[t] {
			n.mu.Unlock()
			return
		}
		delete(n.timers, t)
		n.running.Add(1)
		n.mu.Unlock()
		defer n.running.Done()
		f()
	})
	return t
}

// cancel forgets a timer; nil is none. n.mu must be held.
func (n *Network) cancel(t *timer) {
	if t != nil {
		t.Stop()
		delete(n.timers, t)
	}
}

// Close ends every call under way with ErrClosed, drops all that is held or on
// its way, and waits for the handlers and callbacks that run. Stop what the
// handlers wait for first.
func (n *Network) Close() {
	n.mu.Lock()
	n.closed = true
	for t := range n.timers {
		n.cancel(t)
	}
	for _, e := range n.endpoints {
		e.gone = true
	}
	for _, h := range n.holds {
		h.waiting = nil
	}
	n.holds = nil
	calls := slices.Collect(maps.Keys(n.calls))
	n.mu.Unlock()
	for _, c := range calls {
		c.finish(nil, ErrClosed)
	}
	n.running.Wait()
}
