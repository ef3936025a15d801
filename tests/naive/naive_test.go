package naive

import (
	"fmt"
	"os"
	"regexp"
	"testing"

	"lockstep.example/raft/tests"
)

// TestLab is all that the test file of a Raft of one's own needs; this one also
// skips, for it fails on purpose.
func TestLab(t *testing.T) {
	if os.Getenv("LOCKSTEP_LAB") == "" {
		t.Skip("fails on purpose: LOCKSTEP_LAB=1 runs it, as does go run ./tests/grade -adapter naive")
	}
	tests.RunLab(t, Maker)
}

// TestSound: without mistakes it passes, so what fails below is the mistakes'.
func TestSound(t *testing.T) { tests.RunLab(t, Make(0)) }

// What the harness says, as regular expressions.
const (
	differs   = `number \d+: s\d applied ".*" \(.*\), s\d applies ".*"`
	twoLead   = `two leaders in term \d+: s\d and s\d`
	bytes     = `10 commands of 5000 bytes cost \d+ bytes of RPCs, the labs' limit is 200000`
	rpcs      = `cost \d+ RPCs, (our limit is|the labs' limits are)`
	tooEarly  = `\d servers have applied ".*" at number \d; it cannot be committed`
	noLeader  = `no leader after 10 looks`
	anything  = differs + "|" + twoLead + "|no agreement on|acknowledged"
	forgotten = differs + "|" + twoLead
)

// TestEachMistake: each alone fails the scenario that was made for its rule.
func TestEachMistake(t *testing.T) {
	for _, test := range []struct {
		mistake        Mistake
		scenario, says string
	}{
		{ForgetsAll, "3C/Persist1", forgotten},
		{TrustsHeartbeats, "3B/Rejoin", differs},
		{TrustsHeartbeats, "3B/Backup", differs},
		{SendsTwice, "3B/RPCBytes", bytes},
		{BeatsTooOften, "3B/Count", rpcs},
		{CountsHalf, "3B/FollowerFailure", tooEarly},
		{CountsHalf, "3B/FailNoAgree", tooEarly},
		{VotesForAnyLog, "3B/Backup", differs},
		{VotesForAnyLog, "3C/Persist2-7servers", differs},
		{SameTimeouts, "3A/InitialElection", noLeader},
	} {
		t.Run(fmt.Sprintf("%d/%s", test.mistake, test.scenario), func(t *testing.T) {
			t.Parallel()
			says(t, Make(test.mistake), test.scenario, test.says)
		})
	}
}

// TestMaker: which scenarios the naive servers pass, which they fail, and with
// which words.
func TestMaker(t *testing.T) {
	for name, expected := range map[string]string{
		"3A/InitialElection": "", "3A/ReElection": "", "3A/ManyElections": "",
		"3B/BasicAgree": "", "3B/FollowerFailure": "", "3B/FailAgree": "", "3B/FailNoAgree": "",
		"3B/ConcurrentStarts": "", "3C/UnreliableAgree": "",

		"3B/RPCBytes": bytes,
		"3B/Rejoin":   differs,
		"3B/Backup":   differs,
		"3B/Count":    rpcs,
		"3C/Persist1": forgotten,
		"3C/Persist2": forgotten,
		"3C/Persist3": forgotten,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			says(t, Maker, name, expected)
		})
	}
}

// TestMakerByChance: whether the mistakes show in these depends on who crashes
// when; if they do, the harness says what is wrong.
func TestMakerByChance(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	for _, name := range []string{
		"3B/LeaderFailure", "3C/Figure8", "3C/Figure8Unreliable", "3C/ReliableChurn", "3C/UnreliableChurn",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			says(t, Maker, name, "^$|"+anything)
		})
	}
}

// says runs one scenario of the lab and compares what the harness says: a regular
// expression, empty for nothing.
func says(t *testing.T, maker tests.Maker, name, expected string) {
	t.Helper()
	if expected == "" {
		expected = "^$"
	}
	for _, part := range tests.Lab() {
		for _, s := range part.Scenarios {
			if part.Name+"/"+s.Name != name {
				continue
			}
			if got := tests.Try(t, maker, s); !regexp.MustCompile(expected).MatchString(got) {
				t.Errorf("the harness says %q, expected %s", got, expected)
			}
			return
		}
	}
	t.Errorf("the lab has no scenario %s", name)
}
