package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// Report is the whole result; its JSON form is what -json writes.
type Report struct {
	Package string       `json:"package"`
	Passes  int          `json:"passes"`
	Points  int          `json:"points"`
	Of      int          `json:"of"`
	Parts   []PartReport `json:"parts"`
}

// PartReport is one part of the labs.
type PartReport struct {
	Name      string           `json:"name"`
	Title     string           `json:"title"`
	Points    int              `json:"points"`
	Of        int              `json:"of"`
	Scenarios []ScenarioReport `json:"scenarios"`
}

// ScenarioReport is one scenario at all its sizes.
type ScenarioReport struct {
	Name   string       `json:"name"`
	Points int          `json:"points"`
	Of     int          `json:"of"`
	Tests  []TestReport `json:"tests"`
}

// TestReport is one scenario at one size. It earns its points only if all its
// runs passed.
type TestReport struct {
	Name    string `json:"name"`
	Servers int    `json:"servers,omitempty"`
	Points  int    `json:"points"`
	Of      int    `json:"of"`
	Runs    int    `json:"runs"`
	Passed  int    `json:"passed"`
	Failure string `json:"failure,omitempty"`
	Rerun   string `json:"rerun"`
}

// report adds up what the passes said.
func (g *grader) report() *Report {
	var ran []string
	for name := range g.tallies {
		ran = append(ran, name)
	}
	slices.Sort(ran)
	r := &Report{Package: g.pkg, Passes: g.count}
	for _, p := range partsOf(ran, g.parts) {
		now := PartReport{Name: p.part, Title: p.title}
		for _, s := range p.scenarios {
			scenario := g.scenario(s)
			now.Points += scenario.Points
			now.Of += scenario.Of
			now.Scenarios = append(now.Scenarios, scenario)
		}
		r.Points += now.Points
		r.Of += now.Of
		r.Parts = append(r.Parts, now)
	}
	return r
}

func (g *grader) scenario(s scenario) ScenarioReport {
	r := ScenarioReport{Name: s.name, Of: s.points}
	for _, size := range s.sizes {
		t := TestReport{Name: size.test, Servers: size.servers, Of: size.points, Rerun: g.rerun(size.test)}
		if tally := g.tallies[size.test]; tally != nil {
			t.Runs, t.Passed, t.Failure = tally.runs, tally.passes, tally.failure
		} else {
			t.Failure = "the test did not run"
		}
		if t.Runs > 0 && t.Passed == t.Runs {
			t.Points = t.Of
		}
		r.Points += t.Points
		r.Tests = append(r.Tests, t)
	}
	return r
}

// rerun is the command that runs one test alone and shows its timeline.
func (g *grader) rerun(name string) string {
	command := fmt.Sprintf("go test %s -run '%s/%s$' -v", g.pkg, labTest, name)
	if g.pkg == adapters["naive"] {
		command = labEnv + " " + command
	}
	return command
}

// text writes the table.
func (r *Report) text(w io.Writer) {
	fmt.Fprintf(w, "%s, %d %s\n", r.Package, r.Passes, plural(r.Passes, "pass", "passes"))
	for _, p := range r.Parts {
		fmt.Fprintf(w, "\n%-40s %3d of %3d\n", p.Name+" "+p.Title, p.Points, p.Of)
		for _, s := range p.Scenarios {
			fmt.Fprintf(w, "  %-38s %3d of %3d   %s\n", s.Name, s.Points, s.Of, s.verdict())
			if t := s.firstFailure(); t != nil {
				fmt.Fprintf(w, "      %s\n      %s\n", shorten(t.Failure), t.Rerun)
			}
		}
	}
	fmt.Fprintf(w, "\n%-40s %3d of %3d\n", "total", r.Points, r.Of)
}

// verdict says in a few words at which sizes a scenario passes.
func (s ScenarioReport) verdict() string {
	var bad []string
	for _, t := range s.Tests {
		if t.Runs > 0 && t.Passed == t.Runs {
			continue
		}
		at := fmt.Sprintf("%d servers", t.Servers)
		if t.Servers == 0 {
			at = ""
		}
		if t.Passed > 0 {
			at = strings.TrimSpace(fmt.Sprintf("%s (passes %d of %d)", at, t.Passed, t.Runs))
		}
		bad = append(bad, at)
	}
	switch {
	case len(bad) == 0:
		return "passes"
	case len(bad) == len(s.Tests) && len(bad) > 1 && s.Points == 0 && !strings.Contains(strings.Join(bad, ""), "("):
		return "FAILS at every size"
	case bad[0] == "":
		return "FAILS"
	}
	return "FAILS at " + strings.Join(bad, ", ")
}

// firstFailure is that of the labs' own size if it fails, nil if none does.
func (s ScenarioReport) firstFailure() *TestReport {
	for i := range s.Tests {
		if t := &s.Tests[i]; t.Points < t.Of {
			return t
		}
	}
	return nil
}

const mostRunes = 160

func shorten(s string) string {
	if runes := []rune(s); len(runes) > mostRunes {
		return string(runes[:mostRunes]) + " ..."
	}
	return s
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// writeJSON writes the report to a file; "-" is the standard output.
func (r *Report) writeJSON(path string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	data = append(data, '\n')
	if path == "-" {
		_, err = os.Stdout.Write(data)
		return err
	}
	return os.WriteFile(path, data, 0o644)
}
