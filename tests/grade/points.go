package main

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"lockstep.example/raft/tests"
	"lockstep.example/raft/tests/kvlab"
)

// weights says what the scenarios of a part are worth: 4 for one rule, 8 for
// several at once, 12 for those that find what all others miss.
type weights struct {
	part, title string
	required    bool           // counts even if the package has no test of it
	named       map[string]int // by scenario
	others      int            // each of those not named
}

var table = []weights{
	{part: "3A", title: "elections", required: true, others: 8, named: map[string]int{"InitialElection": 4}},
	{part: "3B", title: "agreement", required: true, others: 4, named: map[string]int{
		"FailAgree": 8, "Rejoin": 8, "Backup": 12, "Count": 8,
	}},
	{part: "3C", title: "persistence", required: true, others: 8, named: map[string]int{
		"Persist1": 4, "Persist3": 4, "UnreliableAgree": 4, "Figure8": 12, "Figure8Unreliable": 12,
	}},
	{part: "4A", title: "replicated state machine", others: 4},
	{part: "4B", title: "key-value store", others: 4},
	{part: "kvsrv", title: "key-value server", others: 4},
	{part: "lock", title: "lock on a key-value store", others: 6},
	{part: "labrpc", title: "simulated network", others: 2},
}

// part is one part of the labs, with its scenarios.
type part struct {
	weights
	scenarios []scenario
}

// scenario is one row of the table of points. One that runs at several sizes
// earns half of its points at the labs' own size, its first, and shares the other
// half among the rest.
type scenario struct {
	name   string
	points int
	sizes  []size
}

// size is one test: the scenario at so many servers.
type size struct {
	test    string // 3B/Backup-7servers
	servers int    // 0: it does not say
	points  int
}

// known lists the tests of the labs that are here, in their order.
func known() []size {
	var all []size
	for _, p := range tests.Lab() {
		for _, s := range p.Scenarios {
			all = append(all, size{test: p.Name + "/" + s.Name, servers: s.Servers})
		}
	}
	for _, p := range kvlab.Parts(kvlab.Lockstep(), false) {
		for _, c := range p.Cases {
			all = append(all, size{test: p.Name + "/" + c.Name, servers: c.Servers})
		}
	}
	for _, s := range tests.LabRPC {
		all = append(all, size{test: "labrpc/" + s.Name})
	}
	return all
}

// partsOf returns the parts that count for a package: the required ones, those of
// which it ran something, and all that were asked for. ran has the tests it ran.
func partsOf(ran, asked []string) []part {
	list := known()
	for _, test := range ran {
		if !slices.ContainsFunc(list, func(s size) bool { return s.test == test }) {
			list = append(list, size{test: test})
		}
	}
	var parts []part
	for _, w := range table {
		has := func(test string) bool { return strings.HasPrefix(test, w.part+"/") }
		if len(asked) > 0 && !slices.Contains(asked, w.part) ||
			len(asked) == 0 && !w.required && !slices.ContainsFunc(ran, has) {
			continue
		}
		p := part{weights: w}
		for _, s := range list {
			if has(s.test) {
				p.add(s)
			}
		}
		for i := range p.scenarios {
			p.scenarios[i].share()
		}
		parts = append(parts, p)
	}
	return parts
}

var otherSize = regexp.MustCompile(`-\d+servers$`)

// add puts a test into the row of its scenario.
func (p *part) add(s size) {
	name := otherSize.ReplaceAllString(strings.TrimPrefix(s.test, p.part+"/"), "")
	for i := range p.scenarios {
		if p.scenarios[i].name == name {
			p.scenarios[i].sizes = append(p.scenarios[i].sizes, s)
			return
		}
	}
	points := cmp.Or(p.named[name], p.others)
	p.scenarios = append(p.scenarios, scenario{name, points, []size{s}})
}

// share divides the points of a scenario among its sizes.
func (s *scenario) share() {
	left := s.points
	for i := 1; i < len(s.sizes); i++ {
		s.sizes[i].points = s.points / 2 / (len(s.sizes) - 1)
		left -= s.sizes[i].points
	}
	s.sizes[0].points = left
}
