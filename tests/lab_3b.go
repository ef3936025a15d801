package tests

import (
	"slices"
	"sync"
	"time"
)

// Lab3B are the labs' scenarios for agreement.
var Lab3B = atEverySize([]Scenario{
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
})

// basicAgree: numbers are 1, 2, 3, and nothing is applied before it is proposed.
func basicAgree(c *Cluster) {
	for number := uint64(1); number <= 3; number++ {
		c.NotApplied(number)
		c.AgreeAs(number, c.Command(0), c.N)
	}
}

// rpcBytes: each command is sent to each follower once. The labs allow a third
// copy and 50,000 bytes of other things.
func rpcBytes(c *Cluster) {
	const commands, size = 10, 5000
	c.AgreeAs(1, c.Command(0), c.N)
	leader := c.Leader()
	before := make([]int, c.N)
	for i := range before {
		before[i] = c.Net.Traffic("", c.ID(i), "").RequestBytes
	}
	total := c.Net.Traffic("", "", "")
	for number := uint64(2); number < 2+commands; number++ {
		c.AgreeAs(number, c.Command(size), c.N)
	}
	if got, most := c.Net.Traffic("", "", "").Sub(total).Bytes(), c.N*commands*size+50000; got > most {
		c.fatal("%d commands of %d bytes cost %d bytes of RPCs, the labs' limit is %d", commands, size, got, most)
	}
	for _, i := range c.others(leader) {
		got, most := c.Net.Traffic("", c.ID(i), "").RequestBytes-before[i], commands*size*110/100
		if got > most {
			c.fatal("%d commands of %d bytes cost %d bytes of requests to %s, our limit is %d", commands, size, got, c.ID(i), most)
		}
	}
}

// followerFailure: a quorum commits (two of three), one server fewer does not.
func followerFailure(c *Cluster) {
	c.AgreeAs(1, c.Command(0), c.N)
	c.Disconnect(c.after(c.Leader(), c.spare())...)
	c.AgreeAs(2, c.Command(0), c.quorum())
	c.Sleep(ElectionTimeout)
	c.AgreeAs(3, c.Command(0), c.quorum())

	leader := c.Leader()
	c.Disconnect(c.after(leader, c.quorum())...)
	if number, _ := c.MustPropose(leader, c.Command(0)); number != 4 {
		c.fatal("a proposal has number %d, expected 4", number)
	}
	c.Sleep(2 * ElectionTimeout)
	c.NotApplied(4)
}

// leaderFailure: the same with leaders, one after another.
func leaderFailure(c *Cluster) {
	c.AgreeAs(1, c.Command(0), c.N)
	next := uint64(2)
	for gone := 1; gone <= c.spare(); gone++ {
		c.Disconnect(c.Leader())
		c.AgreeAs(next, c.Command(0), c.N-gone)
		c.Sleep(ElectionTimeout)
		c.AgreeAs(next+1, c.Command(0), c.N-gone)
		next += 2
	}

	c.Disconnect(c.Leader())
	command := c.Command(0)
	for i := range c.N {
		c.Propose(i, command)
	}
	c.Sleep(2 * ElectionTimeout)
	c.NotApplied(next)
}

// failAgree: followers that were away catch up.
func failAgree(c *Cluster) {
	c.Agree(c.Command(0), c.N, false)
	c.Disconnect(c.after(c.Leader(), c.spare())...)
	c.Agree(c.Command(0), c.quorum(), false)
	c.Agree(c.Command(0), c.quorum(), false)
	c.Sleep(ElectionTimeout)
	c.Agree(c.Command(0), c.quorum(), false)
	c.Agree(c.Command(0), c.quorum(), false)

	c.Connect(c.all()...)
	c.Agree(c.Command(0), c.N, true)
	c.Sleep(ElectionTimeout)
	c.Agree(c.Command(0), c.N, true)
}

// failNoAgree: one server short of a quorum nothing commits; what was proposed
// there may be committed after the repair or not, so the next number is 2 or 3.
func failNoAgree(c *Cluster) {
	c.Agree(c.Command(0), c.N, false)
	leader := c.Leader()
	c.Disconnect(c.after(leader, c.quorum())...)
	if number, _ := c.MustPropose(leader, c.Command(0)); number != 2 {
		c.fatal("a proposal has number %d, expected 2", number)
	}
	c.Sleep(2 * ElectionTimeout)
	c.NotApplied(2)

	c.Connect(c.all()...)
	if number, _ := c.MustPropose(c.Leader(), c.Command(0)); number < 2 || number > 3 {
		c.fatal("a proposal has number %d, expected 2 or 3", number)
	}
	c.Agree(c.Command(0), c.N, true)
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
			got, ok := c.AwaitApplied(number, c.N, term)
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
	c.Agree(c.Command(0), c.N, true)
	first := c.Leader()
	c.Disconnect(first)
	c.Note("%s is given 3 commands that it cannot commit", c.ID(first))
	for range 3 {
		c.MustPropose(first, c.Command(0))
	}
	c.Agree(c.Command(0), c.N-1, true)

	second := c.Leader()
	c.Disconnect(second)
	c.Connect(first)
	c.Agree(c.Command(0), c.N-1, true)

	c.Connect(second)
	c.Agree(c.Command(0), c.N, true)
}

// backup: followers with 50 wrong entries, of two leaders, are repaired quickly.
//
// Of five servers, the leader and one follower append 50 entries that cannot be
// committed; the other three commit 50 of their own; one of these is taken away
// and the two that remain append 50 more in vain. Then the first two and the one
// taken away, whose log alone is good, go on together.
func backup(c *Cluster) {
	c.Agree(c.Command(0), c.N, true)
	first := c.Leader()
	propose := func(leader int) {
		c.Note("%s is given 50 commands that it cannot commit", c.ID(leader))
		for range 50 {
			c.MustPropose(leader, c.Command(0))
		}
		c.Sleep(ElectionTimeout / 2)
	}
	agree := func() {
		for range 50 {
			c.Agree(c.Command(0), c.quorum(), true)
		}
	}
	few := append([]int{first}, c.after(first, c.spare()-1)...)
	many := c.others(few...)
	c.Disconnect(many...)
	propose(first)
	c.Disconnect(few...)
	c.Connect(many...)
	agree()

	second := c.Leader()
	away := many[0]
	if away == second {
		away = many[1]
	}
	c.Disconnect(away)
	propose(second)
	c.Disconnect(c.all()...)
	c.Connect(append(few, away)...)
	agree()

	c.Connect(c.all()...)
	c.Agree(c.Command(0), c.N, true)
}

// count: elections, agreement and rest cost few RPCs.
func count(c *Cluster) {
	c.Leader()
	if n, most := c.Net.Traffic("", "", "").Requests, 10*c.N; n < 1 || n > most {
		c.fatal("an election cost %d RPCs, the labs' limits are 1 and %d", n, most)
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
	n, most := c.Net.Traffic("", "", "").Requests-before, (c.N-1)*int(ElectionTimeout/heartbeat+1)
	if n > most {
		c.fatal("an idle second cost %d RPCs, our limit is %d (the labs': %d)", n, most, 20*c.N)
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
		got, ok := c.AwaitApplied(number+uint64(k)+1, c.N, term)
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
	n, most := c.Net.Traffic("", "", "").Requests-before, 12*(c.N-1)
	if n > most {
		c.fatal("%d entries cost %d RPCs, our limit is %d (the labs': %d)", entries+1, n, most, (entries+4)*c.N)
	}
	return true
}
