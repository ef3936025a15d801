package tests

import (
	"fmt"
	"sync"
	"time"

	"lockstep.example/raft/labrpc"
)

// readTraffic (L5; openraft#1747): clients that go on reading from every server, as
// fast as they can, must not keep the servers from electing. The leader is cut off
// and later crashes; each time another must lead, and write, within two election
// timeouts.
func readTraffic(c *Cluster) {
	c.Net.SetConditions(labrpc.Reliable()) // calls to nobody fail soon, and are made again
	c.Leader()
	c.Agree(c.Command(0), 3, false)
	stop := make(chan struct{})
	var clients sync.WaitGroup
	defer clients.Wait()
	defer close(stop)
	for i := range 3 * c.N {
		clients.Go(func() {
			for {
				_ = c.Read(i, ElectionTimeout/2) // whether it is stale Read looks at
				select {
				case <-stop:
					return
				case <-time.After(time.Duration(1+c.Random(4)) * time.Millisecond):
				}
			}
		})
	}
	for _, leave := range []func(int){func(i int) { c.Disconnect(i) }, func(i int) { c.Crash(i) }} {
		c.Sleep(ElectionTimeout)
		old, _, ok := c.leaderNow()
		if !ok {
			c.fatal("read traffic and nothing else, and nobody leads: %s", c.why())
		}
		leave(old)
		if !c.deposed(old, 2*ElectionTimeout) {
			c.fatal("read traffic blocked the election: no write %v after %s was gone: %s", 2*ElectionTimeout, c.ID(old), c.why())
		}
		if c.Alive(old) {
			c.Connect(old)
		}
	}
}

const (
	replayed   = 8_000                 // commands in the log of a server that starts
	replayTime = 25 * time.Microsecond // to apply one
)

// readsWhileReplaying (L6; etcd#3879, redisraft#316): a server that starts again has
// its log to apply. Reads go to it all the time; none may be answered from a state
// that others have left behind, and none from one older than an earlier answer.
func readsWhileReplaying(c *Cluster) {
	leader := c.Leader()
	for n := 0; n < replayed; n += 500 {
		for range 500 {
			c.MustPropose(leader, c.Command(0))
		}
		c.Sleep(5 * time.Millisecond)
	}
	c.Agree(c.Command(0), 3, true)
	follower := (leader + 1) % c.N
	c.Crash(follower)
	maker := c.maker
	c.maker = func(env Env) (Server, error) {
		apply := env.Apply
		env.Apply = func(a Applied) {
			time.Sleep(replayTime)
			apply(a)
		}
		return maker(env)
	}
	c.Start(follower)

	answered, early := 0, 0
	for began, last := time.Now(), uint64(0); time.Since(began) < 4*replayed*replayTime; {
		if err := c.Read(follower, ElectionTimeout/20); err != nil {
			early++
			time.Sleep(time.Millisecond)
			continue
		}
		c.stopIfFailed()
		answered++
		now := c.appliedOf(follower)
		if now < last {
			c.Fail(fmt.Errorf("%s answered a read from %d commands, and one before from %d", c.ID(follower), now, last))
		}
		last = now
		c.MustPropose(leader, c.Command(0))
		c.Sleep(time.Millisecond)
	}
	if answered == 0 || early == 0 {
		c.fatal("%d reads were answered and %d given up while %s replayed: the scenario proves nothing", answered, early, c.ID(follower))
	}
}

// appliedOf tells how many commands a server has applied in this life.
func (c *Cluster) appliedOf(i int) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.members[i%c.N].life; l != nil {
		return uint64(len(l.applied))
	}
	return 0
}
