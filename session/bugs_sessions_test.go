package session

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"lockstep.example/raft"
)

// Bugs that other systems had with clients that send a command twice, each with
// the public report of it. A test is named for the number that the mutants of
// tests/mutants know the bug by.

// C1 (jetcd 0.8.2, found by Jepsen): a command that was sent again was executed
// again. Whatever copies of a command the log holds, whenever they come, it is
// executed once.
func TestC1DuplicateIsExecutedOnce(t *testing.T) {
	for name, log := range map[string][][]byte{
		"at once":            {open(), command(1, 1, 0, "a"), command(1, 1, 0, "a"), command(1, 2, 0, "b")},
		"after others":       {open(), command(1, 1, 0, "a"), command(1, 2, 0, "b"), command(1, 1, 0, "a"), command(1, 2, 0, "b")},
		"below the floor":    {open(), command(1, 1, 0, "a"), command(1, 2, 1, "b"), command(1, 1, 0, "a")},
		"twice below it":     {open(), command(1, 1, 0, "a"), command(1, 2, 1, "b"), command(1, 1, 0, "a"), command(1, 1, 0, "a")},
		"with an old floor":  {open(), command(1, 1, 0, "a"), command(1, 2, 2, "-"), command(1, 3, 0, "b"), command(1, 1, 0, "a"), command(1, 3, 0, "b")},
		"after an eviction":  {open(), command(1, 1, 0, "a"), open(), command(3, 1, 0, "b"), open(), open(), command(1, 1, 0, "a")},
		"of another session": {open(), open(), command(1, 1, 0, "a"), command(2, 1, 0, "b"), command(1, 1, 0, "a"), command(2, 1, 0, "b")},
	} {
		t.Run(name, func(t *testing.T) {
			s, executed := newSessions(t, small)
			for i, data := range log {
				_, _ = applyOne(s, uint64(i+1), data)
			}
			if !slices.Equal(*executed, []string{"a", "b"}) {
				t.Errorf("C1: executed %q, each command once is [a b]", *executed)
			}
		})
	}
}

// C2 (RaftKeeper#332): what a replay led to depended on the clock of whoever
// replayed: sessions expired, and their data was lost. One log, replayed a year
// later, must lead to the same table, with the same things executed.
func TestC2ReplayAtAnotherTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := randomLog(9, 1000)
		run := func(pause time.Duration) (uint64, time.Duration, []string) {
			s, executed := newSessions(t, small)
			for i := range log {
				s.Apply(log[i:i+1], nil)
				time.Sleep(pause)
			}
			return s.Digest(), s.Clock(), *executed
		}
		digest, clock, executed := run(time.Minute)
		time.Sleep(365 * 24 * time.Hour)
		later, laterClock, again := run(0)
		if digest != later || clock != laterClock || !slices.Equal(executed, again) {
			t.Errorf("C2: a replay at another time leads to digest %x, clock %v and %d commands executed; it was %x, %v and %d",
				later, laterClock, len(again), digest, clock, len(executed))
		}
	})
}

// C2: a leader whose clock jumps must not make the time of the log jump, or all
// that ends by time would end at once.
func TestC2JumpOfALeadersClock(t *testing.T) {
	s, _ := newSessions(t, small)
	for i, elapsed := range []time.Duration{0, time.Second, 365 * 24 * time.Hour, 365*24*time.Hour + 1, 2 * time.Second} {
		e := Envelope{Kind: KindCommand, Elapsed: elapsed, Client: 1, Seq: uint64(i + 1)}
		s.Apply([]raft.Entry{{Index: uint64(i + 1), Term: 2, Data: e.Append(nil)}}, nil)
	}
	if got, most := s.Clock(), 5*MaxStep; got > most {
		t.Errorf("C2: five entries moved the clock of the log by %v; at most %v is theirs to move", got, most)
	}
}
