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
	rate := 1.0
	if s.random(3) == 0 {
		s.report.fault("clock runs at another rate")
		rate = []float64{0.5, 0.9, 1.1, 2}[s.random(4)]
		s.cluster.Note("the clock of %s runs at %v", h.id, rate)
	}
	h.setRate(rate)
	h.openDisk() // a start waits for its disk; the hand must not
	h.mendDisk() // and refuses one that fails
	s.cluster.Start(i)
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
		s.cluster.Net.Cut(from, to)
		s.after(s.upTo(6*time.Second), func() { s.cluster.Net.Restore(from, to) })
	}},
	{name: "random cuts", weight: 3, inject: func(s *simulation) {
		for i := range s.cluster.N {
			for j := range s.cluster.N {
				if i != j && s.random(3) == 0 {
					from, to := s.cluster.ID(i), s.cluster.ID(j)
					s.cluster.Net.Cut(from, to)
					s.after(s.upTo(4*time.Second), func() { s.cluster.Net.Restore(from, to) })
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
		s.partition(sides)
		s.after(s.upTo(5*time.Second), func() { s.restore(sides) })
	}},
	{name: "all links healed", weight: 3, inject: func(s *simulation) { s.cluster.Net.Heal() }},
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

// chance draws a probability.
func (s *simulation) chance(most float64) float64 {
	return most * float64(s.random(1001)) / 1000
}

// weather sets conditions for a while.
func (s *simulation) weather(c labrpc.Conditions) {
	s.cluster.Net.SetConditions(c)
	s.after(s.upTo(10*time.Second), func() { s.cluster.Net.SetConditions(labrpc.Reliable()) })
}

// partition cuts every link between the sides; clients are on both.
func (s *simulation) partition(sides [2][]string) {
	for _, a := range sides[0] {
		for _, b := range sides[1] {
			s.cluster.Net.CutPair(a, b)
		}
	}
}

func (s *simulation) restore(sides [2][]string) {
	for _, a := range sides[0] {
		for _, b := range sides[1] {
			s.cluster.Net.Restore(a, b)
			s.cluster.Net.Restore(b, a)
		}
	}
}

var clocks = []fault{
	{name: "paused server", weight: 6, possible: func() bool { return canFreeze }, inject: func(s *simulation) {
		s.hosts[s.victim()].freeze(50*time.Millisecond + s.upTo(5*time.Second))
	}},
}
