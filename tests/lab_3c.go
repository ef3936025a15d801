package tests

import (
	"sync"
	"time"

	"lockstep.example/raft/labrpc"
)

// Lab3C are the labs' scenarios for crashes and unreliable networks. A crash is
// harsher here: what was staged and not flushed may be lost.
var Lab3C = atEverySize([]Scenario{
	{"Persist1", 3, persist1},
	{"Persist2", 5, persist2},
	{"Persist3", 3, persist3},
	{"Figure8", 5, figure8},
	{"UnreliableAgree", 5, unreliableAgree},
	{"Figure8Unreliable", 5, figure8Unreliable},
	{"ReliableChurn", 5, func(c *Cluster) { churn(c, true) }},
	{"UnreliableChurn", 5, func(c *Cluster) { churn(c, false) }},
})

// persist1: all restart, then a leader, then a leader stays away for a while,
// then a follower.
func persist1(c *Cluster) {
	c.Agree(c.Command(0), c.N, true)
	c.Crash(c.all()...)
	for i := range c.N {
		c.Start(i)
	}
	c.Agree(c.Command(0), c.N, true)

	c.Restart(c.Leader())
	c.Agree(c.Command(0), c.N, true)

	leader := c.Leader()
	c.Crash(leader)
	last := c.Agree(c.Command(0), c.N-1, true)
	c.Start(leader)
	c.AwaitApplied(last, c.N, 0)

	follower := c.Leader() + 1
	c.Crash(follower)
	c.Agree(c.Command(0), c.N-1, true)
	c.Start(follower)
	c.Agree(c.Command(0), c.N, true)
}

// persist2: the majority changes by crashes, again and again. Of five servers two
// miss a command and then make up a quorum with one that has it on its disk alone.
func persist2(c *Cluster) {
	for range 5 {
		c.Agree(c.Command(0), c.N, true)
		leader := c.Leader()
		behind := c.after(leader, c.spare())
		ahead := c.others(behind...)
		c.Crash(behind...)
		c.Agree(c.Command(0), c.quorum(), true)

		c.Crash(ahead...)
		for _, i := range behind {
			c.Start(i)
		}
		c.Sleep(ElectionTimeout)
		first := leader + c.spare() + 1 // the next after those behind: not the old leader
		c.Start(first)
		c.Agree(c.Command(0), c.quorum(), true)

		for _, i := range ahead {
			if !c.Alive(i) {
				c.Start(i)
			}
		}
	}
	c.Agree(c.Command(0), c.N, true)
}

// persist3: of a partitioned leader's followers one was cut off and one crashes;
// the leader crashes and comes back. Of five servers two are cut off, two crash.
func persist3(c *Cluster) {
	c.Agree(c.Command(0), c.N, true)
	leader := c.Leader()
	near := c.after(leader, c.spare())
	far := c.after(leader+c.spare(), c.spare())
	c.Disconnect(far...)
	c.Agree(c.Command(0), c.quorum(), true)

	c.Crash(append(near, leader)...)
	c.Connect(far...)
	c.Start(leader)
	c.Agree(c.Command(0), c.quorum(), true)

	for _, i := range near {
		c.Start(i)
	}
	c.Agree(c.Command(0), c.N, true)
}

// proposeToAll proposes the same command to every server in turn and returns the
// last one that took it, or -1.
func proposeToAll(c *Cluster) (leader int, number uint64, command []byte) {
	leader, command = -1, c.Command(0)
	for i := range c.N {
		if n, _, ok := c.Propose(i, command); ok {
			leader, number = i, n
		}
	}
	return leader, number, command
}

// figure8: the story of the paper's Figure 8. Leaders crash soon after they have
// appended, so that entries of many terms lie around half replicated; counting
// those of an older term as committed would lose an agreement.
func figure8(c *Cluster) {
	c.Agree(c.Command(0), 1, true)
	up := c.N
	for range 1000 {
		leader, _, _ := proposeToAll(c)
		if c.Random(1000) < 100 {
			c.Sleep(time.Duration(c.Random(int(ElectionTimeout / 2))))
		} else {
			c.Sleep(time.Duration(c.Random(int(13 * time.Millisecond))))
		}
		if leader >= 0 {
			c.Crash(leader)
			up--
		}
		if i := c.Random(c.N); up < c.quorum() && !c.Alive(i) {
			c.Start(i)
			up++
		}
	}
	for i := range c.N {
		if !c.Alive(i) {
			c.Start(i)
		}
	}
	c.Agree(c.Command(0), c.N, true)
}

// unreliableAgree: agreements side by side over a network that loses a fifth of
// all calls.
func unreliableAgree(c *Cluster) {
	c.Net.SetConditions(labrpc.Unreliable().LongDelays())
	var agreements sync.WaitGroup
	defer agreements.Wait()
	agree := func() {
		if _, err := c.agree(c.Command(0), 1, true); err != nil {
			c.Fail(err)
		}
	}
	for range 49 {
		for range 4 {
			agreements.Go(agree)
		}
		agree()
		c.stopIfFailed()
	}
	c.Net.SetConditions(labrpc.Reliable())
	agreements.Wait()
	c.Agree(c.Command(0), c.N, true)
}

// figure8Unreliable: Figure 8 with cuts instead of crashes, over a network that
// loses and, later, reorders.
func figure8Unreliable(c *Cluster) {
	bad := labrpc.Unreliable().LongDelays()
	c.Net.SetConditions(bad)
	c.Agree(c.Command(0), 1, true)
	up := c.N
	for round := range 1000 {
		if round == 200 {
			c.Net.SetConditions(bad.LongReordering())
		}
		leader, _, _ := proposeToAll(c)
		if c.Random(1000) < 100 {
			c.Sleep(time.Duration(c.Random(int(ElectionTimeout / 2))))
		} else {
			c.Sleep(time.Duration(c.Random(int(13 * time.Millisecond))))
		}
		if leader >= 0 && c.Connected(leader) && c.Random(1000) < 500 {
			c.Disconnect(leader)
			up--
		}
		if i := c.Random(c.N); up < c.quorum() && !c.Connected(i) {
			c.Connect(i)
			up++
		}
	}
	c.Connect(c.all()...)
	c.Agree(c.Command(0), c.N, true)
}

// churn: clients propose while servers are cut off, restarted and crashed. What a
// client saw committed is in the final log.
func churn(c *Cluster, reliable bool) {
	calm, rough := labrpc.Reliable().LongDelays(), labrpc.Unreliable().LongDelays()
	if reliable {
		rough = calm
	}
	c.Net.SetConditions(rough)
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for me := range 3 {
		clients.Go(func() { churnClient(c, me, stop) })
	}
	endClients := sync.OnceFunc(func() {
		close(stop)
		clients.Wait()
	})
	defer endClients() // also when the scenario fails

	for range 20 {
		if c.Random(1000) < 200 {
			c.Disconnect(c.Random(c.N))
		}
		if c.Random(1000) < 500 {
			i := c.Random(c.N)
			if !c.Alive(i) {
				c.Start(i)
			}
			c.Connect(i)
		}
		if c.Random(1000) < 200 {
			c.Crash(c.Random(c.N))
		}
		c.Sleep(ElectionTimeout * 7 / 10)
	}

	c.Sleep(ElectionTimeout)
	c.Net.SetConditions(calm)
	for i := range c.N {
		if !c.Alive(i) {
			c.Start(i)
		}
		c.Connect(i)
	}
	endClients()
	c.Sleep(ElectionTimeout)
	last := c.Agree(c.Command(0), c.N, true)
	for number := uint64(1); number <= last; number++ {
		c.AwaitApplied(number, c.N, 0)
	}
}

// churnClient proposes one command after another and notes each that it sees
// committed as acknowledged: the monitor compares it with the final log.
func churnClient(c *Cluster, me int, stop <-chan struct{}) {
	for {
		leader, number, command := proposeToAll(c)
		pause := time.Duration(79+me*17) * time.Millisecond
		if leader >= 0 {
			applied := c.await(380*time.Millisecond, func() bool {
				n, got := c.appliedByLocked(number)
				return n > 0 && string(got) == string(command)
			})
			if applied {
				c.trace(Event{Kind: Acknowledges, Number: number, Content: string(command)})
			}
			pause = 10 * time.Millisecond
		}
		select {
		case <-stop:
			return
		case <-time.After(pause):
		}
	}
}
