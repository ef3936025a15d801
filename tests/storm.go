package tests

import (
	"context"
	"fmt"
	"sync"
	"time"

	"lockstep.example/raft/labrpc"
)

// Storms let every fault there is come at random, while clients propose, wait for
// the outcomes and read. Their servers must be Proposers and Readers.
var Storms = []Scenario{
	{"Three", 3, storm},
	{"Four", 4, storm},
	{"Five", 5, storm},
}

const (
	stormClients  = 4
	stormRounds   = 60
	stormPatience = time.Second
	lateness      = 50 * time.Millisecond // by which a call may overrun its deadline: there is none but the scheduler
)

func storm(c *Cluster) {
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range stormClients {
		clients.Go(func() { stormClient(c, stop) })
	}
	endClients := sync.OnceFunc(func() {
		close(stop)
		clients.Wait()
	})
	defer endClients()
	for range stormRounds {
		stormFault(c)
		c.Sleep(time.Duration(c.Random(int(ElectionTimeout))))
	}
	endClients()
}

// stormFault changes one thing.
func stormFault(c *Cluster) {
	i, j := c.Random(c.N), c.Random(c.N)
	switch c.Random(10) {
	case 0:
		c.Crash(i)
	case 1, 2:
		if !c.Alive(i) {
			c.Start(i)
		}
	case 3:
		c.Restart(i)
		c.Restart(j)
	case 4:
		c.Disconnect(i)
	case 5:
		if i != j {
			c.Note("%s does not hear %s", c.ID(j), c.ID(i))
			c.Net.Cut(c.ID(i), c.ID(j))
		}
	case 6:
		var one, two []string
		for k := range c.N {
			if c.Random(2) == 0 {
				one = append(one, c.ID(k))
			} else {
				two = append(two, c.ID(k))
			}
		}
		c.Note("partition %v %v", one, two)
		c.Net.Partition(one, two)
	case 7, 8:
		c.Note("all links work again")
		c.Net.Heal()
		c.Connect(c.all()...)
	case 9:
		stormWeather(c)
	}
}

func stormWeather(c *Cluster) {
	weather := labrpc.Reliable().LongDelays()
	if c.Random(2) == 0 {
		weather = labrpc.Unreliable()
	}
	if c.Random(3) == 0 {
		weather = weather.LongReordering()
	}
	if c.Random(3) == 0 {
		weather.LossSeen = labrpc.Hidden
	}
	weather.Duplicate = float64(c.Random(3)) / 10
	c.Note("weather: %+v", weather)
	c.Net.SetConditions(weather)
}

// stormClient proposes to and reads from whomever, until told to stop. Every
// call must end by its deadline.
func stormClient(c *Cluster, stop <-chan struct{}) {
	for {
		i, began := c.Random(c.N), time.Now()
		if c.Random(3) > 0 {
			c.outcome(i, stormPatience)
		} else if c.Read(i, stormPatience) != nil {
			time.Sleep(10 * time.Millisecond)
		}
		if took := time.Since(began); took > stormPatience+lateness {
			c.Fail(fmt.Errorf("a call of %s with a deadline of %v took %v", c.ID(i), stormPatience, took))
		}
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(c.Random(int(20 * time.Millisecond)))):
		}
	}
}

// outcome proposes a fresh command to one server and tells the monitors what
// became of it. What a server says after its crash reaches nobody.
func (c *Cluster) outcome(i int, patience time.Duration) {
	c.mu.Lock()
	l := c.members[i%c.N].life
	c.mu.Unlock()
	if l == nil {
		return
	}
	command := c.Command(0)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	number, outcome := l.server.(Proposer).Propose(ctx, command)
	switch outcome {
	case Acknowledged:
		l.trace(Event{Kind: Acknowledges, Number: number, Content: string(command)})
	case Rejected:
		l.trace(Event{Kind: Rejects, Content: string(command)})
	}
}
