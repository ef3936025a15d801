package raft

import (
	"reflect"
	"strings"
	"testing"
)

// TestExploreFindsPlanted breaks a rule on behalf of package raft: the search
// must find where that leads, and tell it.
func TestExploreFindsPlanted(t *testing.T) {
	for _, c := range []struct {
		name     string
		mistakes mistakes
		limits   limits
		property string
		tells    []string
	}{
		{
			"a vote is told before it is durable", mistakes{votesTooSoon: true},
			limits{terms: 1, inflight: 1, allowance: allowance{crashes: 1, campaigns: unlimited}},
			"ELECTION_SAFETY", []string{"n3 crashes, keeps 0 of 1 unflushed stages", "becomes leader of term 2, which n1 led"},
		}, {
			"entries are acknowledged before they are durable", mistakes{acksTooSoon: true},
			limits{terms: 2, inflight: 1, allowance: allowance{crashes: 1, campaigns: unlimited}},
			"LEADER_COMPLETENESS", []string{"crashes, keeps", "lacks [s2], which was committed at index 2 in term 2"},
		}, {
			"what agrees is cut too", mistakes{cutsAtPrev: true},
			limits{terms: 2, inflight: 1, allowance: allowance{proposals: 1, duplicates: 1, campaigns: unlimited}},
			"LEADER_COMPLETENESS", []string{"n2 gets", "lacks [c2], which was committed at index 3 in term 2"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newExplorer(c.limits)
			x.planted = c.mistakes
			x.ignored = map[string]bool{"DURABLE_ON_QUORUM": true, "ELECTABLE": true} // they see it coming
			expectBreach(t, x, x.beginning(t), c.property, c.tells...)
		})
	}
}

// TestExploreFindsPlantedCommitOfOldTerm plants the mistake of Figure 8 of the
// paper: a leader counts replicas of an entry of an earlier term. It takes four
// terms until what was committed is overwritten, with prevote or without. The
// search finds the state in which that has become possible; a second one goes on
// from there to where it happens, past the properties that see it coming.
// Commands are so large that an entry and the sentinel above it go apart.
func TestExploreFindsPlantedCommitOfOldTerm(t *testing.T) {
	if testing.Short() {
		t.Skip("a million actions")
	}
	x := newExplorer(limits{terms: 4, inflight: 1, large: true, allowance: allowance{proposals: 1, campaigns: 3}})
	x.planted.commitsOldTerm = true
	r := expectBreach(t, x, x.beginning(t), "ELECTABLE", "lacks [s2], committed at index 2 in term 4, and a quorum would vote for it")

	x.ignored = map[string]bool{"ELECTABLE": true, "LEADER_COMPLETENESS": true, "DURABLE_ON_QUORUM": true, "LOG_MATCHING": true}
	root := r.broken
	root.broken, root.left.campaigns = nil, 1
	x.prune(root)
	x.askAround(root)
	expectBreach(t, x, root, "STATE_MACHINE_SAFETY", "commits [s3] at index 2, where [s2] was committed in term 4")
}

func expectBreach(t *testing.T, x *explorer, root *world, property string, tells ...string) result {
	t.Helper()
	r := x.search(root)
	if r.breach == nil {
		t.Fatalf("not found: %v", r)
	}
	t.Logf("%v\n%s", r, r.trace)
	if r.breach.property != property {
		t.Errorf("%v, want a breach of %s", r.breach, property)
	}
	for _, text := range tells {
		if !strings.Contains(r.trace, text) {
			t.Errorf("the trace does not tell %q", text)
		}
	}
	return r
}

// copiedFields names the fields that explored.copied knows of.
func copiedFields() map[reflect.Type]string {
	return map[reflect.Type]string{
		reflect.TypeFor[Raft](): "config incarnation configuration address peers guard born checked mu " +
			"currentTerm votedFor log commitIndex lastApplied " +
			"role leader termLeader leaderContact agreedIndex ledUntil tenure lastCampaign contacts earlyWaiting " +
			"staged recoveredLast stagedLast stagedBytes flushingBytes stagedSince flushTime waiting lines held " +
			"timer inbox reads remoteReads observers waiters durable applied leading unflushedSince " +
			"intakeWake applyWake flushed appliedUp logGrew",
		reflect.TypeFor[electionTimer]():   "min max random moved mu version deadline eager",
		reflect.TypeFor[raftLog]():         "start before records sent",
		reflect.TypeFor[tenure]():          "term sentinelIndex done followers byID selfMatch round verified open",
		reflect.TypeFor[progress]():        "id peer wake state nextIndex matchIndex epoch inflight inflightBytes commitSent commitInflight failures retryAt ackRound ackAt heartbeatsOut",
		reflect.TypeFor[appendCall]():      "p args epoch built carry",
		reflect.TypeFor[readGate]():        "mu joining busy",
		reflect.TypeFor[readRound]():       "done number index err",
		reflect.TypeFor[MemoryPersister](): "mu durable staged end crashed latency",
		reflect.TypeFor[memoryState]():     "identity hard entries commit position",
	}
}

func fieldNames(of reflect.Type) (names []string) {
	for i := range of.NumField() {
		names = append(names, of.Field(i).Name)
	}
	return names
}
