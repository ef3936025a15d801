package tests

import (
	"sync"
	"time"
)

// Proposals are scenarios for what becomes of proposals beyond the labs'.
var Proposals = []Scenario{
	{"QuietAfterBurst1", 1, quietAfterBurst},
	{"QuietAfterBurst2", 2, quietAfterBurst},
	{"QuietAfterBurst3", 3, quietAfterBurst},
	{"OwnDisk", 1, ownDisk},
	{"Prompt", 3, prompt},
	{"PowerLoss", 3, powerLoss},
}

// quietAfterBurst: of proposals that arrive at the very moment a flush begins,
// the last one is committed too, although nothing follows that would wake anyone.
// As few servers run as make a quorum, so the leader's own disk decides.
func quietAfterBurst(c *Cluster) {
	leader := c.Leader()
	term, _ := c.state(leader)
	for i := range (c.N - 1) / 2 {
		c.Crash(leader + 1 + i)
	}
	for range 200 {
		var mu sync.Mutex
		var last uint64
		var proposals sync.WaitGroup
		for range 4 {
			proposals.Go(func() {
				number, _, ok := c.Propose(leader, c.Command(0))
				mu.Lock()
				defer mu.Unlock()
				if ok {
					last = max(last, number)
				}
			})
		}
		proposals.Wait()
		if last == 0 {
			c.fatal("%s no longer leads: %s", c.ID(leader), c.why())
		}
		applied := c.await(ElectionTimeout, func() bool {
			n, _ := c.appliedByLocked(last)
			return n == c.N-(c.N-1)/2
		})
		if !applied {
			c.fatal("number %d, the last of a burst, is not applied by the servers that run after %v: %s", last, ElectionTimeout, c.why())
		}
		c.Sleep(time.Duration(c.Random(int(time.Millisecond))))
		if c.Random(20) == 0 { // nor is the disk taken for stalled
			c.steady(leader, term, 2*ElectionTimeout)
		}
	}
}

// ownDisk: a leader counts itself for what it has flushed, not for what it staged
// while the disk was busy.
func ownDisk(c *Cluster) {
	const flush = 40 * time.Millisecond
	c.Leader()
	c.SetFlushTime(flush, flush)
	for range 20 {
		c.MustPropose(0, c.Command(0))
		c.Sleep(flush / 2)
		began := time.Now()
		c.Agree(c.Command(0), 1, false)
		if took := time.Since(began); took < flush {
			c.fatal("a command was committed after %v by a server alone, whose flush takes %v", took, flush)
		}
	}
}

// prompt: the followers apply a command when it is committed, not when the next
// heartbeat tells them.
func prompt(c *Cluster) {
	c.SetFlushTime(100*time.Microsecond, 200*time.Microsecond)
	c.Leader()
	for range 50 {
		began := time.Now()
		c.Agree(c.Command(0), 3, false)
		// Three messages of at most 500 µs and two flushes; as much again for
		// whatever was under way.
		if took := time.Since(began); took > 5*time.Millisecond {
			c.fatal("it took %v until every server had applied a command", took)
		}
	}
}

// powerLoss: all servers lose power at one instant, again and again, with slow
// disks and under load: at each moment much is staged and not flushed. What was
// acknowledged survives, votes do too.
func powerLoss(c *Cluster) {
	c.SetFlushTime(2*time.Millisecond, 40*time.Millisecond)
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 6 {
		clients.Go(func() {
			for {
				for i := range c.N {
					c.outcome(i, stormPatience)
				}
				select {
				case <-stop:
					return
				case <-time.After(time.Duration(c.Random(int(5 * time.Millisecond)))):
				}
			}
		})
	}
	endClients := sync.OnceFunc(func() {
		close(stop)
		clients.Wait()
	})
	defer endClients()
	for range 25 {
		c.Sleep(ElectionTimeout + time.Duration(c.Random(int(ElectionTimeout))))
		c.Crash(c.all()...)
		for i := range c.N {
			c.Start(i)
		}
	}
	endClients()
}
