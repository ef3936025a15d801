package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// tally is what all passes say of one test.
type tally struct {
	runs, passes int
	failure      string // of the first pass that failed
}

// grader runs the lab of one package some times.
type grader struct {
	pkg     string
	parts   []string // those asked for; none: all
	count   int
	timeout time.Duration // of one process
	show    *progress
	test    runner

	tallies map[string]*tally // by name below TestLab: 3B/Backup
}

// runner runs the tests of a package that match a pattern: goTest.
type runner func(pkg, pattern string, timeout time.Duration, seen func(test string, o outcome)) (*pass, error)

// mostHung is how many scenarios in a row may hang before the others are given up.
const mostHung = 3

// timedOut is in the panic of a test binary that ran for too long.
const timedOut = "test timed out"

// errSetup is a reason why nothing could be graded.
type errSetup struct{ text string }

func (e errSetup) Error() string { return e.text }

// run makes all passes.
func (g *grader) run() error {
	g.tallies = map[string]*tally{}
	for n := range g.count {
		g.show.begin(n+1, g.count)
		if err := g.onePass(); err != nil {
			return err
		}
	}
	g.show.end()
	return nil
}

// onePass runs the whole lab in one process. A panic or a deadlock ends that
// process, and all that had not ended by then is run again, each scenario in a
// process of its own: one that crashes must not cost the others their points.
func (g *grader) onePass() error {
	p, err := g.test(g.pkg, g.pattern(), g.timeout, g.seen)
	if err != nil {
		return err
	}
	if err := g.check(p); err != nil {
		return err
	}
	hung := 0
	for _, name := range g.expected(p) {
		r := p.tests[labTest+"/"+name]
		if r == nil {
			r = &result{}
		}
		if p.interrupted() && (r.outcome == missing || r.outcome == unfinished) {
			if hung == mostHung {
				r = &result{failure: fmt.Sprintf("not run: %d scenarios in a row before it hung", hung)}
			} else if r, err = g.alone(name); err != nil {
				return err
			}
			if strings.HasPrefix(r.failure, "hangs") {
				hung++
			} else if r.outcome != missing {
				hung = 0
			}
		}
		g.add(name, r)
	}
	return nil
}

// alone runs one scenario in a process of its own.
func (g *grader) alone(name string) (*result, error) {
	limit := g.timeout / 4
	p, err := g.test(g.pkg, exact(name), limit, g.seen)
	if err != nil {
		return nil, err
	}
	r := p.tests[labTest+"/"+name]
	switch {
	case r == nil:
		r = &result{failure: "the process ended before it: " + firstOf(p.outside)}
	case r.outcome == unfinished:
		all := &result{output: append(slices.Clone(r.output), p.outside...)}
		r = &result{outcome: failed, failure: all.why()}
		if strings.Contains(r.failure, timedOut) {
			r.failure = fmt.Sprintf("hangs for %v: a goroutine waits for a mutex, or spins, so virtual time stands still", limit)
		}
	}
	return r, nil
}

func (g *grader) add(name string, r *result) {
	t := g.tallies[name]
	if t == nil {
		t = &tally{}
		g.tallies[name] = t
	}
	t.runs++
	if r.outcome == passed {
		t.passes++
	} else if t.failure == "" {
		t.failure = r.why()
	}
}

// seen is told of each test that ended.
func (g *grader) seen(test string, o outcome) {
	if strings.Count(test, "/") == 2 {
		g.show.ended(strings.TrimPrefix(test, labTest+"/"), o)
	}
}

// expected lists what a pass must have run: all tests of the parts that count,
// and what else was seen.
func (g *grader) expected(p *pass) []string {
	var ran []string
	for test := range p.tests {
		if name, ok := strings.CutPrefix(test, labTest+"/"); ok && strings.Count(name, "/") == 1 {
			ran = append(ran, name)
		}
	}
	slices.Sort(ran)
	var names []string
	for _, part := range partsOf(ran, g.parts) {
		for _, s := range part.scenarios {
			for _, size := range s.sizes {
				names = append(names, size.test)
			}
		}
	}
	return names
}

// pattern is the -run pattern of all that was asked for.
func (g *grader) pattern() string {
	if len(g.parts) == 0 {
		return "^" + labTest + "$"
	}
	quoted := make([]string, len(g.parts))
	for i, name := range g.parts {
		quoted[i] = regexp.QuoteMeta(name)
	}
	return "^" + labTest + "$/^(" + strings.Join(quoted, "|") + ")$"
}

// exact is the -run pattern of one scenario.
func exact(name string) string {
	pattern := "^" + labTest + "$"
	for element := range strings.SplitSeq(name, "/") {
		pattern += "/^" + regexp.QuoteMeta(element) + "$"
	}
	return pattern
}

const howToBegin = `write a test file in that package:

	package yours

	import (
		"testing"

		"lockstep.example/raft/tests"
	)

	func TestLab(t *testing.T) { tests.RunLab(t, Maker) }

Maker starts one of your servers; tests/naive/adapter.go is an example and docs/lab.md explains it`

// check tells a package that cannot be graded from one that fails.
func (g *grader) check(p *pass) error {
	lab := p.tests[labTest]
	switch {
	case len(p.compile) > 0:
		return errSetup{fmt.Sprintf("%s does not compile:\n\n%s", g.pkg, strings.Join(p.compile, "\n"))}
	case lab == nil && p.failed:
		said := strings.TrimSpace(strings.Join(p.outside, "\n") + "\n" + p.stderr)
		return errSetup{fmt.Sprintf("the tests of %s do not run:\n\n%s", g.pkg, said)}
	case lab == nil:
		return errSetup{fmt.Sprintf("%s has no test named %s; %s", g.pkg, labTest, howToBegin)}
	case lab.outcome == skipped:
		return errSetup{fmt.Sprintf("%s skips %s: %s", g.pkg, labTest, lab.why())}
	case len(p.tests) == 1 && lab.outcome == passed:
		return errSetup{fmt.Sprintf("%s of %s runs nothing that was asked for; %s", labTest, g.pkg, howToBegin)}
	}
	return nil
}

func firstOf(lines []string) string {
	for _, line := range lines {
		if line != "" {
			return line
		}
	}
	return "it said nothing"
}
