package sim

import (
	"time"

	"lockstep.example/raft/labrpc"
)

// network is what the hand did to the network and has not undone: bad weather of
// several kinds at once, and cuts of which each ends by itself, so that the end of
// one fault does not end another of the same kind. Only the hand uses it.
type network struct {
	net     *labrpc.Network
	weather map[int]labrpc.Conditions
	cuts    map[cut]map[int]bool // by whom each direction of a link is cut
	last    int                  // number of the latest fault
	now     labrpc.Conditions    // in force
	late    time.Time            // until then messages of earlier weather may arrive
}

type cut struct{ from, to string }

func newNetwork(net *labrpc.Network) *network {
	return &network{net: net, weather: map[int]labrpc.Conditions{}, cuts: map[cut]map[int]bool{}}
}

// begin adds weather, until the function it returns is called.
func (n *network) begin(c labrpc.Conditions) (end func()) {
	n.last++
	fault := n.last
	n.weather[fault] = c
	n.apply()
	return func() {
		delete(n.weather, fault)
		n.apply()
	}
}

// apply makes one weather of all there is: of each kind the worst.
func (n *network) apply() {
	all := labrpc.Reliable()
	for i := range n.last { // in order, whatever a map does
		c, ok := n.weather[i+1]
		if !ok {
			continue
		}
		all.Latency.Max = max(all.Latency.Max, c.Latency.Max)
		all.LoseRequest, all.LoseReply = max(all.LoseRequest, c.LoseRequest), max(all.LoseReply, c.LoseReply)
		all.Duplicate, all.Replay = max(all.Duplicate, c.Duplicate), max(all.Replay, c.Replay)
		all.LateRequest, all.LateReply = max(all.LateRequest, c.LateRequest), max(all.LateReply, c.LateReply)
		all.LossSeen, all.CutSeen = worse(all.LossSeen, c.LossSeen), worse(all.CutSeen, c.CutSeen)
		all.Late = worse(all.Late, c.Late)
	}
	if c := &n.now; c.Replay > 0 || c.LateRequest > 0 || c.LateReply > 0 {
		// A request that is late may come again, as much later.
		if until := time.Now().Add(c.Latency.Max + 2*c.Late.Max); until.After(n.late) {
			n.late = until
		}
	}
	n.now = all
	n.net.SetConditions(all)
}

// settle waits until the last message of earlier weather has arrived. An old leader's
// requests that come again are a fault for as long as they come.
func (n *network) settle() { time.Sleep(time.Until(n.late)) }

func worse(a, b labrpc.Range) labrpc.Range {
	if b.Max > a.Max {
		return b
	}
	return a
}

// sever cuts directions of links until the function it returns is called.
func (n *network) sever(links ...cut) (end func()) {
	n.last++
	fault := n.last
	for _, l := range links {
		if n.cuts[l] == nil {
			n.cuts[l] = map[int]bool{}
		}
		n.cuts[l][fault] = true
		n.net.Cut(l.from, l.to)
	}
	return func() {
		for _, l := range links {
			delete(n.cuts[l], fault)
			if len(n.cuts[l]) == 0 {
				n.net.Restore(l.from, l.to)
			}
		}
	}
}

// heal ends every cut there is, whoever made it.
func (n *network) heal() {
	clear(n.cuts)
	n.net.Heal()
}

// weather sets conditions for a while.
func (s *simulation) weather(c labrpc.Conditions) {
	s.after(s.upTo(10*time.Second), s.network.begin(c))
}

// sever cuts directions of links for a while.
func (s *simulation) sever(most time.Duration, links ...cut) {
	s.after(s.upTo(most), s.network.sever(links...))
}
