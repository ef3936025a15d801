package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"lockstep.example/raft/tests/internal/wasm"
	"lockstep.example/raft/tests/sim"
)

func newCampaign() *campaign {
	return &campaign{
		begun: map[string]int{}, done: map[string]int{}, total: sim.NewReport(), seeds: &wasm.Tests{}, began: time.Now(),
	}
}

// TestShares: after many jobs each kind has had its share of them.
func TestShares(t *testing.T) {
	c := newCampaign()
	c.limit = time.Hour
	total := 0.0
	for _, k := range kinds {
		total += k.share
	}
	for range 10 * int(total) {
		if c.next(t.Context()) == nil {
			t.Fatal("a campaign of an hour has no next job")
		}
	}
	for _, k := range kinds {
		if n := float64(c.begun[k.name]); n < 9*k.share || n > 11*k.share {
			t.Errorf("%s: %v of %v jobs; its share is %v", k.name, n, 10*total, 10*k.share)
		}
	}
}

// TestEnough: a campaign of so much ends, having begun that much and one of each
// other kind.
func TestEnough(t *testing.T) {
	c := newCampaign()
	c.runs, c.passes = 10, 3
	for n := 0; c.next(t.Context()) != nil; n++ {
		if n > 100 {
			t.Fatal("the campaign does not end")
		}
	}
	want := map[string]int{simulations: (10 + batch - 1) / batch, labs: 3, topologies: 1, reads: 1, replays: 1}
	for kind, n := range want {
		if c.begun[kind] != n {
			t.Errorf("%s: %d jobs begun, want %d", kind, c.begun[kind], n)
		}
	}
}

// TestNoSeedsUnderRace: without a build for wasip1 nothing is replayed.
func TestNoSeedsUnderRace(t *testing.T) {
	c := newCampaign()
	c.runs, c.passes, c.seeds = 4, 1, nil
	for c.next(t.Context()) != nil {
	}
	if c.begun[replays] != 0 {
		t.Errorf("%d replays begun", c.begun[replays])
	}
}

// unit is a job of which a unit was done.
type unit struct{}

func (unit) run(context.Context, *campaign) error { return nil }
func (unit) count(c *campaign)                    { c.done[labs]++ }

// TestFinish: what a job did counts if it ended well; a failure ends the campaign,
// but for one of a job that the campaign's own end cut short.
func TestFinish(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for _, row := range []struct {
		name     string
		ctx      context.Context
		err      error
		done     int
		failures int
		seed     string
	}{
		{"passed", t.Context(), nil, 1, 0, ""},
		{"passed at the very end", over, nil, 1, 0, ""},
		{"failed", t.Context(), &failure{Job: "lab pass", Seed: "17", Again: "go"}, 0, 1, "17"},
		{"cut short", over, &failure{Job: "lab pass", Seed: "17"}, 0, 0, ""},
		{"could not be run", t.Context(), errors.New("no memory"), 0, 1, "?"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := newCampaign()
			c.limit = time.Hour
			c.finish(row.ctx, unit{}, row.err)
			if c.done[labs] != row.done || len(c.failures) != row.failures {
				t.Fatalf("%d done, %d failures; want %d, %d", c.done[labs], len(c.failures), row.done, row.failures)
			}
			if row.failures > 0 && (c.failures[0].Seed != row.seed || c.next(t.Context()) != nil) {
				t.Errorf("seed %q, want %q; or the campaign goes on", c.failures[0].Seed, row.seed)
			}
		})
	}
}

// TestVerdict: a campaign that did nothing, or met too little, has failed; the
// last line of one that met a failure names the seed.
func TestVerdict(t *testing.T) {
	if v := newCampaign().summary().verdict(); !strings.Contains(v, "nothing was finished") {
		t.Errorf("a campaign that did nothing: %q", v)
	}
	c := newCampaign()
	c.done[simulations], c.total.Runs = 1, 1
	if v := c.summary().verdict(); !strings.Contains(v, "torn tail") {
		t.Errorf("a campaign that met nothing: %q", v)
	}
	c.failures = []failure{{Job: "simulation", Seed: "17", Again: "go run ./tests/replay -seed 17"}, {Job: "other", Seed: "18"}}
	if v := c.summary().verdict(); !strings.Contains(v, "seed 17") || strings.Contains(v, "18") {
		t.Errorf("a campaign with failures: %q", v)
	}
	c = newCampaign()
	c.done[labs] = 1
	if v := c.summary().verdict(); v != "" {
		t.Errorf("a campaign of labs alone: %q", v)
	}
}
