package tests

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
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

// atEverySize offers scenarios of the labs at 3, 5 and 7 servers: under its own
// name at the labs' size, "Backup", and as "Backup-7servers" at another.
func atEverySize(labs []Scenario) []Scenario {
	var all []Scenario
	for _, s := range labs {
		all = append(all, s)
		for _, n := range []int{3, 5, 7} {
			if n != s.Servers {
				all = append(all, Scenario{fmt.Sprintf("%s-%dservers", s.Name, n), n, s.Run})
			}
		}
	}
	return all
}

// Part is one part of a lab.
type Part struct {
	Name      string
	Scenarios []Scenario
}

// Lab returns the parts of the Raft lab that are here.
func Lab() []Part { return []Part{{"3A", Lab3A}, {"3B", Lab3B}, {"3C", Lab3C}} }

// RunLab runs the Raft lab against servers of one's own, as subtests 3A/ReElection
// and so on. It is all that a test file of a Raft under test has to call.
func RunLab(t *testing.T, maker Maker) {
	for _, part := range Lab() {
		t.Run(part.Name, func(t *testing.T) { Run(t, maker, part.Scenarios) })
	}
}

// spare is how many servers can be away and leave a quorum; quorum is how many
// make one; after lists the n servers that follow one in place.
func (c *Cluster) spare() int  { return (c.N - 1) / 2 }
func (c *Cluster) quorum() int { return c.N - c.spare() }

func (c *Cluster) after(server, n int) []int {
	var servers []int
	for k := range n {
		servers = append(servers, (server+1+k)%c.N)
	}
	return servers
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
				s.play(attributed{t}, maker, seed)
			})
		})
	}
}

// attributed is a *testing.T that also tells each failure as an attribute, which
// programs find in the events of go test -json.
type attributed struct{ *testing.T }

// Errorf implements T.
func (t attributed) Errorf(format string, args ...any) {
	t.Helper()
	message := fmt.Sprintf(format, args...)
	t.Attr("failure", strings.Join(strings.Fields(message), " "))
	t.T.Errorf("%s", message)
}

// play runs a scenario on a fresh cluster and settles it, in a bubble.
func (s Scenario) play(t T, maker Maker, seed uint64) {
	c := NewCluster(t, s.Servers, seed, maker)
	s.Run(c)
	c.Settle()
	if took := time.Since(c.began); took > limit {
		c.fatal("the scenario took %v of virtual time, the limit is %v", took, limit)
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
