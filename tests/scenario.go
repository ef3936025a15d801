package tests

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"lockstep.example/raft/labrpc"
)

// Scenario is one story that servers must survive.
type Scenario struct {
	Name    string
	Servers int
	Run     func(c *Cluster)
}

// limit is how long a scenario may take, in virtual time: the labs' own limit.
const limit = 120 * time.Second

// Run runs scenarios as parallel subtests, each on a fresh cluster in a bubble of
// its own, and settles each in the end.
func Run(t *testing.T, maker Maker, scenarios []Scenario) {
	for _, s := range scenarios {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			seed := seed(t)
			synctest.Test(t, func(t *testing.T) {
				c := NewCluster(t, s.Servers, seed, maker)
				s.Run(c)
				c.Settle()
				if took := time.Since(c.began); took > limit {
					c.fatal("the scenario took %v of virtual time, the limit is %v", took, limit)
				}
			})
		})
	}
}

// seed is the one asked for in the environment, or a random one.
func seed(t *testing.T) uint64 {
	text := os.Getenv("LOCKSTEP_SEED")
	if text == "" {
		return rand.Uint64()
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("LOCKSTEP_SEED=%q is not a number", text)
	}
	return n
}

// Settle ends a scenario: with every fault mended and every server started, all
// must come to agree within the usual time, and the monitors must be content.
func (c *Cluster) Settle() {
	c.T.Helper()
	c.Note("settles")
	c.Net.SetConditions(labrpc.Reliable())
	c.Net.Heal()
	for i := range c.N {
		if !c.Alive(i) {
			c.Start(i)
		}
	}
	c.Connect(c.all()...)
	c.Agree(c.Command(0), c.N, true)
	// The last command may have been followed by others of retries that are
	// committed late: wait until all stand at the same number.
	applied := map[string]uint64{}
	even := c.await(agreePatience, func() bool {
		for i, m := range c.members {
			applied[c.ids[i]] = uint64(len(m.life.applied))
		}
		for _, n := range applied {
			if n != c.top {
				return false
			}
		}
		return true
	})
	if !even {
		c.fatal("after %v some servers have still not applied all %d commands: %v; %s", agreePatience, c.top, applied, c.why())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.monitors {
		if err := m.Finish(applied); err != nil {
			c.failLocked(err)
		}
	}
}
