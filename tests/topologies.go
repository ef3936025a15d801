package tests

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Topologies returns a scenario for every way in which links can be missing: each
// directed graph of links between three servers (64) and each undirected one
// between five (1,024). sample keeps one in sixteen of the latter.
//
// Partial partitions kept well-known systems without a leader, or changing
// leaders for hours (Cloudflare, 2 November 2020), although some server could
// reach a majority all the time. Here, wherever a server keeps links in both
// directions to a majority, itself included, there must be a leader within
// topologyBound, then neither leader nor term may move, and it must be able to
// commit. Where no server has that, nobody may lead.
//
// One case is an exception, by a safety rule and not by chance: the only server
// with a majority lacks entries that are committed. It is the scenario
// E15-Constrained.
func Topologies(sample bool) []Scenario {
	scenarios := []Scenario{{"E15-Constrained", 5, constrained}}
	for _, g := range directed(3) {
		scenarios = append(scenarios, Scenario{"E15-" + g.name(), 3, g.scenario})
	}
	for i, g := range undirected(5) {
		if !sample || i%16 == 5 {
			scenarios = append(scenarios, Scenario{"E15-" + g.name(), 5, g.scenario})
		}
	}
	return scenarios
}

// topologyBound is how long an election may take after the cut: the old leader
// needs an election timeout to see that it lost its quorum, the others another
// one to forget it, and the one server that can win may find that its first
// campaigns begin too early.
const topologyBound = 5 * ElectionTimeout

// graph says which links work: from, to.
type graph [][]bool

func newGraph(n int) graph {
	g := make(graph, n)
	for i := range g {
		g[i] = make([]bool, n)
	}
	return g
}

// directed returns every graph of n servers.
func directed(n int) []graph {
	var all []graph
	for bits := range 1 << (n * (n - 1)) {
		g := newGraph(n)
		for from := range n {
			for to := range n {
				if from != to {
					g[from][to] = bits&1 == 1
					bits >>= 1
				}
			}
		}
		all = append(all, g)
	}
	return all
}

// undirected returns every graph of n servers whose links work in both
// directions.
func undirected(n int) []graph {
	var all []graph
	for bits := range 1 << (n * (n - 1) / 2) {
		g := newGraph(n)
		for a := range n {
			for b := range a {
				g[a][b], g[b][a] = bits&1 == 1, bits&1 == 1
				bits >>= 1
			}
		}
		all = append(all, g)
	}
	return all
}

// name lists the links: "5servers-01-23" has one between s0 and s1 and one
// between s2 and s3, "3servers-0to1" one from s0 to s1 alone.
func (g graph) name() string {
	name := []string{fmt.Sprint(len(g), "servers")}
	for a := range g {
		for b := range g {
			switch {
			case g[a][b] && g[b][a] && a < b:
				name = append(name, fmt.Sprint(a, b))
			case g[a][b] && !g[b][a]:
				name = append(name, fmt.Sprintf("%dto%d", a, b))
			}
		}
	}
	return strings.ReplaceAll(strings.Join(name, "-"), " ", "")
}

// electable returns the servers with links in both directions to a majority.
func (g graph) electable() []int {
	var all []int
	for a := range g {
		reached := 1
		for b := range g {
			if g[a][b] && g[b][a] {
				reached++
			}
		}
		if 2*reached > len(g) {
			all = append(all, a)
		}
	}
	return all
}

// cutTo leaves the links of a graph.
func (c *Cluster) cutTo(g graph) {
	c.Note("the links left: %s", g.name())
	for from := range g {
		for to := range g {
			if from != to && !g[from][to] {
				c.Net.Cut(c.ID(from), c.ID(to))
			}
		}
	}
}

// scenario: servers that agree on everything lose all links but those of g.
func (g graph) scenario(c *Cluster) {
	c.Leader()
	c.Agree(c.Command(0), c.N, true)
	c.cutTo(g)
	if len(g.electable()) == 0 {
		c.Sleep(2 * ElectionTimeout)
		for range 10 {
			c.NoLeader()
			c.Sleep(ElectionTimeout / 5)
		}
		return
	}
	leader, term := c.leaderWithin(topologyBound, g.electable())
	// Nothing is proposed meanwhile: entries that a server lacks would keep it from
	// winning, and hide what else may fail to.
	c.steady(leader, term, 4*ElectionTimeout)
	c.commits(leader)
	for i := range c.N {
		if term, leads := c.state(i); leads && i != leader {
			c.fatal("%s leads term %d beside %s", c.ID(i), term, c.ID(leader))
		}
	}
}

// commits fails the test unless a command given to the leader is applied by a
// majority. (A leader that was cut off may not know it yet: it is not asked.)
func (c *Cluster) commits(leader int) {
	c.T.Helper()
	number, _ := c.MustPropose(leader, c.Command(0))
	if !c.await(submitPatience, func() bool { n, _ := c.appliedByLocked(number); return n > c.N/2 }) {
		c.fatal("%s leads and number %d was not applied by a majority within %v: %s", c.ID(leader), number, submitPatience, c.why())
	}
}

// leaderWithin waits until one of some servers leads; it fails the test if none
// does in time.
func (c *Cluster) leaderWithin(bound time.Duration, candidates []int) (leader int, term uint64) {
	c.T.Helper()
	for range 100 {
		if leader, term, ok := c.leaderNow(); ok && slices.Contains(candidates, leader) {
			return leader, term
		}
		c.Sleep(bound / 100)
	}
	c.fatal("no leader after %v, and each of %v can reach a majority: %s", bound, candidates, c.why())
	return 0, 0
}

// constrained: a server was away while the others committed, and then it is the
// only one with a majority of links. It must not be elected, for it lacks what is
// committed (Leader Completeness), and no other can be: Raft has no leader here
// until one more link works. Nothing is lost, and one link is enough.
//
//	1   2
//	 \ /
//	 hub      is behind 1, 2, 3 and 4
//	 / \
//	3   4
func constrained(c *Cluster) {
	hub := c.Leader()
	c.Agree(c.Command(0), 5, true)
	c.Disconnect(hub)
	for range 3 {
		c.Agree(c.Command(0), 4, true)
	}
	c.Sleep(2 * ElectionTimeout) // the hub has stepped down
	star := newGraph(5)
	for _, i := range c.others(hub) {
		star[hub][i], star[i][hub] = true, true
	}
	c.cutTo(star)
	c.Connect(hub)
	// Whoever leads now may reach the hub before its term ends: it can then hand
	// over what the hub lacks. Hold that, so that the hub stays behind.
	hold := c.Net.Hold(appendsTo(c.ID(hub)))
	c.Sleep(10 * ElectionTimeout)
	c.NoLeader()
	hold.Drop()

	a, b := hub+1, hub+2
	c.Note("the link between %s and %s works again", c.ID(a), c.ID(b))
	c.Net.Restore(c.ID(a), c.ID(b))
	c.Net.Restore(c.ID(b), c.ID(a))
	leader, term := c.leaderWithin(topologyBound, []int{a % 5, b % 5})
	c.steady(leader, term, 10*ElectionTimeout)
	c.Agree(c.Command(0), 3, true)
}
