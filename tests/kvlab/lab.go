package kvlab

import (
	"fmt"
	"testing"

	"lockstep.example/raft/tests"
)

// scenario is one story, at the labs' number of servers and at others.
type scenario struct {
	name  string
	sizes []int // the labs' own first
	run   func(w *world)
}

// RunLab runs the parts of the labs that are plugged in, as subtests 4B/Basic and
// so on.
func RunLab(t *testing.T, s System) {
	for _, part := range Parts(s, testing.Short()) {
		t.Run(part.Name, func(t *testing.T) {
			if part.Name == "kvsrv" && s.ManyClients != nil {
				t.Run("MemPutManyClients", func(t *testing.T) { memPutManyClients(t, s.ManyClients()) })
			}
			for _, c := range part.Cases {
				tests.Run(t, c.Maker, []tests.Scenario{c.Scenario})
			}
		})
	}
}

// Part is one part of the labs.
type Part struct {
	Name  string
	Cases []Case
}

// Case is a scenario and the servers it is for.
type Case struct {
	tests.Scenario
	Maker tests.Maker
}

// Parts lists all scenarios for a system; short: those of the labs, at the labs'
// sizes alone. A case is good for one run.
func Parts(s System, short bool) []Part {
	var parts []Part
	add := func(name string, plugged bool, scenarios []scenario, world func() *world) {
		if !plugged {
			return
		}
		if len(parts) == 0 || parts[len(parts)-1].Name != name {
			parts = append(parts, Part{Name: name})
		}
		p := &parts[len(parts)-1]
		for _, sc := range scenarios {
			p.Cases = append(p.Cases, sc.cases(world, short)...)
		}
	}
	add("4A", s.RSM != nil, lab4A, func() *world { return &world{rsm: s.RSM} })
	add("4B", s.KV != nil, lab4B, func() *world { return &world{kv: s.KV} })
	if !short {
		add("4B", s.KV != nil, lab4BBeyond, func() *world { return &world{kv: s.KV} })
	}
	add("kvsrv", s.Alone != nil, labAlone, func() *world { return &world{kv: s.Alone} })
	if s.Lock != nil {
		add("lock", s.Alone != nil, labLock, func() *world { return &world{kv: s.Alone, lock: s.Lock} })
		if !short {
			add("lock", s.KV != nil, labLockCluster, func() *world { return &world{kv: s.KV, lock: s.Lock} })
		}
	}
	return parts
}

// cases makes a case of each size, with a fresh world: Basic, Basic-3servers.
func (sc scenario) cases(fresh func() *world, short bool) []Case {
	var cases []Case
	for i, size := range sc.sizes {
		name := sc.name
		if i > 0 {
			name = fmt.Sprintf("%s-%dservers", name, size)
		}
		if i > 0 && short {
			break
		}
		w := fresh()
		cases = append(cases, Case{
			tests.Scenario{Name: name, Servers: size, Run: func(c *tests.Cluster) { w.play(c, sc.run) }}, w.start,
		})
	}
	return cases
}
