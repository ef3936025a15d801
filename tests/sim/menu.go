package sim

import (
	"time"

	"lockstep.example/raft/labrpc"
	"lockstep.example/raft/tests"
)

// crash ends servers for a while.
func (s *simulation) crash(down time.Duration, servers ...int) {
	s.cluster.Crash(servers...)
	s.after(s.upTo(down), func() {
		for _, i := range servers {
			s.start(i)
		}
	})
}

// start starts a server that is down, with a clock that may be wrong.
func (s *simulation) start(i int) {
	if s.cluster.Alive(i) {
		return
	}
	h := s.hosts[i]
	h.setRate(s.clock())
	h.openDisk() // a start waits for its disk; the hand must not
	h.mendDisk() // and refuses one that fails
	s.cluster.Start(i)
}

// clock draws the rate of a clock, in every other run mostly a wrong one: then most
// of a quorum can be fast or slow together.
func (s *simulation) clock() float64 {
	wild := s.options.Seed%2 == 0
	if s.random(6) < 1 || wild && s.random(6) < 4 {
		s.report.fault("clock runs at another rate")
		return []float64{0.4, 0.5, 0.9, 1.1, 2, 2.5}[s.random(6)]
	}
	return 1
}

var crashes = []fault{
	{name: "crash", weight: 10, inject: func(s *simulation) { s.crash(4*time.Second, s.victim()) }},
	{name: "crash and start at once", weight: 8, inject: func(s *simulation) { s.crash(1, s.victim()) }},
	{name: "crash of a minority", weight: 3, inject: func(s *simulation) { s.crash(6*time.Second, s.some(s.cluster.N/2)...) }},
	{name: "crash of a majority", weight: 3, inject: func(s *simulation) { s.crash(3*time.Second, s.some(s.cluster.N/2+1)...) }},
	{name: "crash of all", weight: 2, inject: func(s *simulation) { s.crash(2*time.Second, s.some(s.cluster.N)...) }},
	{name: "crash in recovery", weight: 3, inject: func(s *simulation) {
		i := s.victim()
		s.cluster.Crash(i)
		for range 1 + s.random(5) {
			s.hosts[i].crashInRecovery()
		}
		s.start(i)
	}},
	{name: "rolling restart", weight: 2, inject: func(s *simulation) {
		for _, i := range s.some(s.cluster.N) {
			s.cluster.Crash(i)
			s.start(i)
			s.cluster.Sleep(s.upTo(tests.ElectionTimeout))
		}
	}},
}

var disks = []fault{
	{name: "slow disk", weight: 4, inject: func(s *simulation) {
		h := s.hosts[s.victim()]
		h.setFlush(5*time.Millisecond + s.upTo(200*time.Millisecond))
		s.after(s.upTo(8*time.Second), func() { h.setFlush(healthyFlush) })
	}},
	{name: "slow disks everywhere", weight: 1, inject: func(s *simulation) {
		for _, h := range s.hosts {
			h.setFlush(s.upTo(100*time.Millisecond) + 1)
			s.after(s.upTo(8*time.Second), func() { h.setFlush(healthyFlush) })
		}
	}},
	{name: "stalled disk", weight: 4, inject: func(s *simulation) {
		h := s.hosts[s.victim()]
		h.stallDisk()
		s.after(s.upTo(6*time.Second), h.openDisk)
	}},
	{name: "disk error", weight: 2, inject: func(s *simulation) {
		i := s.victim()
		s.hosts[i].breakDisk()
		s.after(s.upTo(3*time.Second), func() {
			s.cluster.Crash(i)
			s.start(i)
		})
	}},
	{name: "slow state machine", weight: 3, inject: func(s *simulation) {
		h := s.hosts[s.victim()]
		h.holdApply()
		s.after(s.upTo(5*time.Second), h.releaseApply)
	}},
}

var links = []fault{
	{name: "one-way cut", weight: 5, inject: func(s *simulation) {
		pair := s.some(2)
		from, to := s.cluster.ID(pair[0]), s.cluster.ID(pair[1])
		s.cluster.Note("%s does not hear %s", to, from)
		s.sever(6*time.Second, cut{from, to})
	}},
	{name: "random cuts", weight: 3, inject: func(s *simulation) {
		for i := range s.cluster.N {
			for j := range s.cluster.N {
				if i != j && s.random(3) == 0 {
					from, to := s.cluster.ID(i), s.cluster.ID(j)
					s.sever(4*time.Second, cut{from, to})
				}
			}
		}
	}},
	{name: "leader cut off", weight: 5, inject: func(s *simulation) {
		i := s.leader()
		s.cluster.Disconnect(i)
		s.after(s.upTo(4*time.Second), func() { s.cluster.Connect(i) })
	}},
	{name: "partition", weight: 4, inject: func(s *simulation) {
		var sides [2][]string
		for i := range s.cluster.N {
			side := s.random(2)
			sides[side] = append(sides[side], s.cluster.ID(i))
		}
		s.cluster.Note("partition %v %v", sides[0], sides[1])
		var links []cut
		for _, a := range sides[0] {
			for _, b := range sides[1] {
				links = append(links, cut{a, b}, cut{b, a})
			}
		}
		s.sever(5*time.Second, links...) // clients are on both sides
	}},
	{name: "leader not heard", weight: 4, inject: func(s *simulation) { s.deafen(true) }},
	{name: "leader hears nobody", weight: 2, inject: func(s *simulation) { s.deafen(false) }},
	{name: "all links healed", weight: 3, inject: func(s *simulation) { s.network.heal() }},
	{name: "silent cuts", weight: 3, inject: func(s *simulation) {
		c := labrpc.Reliable()
		c.CutSeen = labrpc.Hidden
		s.weather(c)
	}},
	{name: "lost messages", weight: 3, inject: func(s *simulation) {
		c := labrpc.Unreliable()
		if s.random(2) == 0 {
			c.LossSeen = labrpc.Hidden
		}
		c.LoseRequest, c.LoseReply = s.chance(0.3), s.chance(0.3)
		s.weather(c)
	}},
	{name: "slow links", weight: 3, inject: func(s *simulation) {
		c := labrpc.Reliable()
		c.Latency.Max = s.upTo(300 * time.Millisecond)
		s.weather(c)
	}},
	{name: "duplicated messages", weight: 3, inject: func(s *simulation) {
		c := labrpc.Reliable()
		c.Duplicate = s.chance(0.5)
		s.weather(c)
	}},
	{name: "reordered messages", weight: 3, inject: func(s *simulation) {
		c := labrpc.Reliable().LongReordering()
		c.LateRequest, c.LateReply, c.Late.Min = s.chance(0.4), s.chance(0.4), time.Millisecond
		s.weather(c)
	}},
	{name: "old requests again", weight: 3, inject: func(s *simulation) {
		c := labrpc.Reliable()
		c.Replay, c.Late = s.chance(0.3), labrpc.Range{Min: time.Millisecond, Max: 10 * time.Second}
		s.weather(c)
	}},
}

// deafen cuts the leader's links to the other servers in one direction.
func (s *simulation) deafen(outgoing bool) {
	leader := s.cluster.ID(s.leader())
	s.cluster.Note("%s is cut off in one direction", leader)
	var links []cut
	for _, h := range s.hosts {
		switch {
		case h.id == leader:
		case outgoing:
			links = append(links, cut{leader, h.id})
		default:
			links = append(links, cut{h.id, leader})
		}
	}
	s.sever(5*time.Second, links...)
}

// chance draws a probability.
func (s *simulation) chance(most float64) float64 {
	return most * float64(s.random(1001)) / 1000
}

var clocks = []fault{
	{name: "paused server", weight: 6, possible: func() bool { return canFreeze }, inject: func(s *simulation) {
		s.hosts[s.victim()].freeze(50*time.Millisecond + s.upTo(5*time.Second))
	}},
}
