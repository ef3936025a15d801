package tests

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lockstep.example/raft"
	"lockstep.example/raft/labrpc"
)

// These hold chosen messages of this module's own Raft and so force one
// interleaving.

// interleave runs a story on a fresh cluster and settles it.
func interleave(t *testing.T, servers int, story func(c *Cluster)) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCluster(t, servers, rand.Uint64(), Lockstep)
		story(c)
		c.Settle()
	})
}

// leaderAmong waits until one of the given servers leads, and returns it first.
func leaderAmong(c *Cluster, servers ...int) []int {
	c.T.Helper()
	var names []string
	for _, i := range servers {
		names = append(names, c.ID(i))
	}
	c.Net.Partition(names)
	for range 100 {
		c.Sleep(ElectionTimeout / 20)
		for k, i := range servers {
			if _, leads := c.state(i); leads {
				servers[0], servers[k] = servers[k], servers[0]
				return servers
			}
		}
	}
	c.fatal("none of %v leads: %s", names, c.why())
	return nil
}

// carries selects AppendEntries that hold an entry of at least the given term.
func carries(term uint64) labrpc.Match {
	return labrpc.Match{Kind: labrpc.Request, Method: MethodAppend, Where: func(m *labrpc.Message) bool {
		var args raft.AppendEntriesArgs
		if m.Decode(&args) != nil {
			return false
		}
		entries, err := args.Batch.Entries(args.PrevLogIndex + 1)
		return err == nil && len(entries) > 0 && entries[len(entries)-1].Term >= term
	}}
}

// TestFigure8 is Figure 8 of the paper, R1: an entry of an older term is on a
// majority, under a leader none of whose own entries is. It is not committed, and
// the next leader, without it, overwrites it.
func TestFigure8(t *testing.T) {
	interleave(t, 5, func(c *Cluster) {
		// (a) The leader appends two big commands, which reach one follower. Big,
		// so that they travel apart from what follows them.
		a := c.Leader()
		number := c.Agree(c.Command(0), 5, false)
		b := (a + 1) % 5
		c.Net.Partition([]string{c.ID(a), c.ID(b)})
		c.MustPropose(a, c.Command(60<<10))
		c.MustPropose(a, c.Command(60<<10))
		c.Sleep(ElectionTimeout / 5)
		c.Crash(a)

		// (b) One of the other three leads, and nobody gets its entries.
		held := c.Net.Hold(labrpc.Match{Kind: labrpc.Request, Method: MethodAppend})
		others := leaderAmong(c, (a+2)%5, (a+3)%5, (a+4)%5)
		e := others[0]
		c.Sleep(ElectionTimeout / 10)
		c.Crash(e)
		held.Drop()

		// (c) The first two and a third server go on. The old commands reach the
		// third one; the new leader's own entry, its sentinel, reaches nobody. (The
		// leader's first message to the third one, the sentinel alone, may pass: that
		// log is shorter, so it is refused and tells the leader where to begin.)
		c.Start(a)
		term, _ := c.state(others[1])
		own := carries(term + 1)
		held = c.Net.Hold(labrpc.Match{Kind: own.Kind, Method: own.Method, Where: func(m *labrpc.Message) bool {
			var args raft.AppendEntriesArgs
			return own.Where(m) && m.Decode(&args) == nil && (m.To != c.ID(others[1]) || args.Batch.Count > 1)
		}})
		trio := leaderAmong(c, a, b, others[1])
		c.Sleep(2 * ElectionTimeout)
		var third atomic.Uint64
		c.Net.Hold(labrpc.Match{Kind: labrpc.Reply, From: c.ID(others[1]), Method: MethodHeartbeat, Where: func(m *labrpc.Message) bool {
			var reply raft.AppendEntriesReply
			_ = m.Decode(&reply)
			third.Store(reply.LastLogIndex) // looks, and holds nothing
			return false
		}})
		c.Sleep(ElectionTimeout / 5)
		if third.Load() < 4 { // configuration, sentinel, the first command, and the one in question
			c.fatal("the log of %s ends at index %d: it was not sent the old command", c.ID(others[1]), third.Load())
		}
		c.NotApplied(number + 1)

		// (d) They crash; the one of (b) leads again and overwrites.
		c.Crash(trio...)
		held.Drop()
		c.Start(e)
		c.Start(others[1])
		if leader := leaderAmong(c, e, others[1], others[2])[0]; leader != e {
			c.fatal("%s leads, although the log of %s is better", c.ID(leader), c.ID(e))
		}
		c.Agree(c.Command(0), 3, true)
	})
}

// TestTermsApart, E9: of two servers one has the longer log and the other the
// higher term. They must elect; the refusals tell the first one the term.
func TestTermsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCluster(t, 3, rand.Uint64(), Lockstep)
		c.Crash(2)
		c.Net.Partition([]string{"s0", "s2"})
		s2 := newStub(c, "s2")
		s2.append("s0", 10, 1, 1, 1, 10, 10, 10)
		c.Net.Partition([]string{"s1", "s2"})
		if r := s2.vote("s1", 17, 9, 9); !r.Granted {
			t.Fatalf("%+v", r)
		}
		s2.e.Close()
		c.Net.Heal()
		c.Sleep(4 * ElectionTimeout)
		leader, term, ok := c.leaderNow()
		if !ok || c.ID(leader) != "s0" || term <= 17 {
			c.fatal("after %v: %s", 4*ElectionTimeout, c.why())
		}
		c.Agree(c.Command(0), 2, false)
	})
}

// TestLateConflict, R7: a message overtakes the one before it, is refused, and
// the refusal arrives when the follower has long acknowledged the other. It must
// not move nextIndex back below matchIndex; and yet what the refused message
// carried must be sent again, although nobody proposes anything more.
func TestLateConflict(t *testing.T) {
	interleave(t, 3, func(c *Cluster) {
		c.SetFlushTime(100*time.Microsecond, 100*time.Microsecond)
		leader := c.Leader()
		follower := (leader + 1) % 3
		c.Crash(leader + 2)
		c.Agree(c.Command(0), 2, false)
		c.Sleep(ElectionTimeout / 5) // the commit point has been carried

		request := c.Net.Hold(labrpc.Match{Kind: labrpc.Request, To: c.ID(follower), Method: MethodAppend, Nth: 1})
		refusal := c.Net.Hold(labrpc.Match{Kind: labrpc.Reply, From: c.ID(follower), Method: MethodAppend, Nth: 1})
		c.MustPropose(leader, c.Command(0))
		if !request.Wait(1, ElectionTimeout) {
			c.fatal("the first command was not sent")
		}
		c.Sleep(10 * time.Millisecond)
		number, _ := c.MustPropose(leader, c.Command(0))
		if !refusal.Wait(1, ElectionTimeout/2) {
			c.fatal("the second command was not answered")
		}
		c.Note("the refusal is held, the first command released")
		request.Release()
		c.Sleep(50 * time.Millisecond)
		c.Note("the refusal is released")
		refusal.Release()
		applied := c.await(2*ElectionTimeout, func() bool {
			n, _ := c.appliedByLocked(number)
			return n == 2
		})
		if !applied {
			c.fatal("number %d is not applied after %v: %s", number, 2*ElectionTimeout, c.why())
		}
	})
}
