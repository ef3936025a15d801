package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// printResult writes one line for people, and what the test said if the mutant
// was not killed.
func printResult(w io.Writer, r result) {
	_, _ = fmt.Fprintf(w, "%-4s %-16s %5.1f s  %s\n", r.Mutant.Row, r.Verdict, r.Took.Seconds(), r.Mutant.Name)
	switch r.Verdict {
	case killed:
	case equivalent:
		_, _ = fmt.Fprintln(w, indent(r.Mutant.Equivalent))
	default:
		_, _ = fmt.Fprintf(w, "\t%s must fail with %q\n", r.Mutant.Test, r.Mutant.Message)
		if r.Detail != "" {
			_, _ = fmt.Fprintln(w, indent(tail(r.Detail, 30)))
		}
	}
}

// summary is the end of the report.
type summary struct {
	Mutants    int     `json:"mutants"`
	Killed     int     `json:"killed"`
	Equivalent int     `json:"equivalent"`
	Rows       int     `json:"rows"`
	Seconds    float64 `json:"seconds"`
	Median     float64 `json:"median_seconds"` // to a kill
	AllKilled  bool    `json:"all_killed"`     // but for the equivalent ones
}

func summarize(results []result, took time.Duration) summary {
	s := summary{Mutants: len(results), Seconds: took.Seconds()}
	rows := map[string]bool{}
	var kills []time.Duration
	for _, r := range results {
		rows[r.Mutant.Row] = true
		switch r.Verdict {
		case killed:
			s.Killed++
			kills = append(kills, r.Took)
		case equivalent:
			s.Equivalent++
		}
	}
	s.Rows = len(rows)
	if len(kills) > 0 {
		slices.Sort(kills)
		s.Median = kills[len(kills)/2].Seconds()
	}
	s.AllKilled = s.Killed+s.Equivalent == s.Mutants
	return s
}

func (s summary) String() string {
	text := fmt.Sprintf("%d of %d mutants killed, of %d rows, in %.0f s (median %.1f s)", s.Killed, s.Mutants, s.Rows, s.Seconds, s.Median)
	if s.Equivalent > 0 {
		text += fmt.Sprintf("; %d equivalent", s.Equivalent)
	}
	if left := s.Mutants - s.Killed - s.Equivalent; left > 0 {
		text += fmt.Sprintf("; %d NOT KILLED", left)
	}
	return text
}

// writeJSON writes the report for programs.
func writeJSON(file string, results []result, s summary) error {
	type line struct {
		Row     string  `json:"row"`
		Name    string  `json:"name"`
		File    string  `json:"file"`
		Package string  `json:"package,omitempty"`
		Test    string  `json:"test,omitempty"`
		Verdict verdict `json:"verdict"`
		Seconds float64 `json:"seconds"`
		Detail  string  `json:"detail,omitempty"`
	}
	report := struct {
		summary
		Results []line `json:"results"`
	}{summary: s}
	for _, r := range results {
		m := r.Mutant
		report.Results = append(report.Results, line{m.Row, m.Name, m.File, m.Package, m.Test, r.Verdict, r.Took.Seconds(), r.Detail + m.Equivalent})
	}
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o666)
}
