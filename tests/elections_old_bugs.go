package tests

import (
	"time"

	"lockstep.example/raft/labrpc"
)

// evenSplit (E7): two leaders were seen in term 11 of canonical/raft (#386). Four
// servers fall into two halves before there was any leader: neither half is a
// quorum. Who takes it for one elects two leaders, in the same term.
func evenSplit(c *Cluster) {
	c.Net.Partition([]string{c.ID(0), c.ID(1)}, []string{c.ID(2), c.ID(3)})
	c.Sleep(5 * ElectionTimeout)
	c.NoLeader()
	c.Net.Heal()
	c.Agree(c.Command(0), 4, true)
}

// longOldLog (E9): with pre-vote, a pair was stuck for ever in which one server
// had the longer log and the other the higher term (openraft#1796, etcd#8501). The
// one with the log is the only one that can win, and its pre-votes ask for a term
// the other is past: it must learn that term from the refusal.
//
//	old leader:  ... 2 2 2 2    in term 2, cut off while it took commands
//	voter:       ... 2          in term 3, elected a leader it never got entries of
//	new leader:  ... 2 3        dies
func longOldLog(c *Cluster) {
	old := c.Leader()
	c.Agree(c.Command(0), 3, false)
	appends := c.Net.Hold(labrpc.Match{Kind: labrpc.Request, Method: MethodAppend})
	c.Disconnect(old)
	for range 5 {
		c.MustPropose(old, c.Command(0))
	}
	leader := c.Leader()
	c.Sleep(2 * ElectionTimeout) // the old leader has stepped down
	if term, leads := c.state(old); leads {
		c.fatal("%s still leads term %d", c.ID(old), term)
	}
	c.Crash(leader)
	appends.Drop()
	c.Connect(old)
	c.Sleep(4 * ElectionTimeout)
	switch now, _, ok := c.leaderNow(); {
	case !ok:
		c.fatal("the longer log and the higher term wait for each other: no leader after %v: %s", 4*ElectionTimeout, c.why())
	case now != old:
		c.fatal("%s leads, and %s has the longer log", c.ID(now), c.ID(old))
	}
	c.Agree(c.Command(0), 2, true)
}

// cutOffLeader (E11): with pre-vote nobody's higher term reaches a leader that
// lost its quorum, so one of cockroach's (#27772) never stepped down, and its log
// grew. Within two election timeouts a leader that is cut off must accept nothing
// any more.
func cutOffLeader(c *Cluster) {
	old := c.Leader()
	c.Agree(c.Command(0), 5, false)
	c.Disconnect(old)
	cut := time.Now()
	accepted := 0
	for time.Since(cut) < 2*ElectionTimeout {
		if _, _, ok := c.Propose(old, c.Command(0)); ok {
			accepted++
		}
		c.Sleep(10 * time.Millisecond)
	}
	for range 100 {
		if _, term, ok := c.Propose(old, c.Command(0)); ok {
			c.fatal("%s lost its quorum %v ago and still accepts proposals in term %d, %d so far", c.ID(old), time.Since(cut), term, accepted)
		}
		c.Sleep(10 * time.Millisecond)
	}
	if accepted == 0 {
		c.fatal("%s accepted nothing after the cut: it did not lead", c.ID(old))
	}
	c.Agree(c.Command(0), 4, true)
}

// appendsTo selects every AppendEntries to a server, heartbeats included.
func appendsTo(id string) labrpc.Match {
	return labrpc.Match{Kind: labrpc.Request, To: id, Where: func(m *labrpc.Message) bool {
		return m.Method == MethodAppend || m.Method == MethodHeartbeat
	}}
}
