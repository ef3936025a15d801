package tests

import (
	"context"
	"fmt"
	"sync"
	"time"

	"lockstep.example/raft/labrpc"
)

// Reads are the scenarios for linearizable reads. Their servers must be Readers,
// and their calls have the method names of the adapter for this module's Raft.
var Reads = []Scenario{
	{"SingleServer", 1, singleServerReads},
	{"EveryServer", 3, everyServerReads},
	{"Shared", 3, sharedReads},
	{"L4IsolatedLeader", 3, isolatedLeaderReads},
	{"L1BeforeSentinel", 3, readBeforeSentinel},
	{"L3DelayedCommit", 3, delayedCommit},
	{"L2OldHeartbeats", 3, oldHeartbeats},
	{"L5ReadTraffic", 3, readTraffic},
	{"L6Replay", 3, readsWhileReplaying},
}

// mustRead fails the test if a server does not answer within patience. Whether
// the answer is stale Read itself looks at.
func (c *Cluster) mustRead(i int, patience time.Duration) {
	c.T.Helper()
	if err := c.Read(i, patience); err != nil {
		c.fatal("%s answered no read within %v: %v; %s", c.ID(i), patience, err, c.why())
	}
	c.stopIfFailed()
}

// singleServerReads: a quorum of one needs no messages.
func singleServerReads(c *Cluster) {
	c.Leader()
	for range 10 {
		c.Agree(c.Command(0), 1, false)
		began := time.Now()
		c.mustRead(0, time.Second)
		if took := time.Since(began); took > 10*time.Millisecond {
			c.fatal("a read of a single server took %v", took)
		}
	}
	if n := c.Net.Traffic("", "", "").Requests; n != 0 {
		c.fatal("a single server sent %d requests", n)
	}
}

// everyServerReads: each server, follower or leader, sees what was applied
// anywhere when the read began.
func everyServerReads(c *Cluster) {
	c.Leader()
	for round := range 60 {
		c.Agree(c.Command(0), 1, false)
		c.mustRead(round, 300*time.Millisecond)
	}
}

// sharedReads: reads that wait together share their messages.
func sharedReads(c *Cluster) {
	leader := c.Leader()
	c.Agree(c.Command(0), 3, false)
	for _, i := range []int{leader, leader + 1} {
		before := c.Net.Traffic("", "", "").Requests
		var reads sync.WaitGroup
		for range 100 {
			reads.Go(func() {
				if err := c.Read(i, time.Second); err != nil {
					c.Fail(err)
				}
			})
		}
		reads.Wait()
		c.stopIfFailed()
		// Two rounds for the leader and one of the ticker; for a follower two
		// requests besides.
		if n := c.Net.Traffic("", "", "").Requests - before; n > 3*2+2 {
			c.fatal("100 reads at once of %s cost %d requests", c.ID(i), n)
		}
	}
}

// isolatedLeaderReads (L4; consul#54): how lately it heard from the others is no
// proof. A leader that is cut off answers no read from that moment and steps down within two election timeouts, whatever the others do meanwhile.
func isolatedLeaderReads(c *Cluster) {
	leader := c.Leader()
	c.Agree(c.Command(0), 3, false)
	c.Disconnect(leader)
	cut := time.Now()
	var reads sync.WaitGroup
	defer reads.Wait()
	for time.Since(cut) < 2*ElectionTimeout {
		reads.Go(func() {
			if err := c.Read(leader, 3*ElectionTimeout); err == nil {
				c.Fail(fmt.Errorf("%s, cut off, answered a read", c.ID(leader)))
			}
		})
		time.Sleep(20 * time.Millisecond)
	}
	if term, leads := c.state(leader); leads {
		c.fatal("%s, cut off %v ago, still leads term %d", c.ID(leader), time.Since(cut), term)
	}
	c.Agree(c.Command(0), 2, true)
	reads.Wait() // they end while it is still cut off
	c.stopIfFailed()
	c.Connect(leader)
	c.Sleep(ElectionTimeout)
	c.mustRead(leader, time.Second)
}

// readBeforeSentinel (L1; etcd#7331): a new leader does not know what is committed before an
// entry of its own term is. Its entries are held back; its reads must wait.
func readBeforeSentinel(c *Cluster) {
	old := c.Leader()
	c.Agree(c.Command(0), 3, false)
	hold := c.Net.Hold(labrpc.Match{Kind: labrpc.Request, Method: MethodAppend})
	c.Disconnect(old)
	leader := c.Leader()
	c.Note("%s leads and cannot send its sentinel", c.ID(leader))
	c.Sleep(ElectionTimeout / 100) // its first heartbeat tells the follower whom to ask
	read := make(chan error, 2)
	for _, i := range []int{leader, 3 - old - leader} {
		go func() { read <- c.Read(i, 3*ElectionTimeout) }()
	}
	c.Sleep(ElectionTimeout * 7 / 10)
	if len(read) > 0 {
		c.fatal("a read ended before the sentinel was committed: %v", <-read)
	}
	hold.Release()
	for range 2 {
		if err := <-read; err != nil {
			c.fatal("a read, once the sentinel could be committed: %v", err)
		}
	}
}

// alone holds everything a server sends and is sent: it is isolated, and what was
// held before can still be released to it.
func (c *Cluster) alone(i int) (undo func()) {
	c.Note("everything from and to %s is held", c.ID(i))
	from := c.Net.Hold(labrpc.Match{From: c.ID(i)})
	to := c.Net.Hold(labrpc.Match{To: c.ID(i)})
	return func() {
		from.Drop()
		to.Drop()
	}
}

// deposed waits until a server other than old leads, and has a command applied
// under it; false if that takes longer than patience.
func (c *Cluster) deposed(old int, patience time.Duration) bool {
	for began := time.Now(); time.Since(began) < patience; c.Sleep(5 * time.Millisecond) {
		for _, i := range c.others(old) {
			if _, leads := c.state(i); !leads {
				continue
			}
			command := c.Command(0)
			number, _, ok := c.Propose(i, command)
			return ok && c.await(100*time.Millisecond, func() bool {
				n, got := c.appliedByLocked(number)
				return n > 0 && string(got) == string(command)
			})
		}
	}
	return false
}

// delayedCommit (L3), after ruaft: the acknowledgements of a write reach the leader
// only after it was deposed without knowing. It may then commit and apply that
// write, but a read must not be answered: its log misses the second write.
func delayedCommit(c *Cluster) {
	hits := 0
	for range 12 {
		old := c.Leader()
		acks := c.Net.Hold(labrpc.Match{Kind: labrpc.Reply, To: c.ID(old), Method: MethodAppend})
		c.Propose(old, c.Command(0))
		acks.Wait(2, 100*time.Millisecond)
		undo := c.alone(old)
		if c.deposed(old, ElectionTimeout) {
			if _, leads := c.state(old); leads {
				hits++
			}
			read := make(chan error, 1)
			go func() { read <- c.Read(old, ElectionTimeout) }()
			c.Sleep(5 * time.Millisecond)
			acks.Release()
			c.Note("the acknowledgements are released")
			if err := <-read; err == nil {
				c.fatal("%s, deposed, answered a read", c.ID(old))
			}
		}
		acks.Drop()
		undo()
		c.Agree(c.Command(0), 3, true)
	}
	if hits == 0 {
		c.fatal("in none of 12 tries was a leader deposed without knowing: the script proves nothing")
	}
}

// oldHeartbeats (L2), after etcd#20418: a read is given up and asked again; meanwhile
// the leader is deposed. Answers to the heartbeats of the first try arrive during
// the second and must not count for it.
func oldHeartbeats(c *Cluster) {
	hits := 0
	for range 12 {
		old := c.Leader()
		beats := c.Net.Hold(labrpc.Match{Kind: labrpc.Reply, To: c.ID(old), Method: MethodHeartbeat})
		ctx, cancel := context.WithCancel(context.Background())
		first := make(chan error, 1)
		go func() { first <- c.Server(old).(Reader).Read(ctx) }()
		beats.Wait(2, 50*time.Millisecond)
		undo := c.alone(old)
		if c.deposed(old, ElectionTimeout) {
			if _, leads := c.state(old); leads {
				hits++
			}
			cancel()
			<-first
			second := make(chan error, 1)
			go func() { second <- c.Read(old, ElectionTimeout) }()
			c.Sleep(5 * time.Millisecond)
			beats.Release()
			c.Note("the old heartbeats' answers are released")
			if err := <-second; err == nil {
				c.fatal("%s, deposed, answered a read", c.ID(old))
			}
			first <- nil
		}
		cancel()
		<-first
		beats.Drop()
		undo()
		c.Agree(c.Command(0), 3, true)
	}
	if hits == 0 {
		c.fatal("in none of 12 tries was a leader deposed without knowing: the script proves nothing")
	}
}
