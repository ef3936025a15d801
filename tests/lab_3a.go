package tests

import "time"

// Lab3A are the labs' scenarios for elections.
var Lab3A = atEverySize([]Scenario{
	{"InitialElection", 3, initialElection},
	{"ReElection", 3, reElection},
	{"ManyElections", 7, manyElections},
})

// initialElection: one leader, one term for all, and both stay.
func initialElection(c *Cluster) {
	leader := c.Leader()
	c.Sleep(50 * time.Millisecond)
	term := c.AgreedTerm()
	if term < 1 {
		c.fatal("the term is %d after an election", term)
	}
	c.Sleep(2 * ElectionTimeout)
	if later := c.AgreedTerm(); later != term {
		c.fatal("the term moved from %d to %d on a quiet network", term, later)
	}
	if again := c.Leader(); again != leader {
		c.fatal("%s led, now %s does, on a quiet network", c.ID(leader), c.ID(again))
	}
}

// reElection: a lost leader is replaced, its return disturbs nobody, and without
// a quorum nobody leads.
func reElection(c *Cluster) {
	first := c.Leader()
	c.Disconnect(first)
	second := c.Leader()
	term, _ := c.state(second)
	c.Connect(first)
	c.Sleep(ElectionTimeout)
	if leader, now, _ := c.leaderNow(); leader != second || now != term {
		c.fatal("%s led term %d; after the return of %s, %s leads term %d", c.ID(second), term, c.ID(first), c.ID(leader), now)
	}

	c.Disconnect(second)
	c.Disconnect(c.after(second, c.spare())...)
	c.Sleep(2 * ElectionTimeout)
	c.NoLeader()

	c.Connect(second + 1)
	c.Leader()
	c.Connect(c.all()...)
	c.Leader()
}

// manyElections: of seven, any four can elect.
func manyElections(c *Cluster) {
	c.Leader()
	for range 9 {
		var gone []int
		for range c.spare() {
			gone = append(gone, c.Random(c.N))
		}
		c.Disconnect(gone...)
		c.Leader()
		c.Connect(gone...)
	}
	c.Leader()
}
