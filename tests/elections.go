package tests

import (
	"fmt"
	"time"
)

// Elections are the scenarios for who leads: sizes, lost links, rejoins. A name
// that begins with E and a number is that of an old bug of some known Raft.
var Elections = func() []Scenario {
	scenarios := []Scenario{
		{"E7EvenSplit", 4, evenSplit},
		{"E8BehindInTerm", 3, behindInTerm},
		{"E9LongOldLog", 3, longOldLog},
		{"E11CutOffLeader", 5, cutOffLeader},
		{"E14LongAbsence", 3, longAbsence},
		{"E14NoDisruptiveRejoin", 5, noDisruptiveRejoin},
		{"E15DisruptiveLiveness", 5, disruptiveLiveness},
		{"E15OneLinkCut", 3, oneLinkCut},
		{"OneWay", 3, oneWay},
	}
	for _, n := range []int{1, 2, 3, 4, 5, 7} {
		scenarios = append(scenarios, Scenario{fmt.Sprint("Servers", n), n, sizes})
	}
	return scenarios
}()

// sizes: for every number of servers there is a leader within two election
// timeouts, with as many of them as make a quorum and not with one fewer.
func sizes(c *Cluster) {
	c.Sleep(2 * ElectionTimeout)
	leader, _, ok := c.leaderNow()
	if !ok {
		c.fatal("no leader after %v: %s", 2*ElectionTimeout, c.why())
	}
	c.Agree(c.Command(0), c.N, false)

	spare := (c.N - 1) / 2
	for i := range spare {
		c.Disconnect(leader + i)
	}
	c.Agree(c.Command(0), c.N-spare, true)
	if c.N == 1 {
		return
	}
	c.Disconnect(leader + spare)
	c.Sleep(2 * ElectionTimeout)
	for i := range c.N {
		if term, leads := c.state(i); leads {
			c.fatal("%s leads term %d; no quorum can reach it", c.ID(i), term)
		}
	}
	c.Connect(leader + spare)
	c.Agree(c.Command(0), c.N-spare, true)
}

// linkOnly cuts every link of a server but those to the given ones.
func (c *Cluster) linkOnly(i int, to ...int) {
	c.Note("%s keeps only its links to %v", c.ID(i), to)
	for _, other := range c.others(append(to, i)...) {
		c.Net.CutPair(c.ID(i), c.ID(other))
	}
}

// steady fails the test if leader or term move within d.
func (c *Cluster) steady(leader int, term uint64, d time.Duration) {
	c.T.Helper()
	for range 20 {
		c.Sleep(d / 20)
		if now, leads := c.state(leader); !leads || now != term {
			c.fatal("%s led term %d; now it is in term %d, leads %v: %s", c.ID(leader), term, now, leads, c.why())
		}
	}
}

// noDisruptiveRejoin (E14), after ruaft: servers that were cut off came back with
// high terms and deposed a good leader (logcabin#56, hashicorp/raft#524). Two
// servers lose the leader and reach one follower each. Their campaigns must not
// disturb a leader that has a quorum, nor must their return.
//
//	leader -- 1 -- 3
//	   \      |
//	    `---- 2 -- 4
func noDisruptiveRejoin(c *Cluster) {
	leader := c.Leader()
	c.Agree(c.Command(0), 5, false)
	term := c.AgreedTerm()
	c.linkOnly(leader+3, leader+1)
	c.linkOnly(leader+4, leader+2)

	c.Agree(c.Command(0), 3, false)
	c.steady(leader, term, 10*ElectionTimeout)
	c.Agree(c.Command(0), 3, false)

	c.Note("all links work again")
	c.Net.Heal()
	c.steady(leader, term, 3*ElectionTimeout)
	c.Agree(c.Command(0), 5, false)
	if now := c.AgreedTerm(); now != term {
		c.fatal("the term moved from %d to %d", term, now)
	}
}

// disruptiveLiveness (E15), after ruaft: one server is gone and the leader keeps a
// single follower. The three that are linked to one another must elect one of
// themselves, although one of them still hears the leader; and then it stays.
//
//	leader -- 1 -- 2
//	           \   |     4 is gone
//	            `- 3
func disruptiveLiveness(c *Cluster) {
	old := c.Leader()
	c.Agree(c.Command(0), 5, false)
	c.AgreedTerm()
	c.Disconnect(old + 4)
	c.linkOnly(old, old+1)

	c.Sleep(3 * ElectionTimeout)
	leader, term, ok := c.leaderNow()
	if !ok || leader == old {
		c.fatal("no new leader after %v: %s", 3*ElectionTimeout, c.why())
	}
	c.Agree(c.Command(0), 3, false)
	c.steady(leader, term, 10*ElectionTimeout)
}

// longAbsence (E14): a server that was alone for a minute has not raised its term,
// and its return changes nothing.
func longAbsence(c *Cluster) {
	leader := c.Leader()
	term := c.AgreedTerm()
	away := leader + 1
	c.Disconnect(away)
	c.Agree(c.Command(0), 2, false)
	c.steady(leader, term, 60*ElectionTimeout)
	if now, _ := c.state(away); now != term {
		c.fatal("%s, alone, went from term %d to %d", c.ID(away), term, now)
	}
	c.Connect(away)
	c.steady(leader, term, 3*ElectionTimeout)
	c.Agree(c.Command(0), 3, false)
	if now := c.AgreedTerm(); now != term {
		c.fatal("the term moved from %d to %d", term, now)
	}
}

// behindInTerm (E8): a server of etcd (#8243) ignored the messages of one with a
// lower term, and the two elected nobody. A server slept through some terms; at the
// moment it returns one of the two others dies. The pair must elect although their
// terms differ.
func behindInTerm(c *Cluster) {
	first := c.Leader()
	away := first + 1
	c.Disconnect(away)
	for range 4 {
		c.Restart(c.Leader()) // each costs a term
		c.Agree(c.Command(0), 2, true)
	}
	leader := c.Leader()
	c.Connect(away)
	c.Crash(leader)
	c.Sleep(4 * ElectionTimeout)
	if _, _, ok := c.leaderNow(); !ok {
		c.fatal("no leader after %v: %s", 4*ElectionTimeout, c.why())
	}
	c.Agree(c.Command(0), 2, true)
}

// oneWay: links that work in one direction only. A leader that hears nobody
// steps down; a follower that is heard and does not hear disturbs nobody.
func oneWay(c *Cluster) {
	leader := c.Leader()
	term := c.AgreedTerm()
	deaf := leader + 1
	c.Note("%s hears nobody", c.ID(deaf))
	for _, i := range c.others(deaf) {
		c.Net.Cut(c.ID(i), c.ID(deaf))
	}
	c.steady(leader, term, 10*ElectionTimeout)
	c.Agree(c.Command(0), 2, false)
	c.Net.Heal()
	c.steady(leader, term, 3*ElectionTimeout)
	c.Agree(c.Command(0), 3, false)

	c.Note("%s, the leader, hears nobody", c.ID(leader))
	for _, i := range c.others(leader) {
		c.Net.Cut(c.ID(i), c.ID(leader))
	}
	c.Sleep(2 * ElectionTimeout)
	if now, leads := c.state(leader); leads {
		c.fatal("%s still leads term %d after %v without an answer", c.ID(leader), now, 2*ElectionTimeout)
	}
	c.Agree(c.Command(0), 2, true)
}

// oneLinkCut (E15): a follower that reaches the other one and not the leader must
// not take the leadership, although its log is as good and its voter would do.
func oneLinkCut(c *Cluster) {
	leader := c.Leader()
	c.Agree(c.Command(0), 3, false)
	term := c.AgreedTerm()
	c.linkOnly(leader+1, leader+2)
	c.steady(leader, term, 10*ElectionTimeout)
	c.Agree(c.Command(0), 2, false)
}
