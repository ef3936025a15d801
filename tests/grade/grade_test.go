package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// script is a stand-in for the go command: what each run prints, by -run pattern.
type script map[string][]event

func (s script) run(_, pattern string, _ time.Duration, seen func(string, outcome)) (*pass, error) {
	p := &pass{tests: map[string]*result{}, failed: true}
	for _, e := range s[pattern] {
		p.take(e, seen)
	}
	return p, nil
}

// grading returns a grader of 3A alone.
func grading(s script, count int) *grader {
	return &grader{pkg: "p", parts: []string{"3A"}, count: count, timeout: time.Minute, test: s.run, show: &progress{w: new(strings.Builder)}}
}

// lab3A is a run of 3A in which the named tests end otherwise than by passing:
// with nothing, if the process died.
func lab3A(except map[string][]event) []event {
	events, died := []event{{Action: "run", Test: "TestLab"}}, false
	for _, s := range known() {
		if !strings.HasPrefix(s.test, "3A/") {
			continue
		}
		test := "TestLab/" + s.test
		events = append(events, event{Action: "run", Test: test})
		if other, ok := except[s.test]; ok {
			events = append(events, other...)
			died = died || other == nil
		} else {
			events = append(events, event{Action: "pass", Test: test})
		}
	}
	if !died {
		events = append(events, event{Action: "pass", Test: "TestLab"})
	}
	return events
}

const (
	all3A = "^TestLab$/^(3A)$"
	re    = "TestLab/3A/ReElection"
)

func failing(test, failure string) []event {
	return []event{{Action: "attr", Test: test, Key: "failure", Value: failure}, {Action: "output", Test: test, Output: "noise\n"}, {Action: "fail", Test: test}}
}

// TestPoints: what passes and failures are worth.
func TestPoints(t *testing.T) {
	for _, test := range []struct {
		name    string
		script  script
		count   int
		points  int
		failure string
		says    string
	}{
		{"all pass", script{all3A: lab3A(nil)}, 2, 20, "", "passes"},
		{"the labs' size fails", script{all3A: lab3A(map[string][]event{"3A/ReElection": failing(re, "two leaders")})}, 1, 16,
			"two leaders", "FAILS at 3 servers"},
		{"another size fails", script{all3A: lab3A(map[string][]event{"3A/ReElection-7servers": failing(re+"-7servers", "no leader")})}, 1, 18,
			"no leader", "FAILS at 7 servers"},
		{"a crash of one costs no other", script{
			all3A:                            lab3A(map[string][]event{"3A/ReElection": nil, "3A/ManyElections": nil}),
			"^TestLab$/^3A$/^ManyElections$": {{Action: "pass", Test: "TestLab/3A/ManyElections"}},
			"^TestLab$/^3A$/^ReElection$":    {{Action: "run", Test: re}, {Action: "output", Test: re, Output: "x\n"}, {Action: "output", Output: "panic: oh\n"}},
		}, 1, 16, "panic: oh", "FAILS at 3 servers"},
		{"it did not run", script{all3A: {
			{Action: "run", Test: "TestLab"},
			{Action: "pass", Test: "TestLab/3A/InitialElection"},
			{Action: "pass", Test: "TestLab"},
		}}, 1, 2, "the test did not run", "FAILS at every size"},
		{"skipped", script{all3A: lab3A(map[string][]event{"3A/ReElection": {{Action: "skip", Test: re}}})}, 1, 16, "the test was skipped", "FAILS at 3 servers"},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := grading(test.script, test.count)
			if err := g.run(); err != nil {
				t.Fatal(err)
			}
			r := g.report()
			if r.Points != test.points || r.Of != 20 {
				t.Fatalf("%+v; expected %d of 20 points", r, test.points)
			}
			row := r.Parts[0].Scenarios[1]
			if row.verdict() != test.says {
				t.Errorf("%q, expected %q", row.verdict(), test.says)
			}
			if f := row.firstFailure(); f == nil != (test.failure == "") || f != nil && f.Failure != test.failure {
				t.Errorf("%+v, expected %q", f, test.failure)
			}
		})
	}
}

// TestFlaky: what fails once in three passes earns nothing, and says so.
func TestFlaky(t *testing.T) {
	passes := 0
	g := grading(nil, 3)
	g.test = func(_, pattern string, _ time.Duration, seen func(string, outcome)) (*pass, error) {
		passes++
		events := lab3A(nil)
		if passes == 2 {
			events = lab3A(map[string][]event{"3A/ReElection": failing(re, "two leaders")})
		}
		return script{pattern: events}.run("", pattern, 0, seen)
	}
	if err := g.run(); err != nil {
		t.Fatal(err)
	}
	r := g.report()
	row := r.Parts[0].Scenarios[1]
	if row.Points != 4 || row.verdict() != "FAILS at 3 servers (passes 2 of 3)" || row.Tests[0].Failure != "two leaders" {
		t.Errorf("%+v: %s", row, row.verdict())
	}
	file := filepath.Join(t.TempDir(), "grade.json")
	if err := r.writeJSON(file); err != nil {
		t.Fatal(err)
	}
	data, _ := os.ReadFile(file)
	var again Report
	if err := json.Unmarshal(data, &again); err != nil || again.Points != 16 || again.Parts[0].Scenarios[1].Tests[0].Passed != 2 {
		t.Errorf("%s: %v", data, err)
	}
}

// TestHangs: after three scenarios in a row that hang, the others are not waited
// for.
func TestHangs(t *testing.T) {
	hangs := script{all3A: lab3A(map[string][]event{
		"3A/ReElection": nil, "3A/ReElection-5servers": nil, "3A/ReElection-7servers": nil, "3A/ManyElections": nil,
	})}
	alone := 0
	g := grading(hangs, 1)
	g.test = func(pkg, pattern string, limit time.Duration, seen func(string, outcome)) (*pass, error) {
		p, err := hangs.run(pkg, pattern, limit, seen)
		if pattern != all3A {
			alone++
			name := strings.NewReplacer("^", "", "$", "").Replace(pattern)
			p.take(event{Action: "run", Test: name}, seen)
			p.take(event{Action: "output", Test: name, Output: "panic: test timed out after 15s\n"}, seen)
		}
		return p, err
	}
	if err := g.run(); err != nil {
		t.Fatal(err)
	}
	if f := g.tallies["3A/ReElection"].failure; !strings.HasPrefix(f, "hangs") {
		t.Errorf("the first one: %q", f)
	}
	if f := g.tallies["3A/ManyElections"].failure; alone != mostHung || !strings.HasPrefix(f, "not run") {
		t.Errorf("%d were run alone; the last one: %q", alone, f)
	}
}

// TestSetup: what cannot be graded says what to do.
func TestSetup(t *testing.T) {
	for _, test := range []struct {
		events []event
		says   string
	}{
		{[]event{{Action: "build-output", Output: "x.go:1: undefined: y\n"}}, "does not compile:\n\nx.go:1: undefined: y"},
		{[]event{{Action: "output", Output: "panic: init\n"}}, "do not run:\n\npanic: init"},
		{[]event{{Action: "run", Test: "TestLab"}, {Action: "output", Test: "TestLab", Output: "later\n"}, {Action: "skip", Test: "TestLab"}}, "skips TestLab: later"},
		{[]event{{Action: "run", Test: "TestLab"}, {Action: "pass", Test: "TestLab"}}, "tests.RunLab(t, Maker)"},
	} {
		err := grading(script{all3A: test.events}, 1).run()
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%v, expected %q", err, test.says)
		}
	}
}

// TestGoCommand reads what the real go command says of small packages.
func TestGoCommand(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil || testing.Short() {
		t.Skip("runs the go command")
	}
	for pkg, says := range map[string]string{
		"./testdata/broken":  "undefined: Maker",
		"./testdata/notests": "has no test named TestLab; write a test file",
		"./testdata/missing": "testdata/missing",
	} {
		g := &grader{pkg: pkg, count: 1, timeout: time.Minute, test: goTest, show: &progress{w: new(strings.Builder)}}
		if err := g.run(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, expected %q", pkg, err, says)
		}
	}
	p, err := goTest("./testdata/fails", "^TestLab$", time.Minute, func(string, outcome) {})
	if err != nil {
		t.Fatal(err)
	}
	for test, want := range map[string]result{
		"TestLab/3A/Passes": {outcome: passed},
		"TestLab/3A/Fails":  {outcome: failed, failure: "two leaders"},
		"TestLab/3A/Says":   {outcome: failed, output: []string{"fails_test.go:13: a reason"}},
		"TestLab/3A/Panics": {outcome: unfinished},
	} {
		got := p.tests[test]
		if got == nil || got.outcome != want.outcome || got.failure != want.failure ||
			want.output != nil && !slices.Equal(got.output, want.output) {
			t.Errorf("%s: %+v, expected %+v", test, got, want)
		}
	}
	if said := (&result{output: p.outside}).why(); !p.interrupted() && !strings.Contains(said, "panic") {
		t.Errorf("interrupted %v; outside of tests: %q", p.interrupted(), said)
	}
}

// TestTable: the table gives points to scenarios that exist, and to each of them.
func TestTable(t *testing.T) {
	if parts := partsOf(nil, nil); len(parts) != 3 {
		t.Errorf("%d parts count for a package without tests, expected 3A, 3B and 3C", len(parts))
	}
	var asked []string
	for _, w := range table {
		asked = append(asked, w.part)
	}
	for _, p := range partsOf(nil, asked) {
		for name := range p.named {
			if !slices.ContainsFunc(p.scenarios, func(s scenario) bool { return s.name == name }) {
				t.Errorf("%s has no scenario %s", p.part, name)
			}
		}
		for _, s := range p.scenarios {
			sum := 0
			for _, size := range s.sizes {
				sum += size.points
				if size.points == 0 {
					t.Errorf("%s is worth nothing", size.test)
				}
			}
			if sum != s.points {
				t.Errorf("%s/%s: its sizes are worth %d points, it is worth %d", p.part, s.name, sum, s.points)
			}
		}
	}
}
