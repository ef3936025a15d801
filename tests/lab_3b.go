package tests

import (
	"slices"
	"sync"
	"time"
)

// Lab3B are the labs' scenarios for agreement.
var Lab3B = []Scenario{
	{"BasicAgree", 3, basicAgree},
	{"RPCBytes", 3, rpcBytes},
	{"FollowerFailure", 3, followerFailure},
	{"LeaderFailure", 3, leaderFailure},
	{"FailAgree", 3, failAgree},
	{"FailNoAgree", 5, failNoAgree},
	{"ConcurrentStarts", 3, concurrentStarts},
	{"Rejoin", 3, rejoin},
	{"Backup", 5, backup},
	{"Count", 3, count},
}

// basicAgree: numbers are 1, 2, 3, and nothing is applied before it is proposed.
func basicAgree(c *Cluster) {
	for number := uint64(1); number <= 3; number++ {
		c.NotApplied(number)
		c.AgreeAs(number, c.Command(0), 3)
	}
}

// rpcBytes: each command is sent to each follower once.
func rpcBytes(c *Cluster) {
	const commands, size = 10, 5000
	c.AgreeAs(1, c.Command(0), 3)
	leader := c.Leader()
	before := make([]int, c.N)
	for i := range before {
		before[i] = c.Net.Traffic("", c.ID(i), "").RequestBytes
	}
	total := c.Net.Traffic("", "", "")
	for number := uint64(2); number < 2+commands; number++ {
		c.AgreeAs(number, c.Command(size), 3)
	}
	if got, most := c.Net.Traffic("", "", "").Sub(total).Bytes(), 3*commands*size+50000; got > most {
		c.fatal("%d commands of %d bytes cost %d bytes of RPCs, the labs' limit is %d", commands, size, got, most)
	}
	for _, i := range c.others(leader) {
		got, most := c.Net.Traffic("", c.ID(i), "").RequestBytes-before[i], commands*size*110/100
		if got > most {
			c.fatal("%d commands of %d bytes cost %d bytes of requests to %s, our limit is %d", commands, size, got, c.ID(i), most)
		}
	}
}

// followerFailure: two of three commit, one does not.
func followerFailure(c *Cluster) {
	c.AgreeAs(1, c.Command(0), 3)
	leader := c.Leader()
	c.Disconnect(leader + 1)
	c.AgreeAs(2, c.Command(0), 2)
	c.Sleep(ElectionTimeout)
	c.AgreeAs(3, c.Command(0), 2)

	leader = c.Leader()
	c.Disconnect(leader+1, leader+2)
	if number, _ := c.MustPropose(leader, c.Command(0)); number != 4 {
		c.fatal("a proposal has number %d, expected 4", number)
	}
	c.Sleep(2 * ElectionTimeout)
	c.NotApplied(4)
}

// leaderFailure: the same with leaders.
func leaderFailure(c *Cluster) {
	c.AgreeAs(1, c.Command(0), 3)
	c.Disconnect(c.Leader())
	c.AgreeAs(2, c.Command(0), 2)
	c.Sleep(ElectionTimeout)
	c.AgreeAs(3, c.Command(0), 2)

	c.Disconnect(c.Leader())
	command := c.Command(0)
	for i := range c.N {
		c.Propose(i, command)
	}
	c.Sleep(2 * ElectionTimeout)
	c.NotApplied(4)
}

// failAgree: a follower that was away catches up.
func failAgree(c *Cluster) {
	c.Agree(c.Command(0), 3, false)
	c.Disconnect(c.Leader() + 1)
	c.Agree(c.Command(0), 2, false)
	c.Agree(c.Command(0), 2, false)
	c.Sleep(ElectionTimeout)
	c.Agree(c.Command(0), 2, false)
	c.Agree(c.Command(0), 2, false)

	c.Connect(c.all()...)
	c.Agree(c.Command(0), 3, true)
	c.Sleep(ElectionTimeout)
	c.Agree(c.Command(0), 3, true)
}

// failNoAgree: with two of five nothing commits; what was proposed there may be
// committed after the repair or not, so the next number is 2 or 3.
func failNoAgree(c *Cluster) {
	c.Agree(c.Command(0), 5, false)
	leader := c.Leader()
	c.Disconnect(leader+1, leader+2, leader+3)
	if number, _ := c.MustPropose(leader, c.Command(0)); number != 2 {
		c.fatal("a proposal has number %d, expected 2", number)
	}
	c.Sleep(2 * ElectionTimeout)
	c.NotApplied(2)

	c.Connect(c.all()...)
	if number, _ := c.MustPropose(c.Leader(), c.Command(0)); number < 2 || number > 3 {
		c.fatal("a proposal has number %d, expected 2 or 3", number)
	}
	c.Agree(c.Command(0), 5, true)
}

// concurrentStarts: proposals made at once in one term are all committed, each
// with a number of its own.
func concurrentStarts(c *Cluster) {
	for try := range 5 {
		if try > 0 {
			c.Sleep(3 * ElectionTimeout) // let the leadership come to rest
		}
		leader := c.Leader()
		_, term, ok := c.Propose(leader, c.Command(0))
		if !ok {
			continue // it has just lost the leadership
		}
		var mu sync.Mutex
		var proposals sync.WaitGroup
		commands := map[uint64]string{}
		for range 5 {
			proposals.Go(func() {
				command := c.Command(0)
				number, in, ok := c.Propose(leader, command)
				mu.Lock()
				defer mu.Unlock()
				if ok && in == term {
					commands[number] = string(command)
				}
			})
		}
		proposals.Wait()
		if len(commands) != 5 {
			if now, _ := c.state(leader); now != term {
				continue
			}
			c.fatal("5 proposals in term %d have %d numbers", term, len(commands))
		}
		settled := true
		for number, command := range commands {
			got, ok := c.AwaitApplied(number, 3, term)
			if settled = ok; !ok {
				break
			}
			if string(got) != command {
				c.fatal("%q was proposed at number %d in term %d, %q was applied", command, number, term, got)
			}
		}
		if settled {
			return
		}
	}
	c.fatal("the term moved in each of 5 tries")
}

// rejoin: what a cut-off leader appended alone gives way.
func rejoin(c *Cluster) {
	c.Agree(c.Command(0), 3, true)
	first := c.Leader()
	c.Disconnect(first)
	for range 3 {
		c.MustPropose(first, c.Command(0))
	}
	c.Agree(c.Command(0), 2, true)

	second := c.Leader()
	c.Disconnect(second)
	c.Connect(first)
	c.Agree(c.Command(0), 2, true)

	c.Connect(second)
	c.Agree(c.Command(0), 3, true)
}

// backup: followers with 50 wrong entries, of two leaders, are repaired quickly.
func backup(c *Cluster) {
	c.Agree(c.Command(0), 5, true)
	first := c.Leader()
	propose := func(leader int) {
		for range 50 {
			c.MustPropose(leader, c.Command(0))
		}
		c.Sleep(ElectionTimeout / 2)
	}
	agree := func() {
		for range 50 {
			c.Agree(c.Command(0), 3, true)
		}
	}
	c.Disconnect(first+2, first+3, first+4)
	propose(first) // never committed: two of five
	c.Disconnect(first, first+1)
	c.Connect(first+2, first+3, first+4)
	agree()

	second := c.Leader()
	away := (first + 2) % 5
	if away == second {
		away = (second + 1) % 5
	}
	c.Disconnect(away)
	propose(second) // never committed: two connected of five
	c.Disconnect(c.all()...)
	c.Connect(first, first+1, away)
	agree()

	c.Connect(c.all()...)
	c.Agree(c.Command(0), 5, true)
}

// count: elections, agreement and rest cost few RPCs.
func count(c *Cluster) {
	c.Leader()
	if n := c.Net.Traffic("", "", "").Requests; n < 1 || n > 30 {
		c.fatal("an election cost %d RPCs, the labs' limits are 1 and 30", n)
	}
	for try := 0; !countAgreement(c); try++ {
		if try == 5 {
			c.fatal("the term moved in each of 5 tries")
		}
		c.Sleep(3 * ElectionTimeout)
	}

	const heartbeat = 100 * time.Millisecond
	before := c.Net.Traffic("", "", "").Requests
	c.Sleep(ElectionTimeout)
	n := c.Net.Traffic("", "", "").Requests - before
	if ours := 2 * int(ElectionTimeout/heartbeat+1); n > ours {
		c.fatal("an idle second cost %d RPCs, our limit is %d (the labs': 60)", n, ours)
	}
}

// countAgreement counts the RPCs of ten entries; false if the term moved.
func countAgreement(c *Cluster) bool {
	const entries = 10
	leader := c.Leader()
	before := c.Net.Traffic("", "", "").Requests
	number, term, ok := c.Propose(leader, c.Command(0))
	if !ok {
		return false
	}
	var commands []string
	for k := uint64(1); k <= entries; k++ {
		command := c.Command(0)
		got, in, ok := c.Propose(leader, command)
		if !ok || in != term {
			return false
		}
		if got != number+k {
			c.fatal("a proposal after number %d has number %d", number+k-1, got)
		}
		commands = append(commands, string(command))
	}
	for k, want := range commands {
		got, ok := c.AwaitApplied(number+uint64(k)+1, 3, term)
		if !ok {
			return false
		}
		if string(got) != want {
			c.fatal("number %d is %q, %q was proposed", number+uint64(k)+1, got, want)
		}
	}
	terms := []uint64{}
	for i := range c.N {
		now, _ := c.state(i)
		terms = append(terms, now)
	}
	if slices.Max(terms) != term {
		return false
	}
	n := c.Net.Traffic("", "", "").Requests - before
	if n > 24 {
		c.fatal("%d entries cost %d RPCs, our limit is 24 (the labs': 42)", entries+1, n)
	}
	return true
}
