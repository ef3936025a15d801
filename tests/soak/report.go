package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	"lockstep.example/raft/tests/sim"
)

// report is the outcome of a campaign.
type report struct {
	Began    time.Time      `json:"began"`
	Took     time.Duration  `json:"took_ns"`
	Cores    int            `json:"cores"`
	Go       string         `json:"go"`
	Platform string         `json:"platform"`
	Race     bool           `json:"race"`
	Done     map[string]int `json:"done"`
	Total    *sim.Report    `json:"simulations"`
	Hours    float64        `json:"simulated_hours"`
	Missing  []string       `json:"missing"` // what should have happened and never did
	Failures []failure      `json:"failures"`
}

func (c *campaign) summary() *report {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := &report{
		Began: c.began.UTC(), Took: time.Since(c.began), Cores: c.workers, Go: runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH, Race: c.race, Done: c.done, Total: c.total,
		Hours: c.total.Simulated.Hours(), Failures: c.failures,
	}
	if c.total.Runs > 0 {
		r.Missing = c.total.Missing()
	}
	return r
}

// verdict is the last line of a campaign that failed.
func (r *report) verdict() string {
	if len(r.Failures) > 0 {
		f := r.Failures[0]
		return fmt.Sprintf("FAILED: %s, seed %s; again: %s", f.Job, f.Seed, f.Again)
	}
	if len(r.Done) == 0 {
		return "FAILED: nothing was finished; run for longer"
	}
	if len(r.Missing) > 0 {
		return fmt.Sprintf("FAILED: never happened in %d runs: %s; run for longer", r.Total.Runs, strings.Join(r.Missing, ", "))
	}
	return ""
}

func (r *report) json() []byte {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		panic(err) // plain data
	}
	return append(text, '\n')
}

// markdown is the report for people.
func (r *report) markdown() string {
	var b strings.Builder
	race := ""
	if r.Race {
		race = ", race detector"
	}
	fmt.Fprintf(&b, "# Soak of %s\n\n%v on %d cores, %s, %s%s.\n\n", r.Began.Format("2006-01-02 15:04 UTC"),
		r.Took.Round(time.Second), r.Cores, r.Go, r.Platform, race)
	hours := r.Took.Hours()
	fmt.Fprintf(&b, "| what | count | per hour |\n|---|--:|--:|\n")
	for _, row := range []struct {
		name  string
		count float64
	}{
		{"simulations", float64(r.Total.Runs)}, {"simulated cluster-hours", r.Hours},
		{"linearizable histories", float64(r.Total.Histories)}, {"operations in them", float64(r.Total.Checked)},
		{"lab passes", float64(r.Done[labs])}, {"enumerations of reads", float64(r.Done[reads])}, {"enumerations of topologies", float64(r.Done[topologies])},
		{"seeds replayed exactly", float64(r.Done[replays])}, {"failures", float64(len(r.Failures))},
	} {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", row.name, figure(row.count), figure(row.count/hours))
	}
	for _, list := range []struct {
		title  string
		counts map[string]int
	}{{"Faults injected", r.Total.Faults}, {"Met", r.Total.Events}, {"Operations", r.Total.Operations}} {
		fmt.Fprintf(&b, "\n| %s | count |\n|---|--:|\n", list.title)
		for _, name := range slices.Sorted(maps.Keys(list.counts)) {
			fmt.Fprintf(&b, "| %s | %d |\n", name, list.counts[name])
		}
	}
	for i, f := range r.Failures {
		fmt.Fprintf(&b, "\nFailure %d: %s, seed %s; again: `%s`\n", i+1, f.Job, f.Seed, f.Again)
	}
	if len(r.Missing) > 0 {
		fmt.Fprintf(&b, "\nNever happened, and should have: %s.\n", strings.Join(r.Missing, ", "))
	}
	return b.String()
}

// figure writes small numbers with a decimal, large ones without.
func figure(v float64) string {
	if v < 100 && v != float64(int(v)) {
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}
