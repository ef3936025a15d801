package raft

import (
	"os"
	"strings"
	"testing"
	"time"
)

// The explorer visits every state of a small world: three servers that run the
// code of package raft, in every order in which messages, timers, flushes and
// crashes can come, within limits that are counted. There are no goroutines: the
// explorer calls the protocol steps themselves, which take Raft.mu, change the
// state and return what to send or wait for, and decides what happens next.
//
//	explore_test.go           the worlds
//	explore_search_test.go    breadth first, until there is no state left
//	explore_world_test.go     three servers and a bag of messages; one action
//	explore_actions_test.go   what can happen next
//	explore_bag_test.go       what becomes of the messages
//	explore_step_test.go      one event at one server: the code of package raft
//	explore_settle_test.go    what follows it at once
//	explore_server_test.go    a server that can be copied
//	explore_message_test.go   what travels
//	explore_key_test.go       when two worlds are the same
//	explore_check_test.go     the properties
//	explore_trace_test.go     the way to a broken one, told
//	explore_planted_test.go   mistakes that the search must find
//
// Some orders are left out because another that is visited ends in the same
// state, or in one that can do all it can. Each is argued where it is made: names
// (key), allowances (visited.add), flushes (speak), a leader counting itself
// (leaderActions), pre-votes and refusals (askAround, receive), crashes (actions),
// messages that nobody waits for (prune, messageActions).

// A world that the search goes through to the end.
type exploredWorld struct {
	name   string
	limits limits
	short  bool // also with -short
	full   bool // only if LOCKSTEP_EXPLORE=full
	want   reached
}

var exploredWorlds = []exploredWorld{
	{
		name:   "two terms, two proposals",
		limits: limits{terms: 2, inflight: 1, allowance: allowance{proposals: 2, campaigns: unlimited}},
		want:   reached{term: 3, committed: 5, cuts: 1, conflicts: 1},
	}, {
		name: "loops at their own pace, windows, commit points alone, a probe again", short: true,
		limits: limits{terms: 1, freeLoops: true, carries: true, allowance: allowance{proposals: 1, resends: 1, campaigns: unlimited}},
		want:   reached{term: 2, committed: 3},
	}, {
		name: "a read in two terms, a leader that steps down", short: true,
		limits: limits{terms: 2, inflight: 1, allowance: allowance{reads: 1, stepDowns: 1, campaigns: unlimited}},
		want:   reached{term: 3, committed: 3, cuts: 1, conflicts: 1},
	}, {
		name: "each fault once, a proposal", short: true,
		limits: limits{terms: 1, inflight: 1, allowance: allowance{proposals: 1, crashes: 1, duplicates: 1, drops: 1, campaigns: unlimited}},
		want:   reached{term: 2, committed: 3, restarts: 1},
	}, {
		name:   "each fault once, two terms",
		limits: limits{terms: 2, inflight: 1, allowance: allowance{crashes: 1, duplicates: 1, drops: 1, campaigns: unlimited}},
		want:   reached{term: 3, committed: 3, cuts: 1, conflicts: 1, restarts: 1},
	}, {
		name: "full", full: true,
		limits: limits{terms: 2, inflight: 1, allowance: allowance{proposals: 2, crashes: 1, duplicates: 1, drops: 1, campaigns: unlimited}},
		want:   reached{term: 3, committed: 5, cuts: 1, conflicts: 1, restarts: 1},
	},
}

// TestExploreSmallWorld goes through each world to the end: no property is broken
// in any state. With LOCKSTEP_EXPLORE=full it goes through the full one too.
func TestExploreSmallWorld(t *testing.T) {
	for _, world := range exploredWorlds {
		t.Run(world.name, func(t *testing.T) {
			full := os.Getenv("LOCKSTEP_EXPLORE") == "full"
			if testing.Short() && !world.short || world.full && !full {
				t.Skip("LOCKSTEP_EXPLORE=full and no -short goes through it")
			}
			x := newExplorer(world.limits)
			if full {
				began := time.Now()
				x.progress = func(depth, states, frontier int) {
					t.Logf("%8v: after %d actions %d states, %d of them new", time.Since(began).Round(time.Second), depth, states, frontier)
				}
			}
			r := x.search(x.beginning(t))
			if r.breach != nil {
				t.Fatalf("%v\n%s", r.breach, r.trace)
			}
			t.Log(r)
			if w := world.want; r.term != w.term || r.committed != w.committed || r.cuts < w.cuts || r.conflicts < w.conflicts || r.restarts < w.restarts {
				t.Errorf("it saw %+v, want at least %+v", r.reached, w)
			}
		})
	}
}

// Whether the servers are told apart or not, the same states are found: a search
// that does not rename finds as many when its states are renamed afterwards.
func TestExploreNamesDoNotMatter(t *testing.T) {
	l := limits{terms: 2, inflight: 1, allowance: allowance{stepDowns: 1, campaigns: unlimited}}
	x := newExplorer(l)
	renamed := x.search(x.beginning(t))
	x = newExplorer(l)
	x.named = true
	named := x.search(x.beginning(t))
	if len(x.classes) != renamed.states {
		t.Errorf("%d states, in %d classes; with renaming %d", named.states, len(x.classes), renamed.states)
	}
	if named.states < 5*renamed.states {
		t.Errorf("%d states with names and %d without: renaming saves less than it should", named.states, renamed.states)
	}
}

// The state is copied field by field, so a field that is new must be thought of.
func TestExploredCopyIsWhole(t *testing.T) {
	for of, want := range copiedFields() {
		known := strings.Fields(want)
		for i := range of.NumField() {
			if len(known) <= i || known[i] != of.Field(i).Name {
				t.Errorf("%v has the fields %v; copied, or left out for a reason, are %v: see explored.copied", of, fieldNames(of), known)
				break
			}
		}
	}
}
