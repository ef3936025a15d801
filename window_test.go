package raft

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestWindowIsBoundedInMessages(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _ := replicating(t, setup{config: func(c *Config) { c.MaxInflight = 3 }})
		s.add(5, fullMessage)
		window := s.expect("a full window", "2+1", "3+1", "4+1")
		s.agree(window[0])
		s.expect("one answered: the rest fits one message", "5+2")
	})
}

func TestWindowIsBoundedInBytes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, p := replicating(t, setup{config: func(c *Config) { c.MaxInflightBytes = 2*fullMessage + 1 }})
		s.add(5, fullMessage)
		window := s.expect("two and what passes the limit", "2+1", "3+1", "4+1")
		var inflight uint64
		s.mutate(func() { inflight = p.inflightBytes })
		if inflight != 3*fullMessage {
			t.Fatalf("%d bytes in flight", inflight)
		}
		s.agree(window[0])
		s.expect("one answered", "5+2")
	})
}

func TestMessageIsBoundedInBytes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, p := led(t, setup{config: func(c *Config) { c.MaxAppendBytes = 1000 }})
		first := s.expect("elected", "1+1")[0]
		s.add(5, 400)
		s.add(1, 5000) // one entry always fits
		s.agree(first)
		time.Sleep(10 * time.Millisecond) // small messages wait a little for those before
		window := s.expect("cut at entry borders", "2+2", "4+2", "6+1", "7+1")
		for _, call := range window {
			s.agree(call)
		}
		s.wantState(p, "replicate 8<9")
	})
}

// A probe is small whatever the window allows.
func TestProbeIsSmall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _ := led(t, setup{})
		first := s.expect("elected", "1+1")[0]
		s.add(10, 10_000)
		s.conflict(first, 0, 1)
		s.expect("a probe of 64 KiB at most", "0+8")
	})
	bubble(t, func(t *testing.T) {
		s, _ := led(t, setup{config: func(c *Config) { c.MaxCommandBytes, c.MaxAppendBytes = 2000, 4000 }})
		first := s.expect("elected", "1+1")[0]
		s.add(10, 1000)
		s.conflict(first, 0, 1)
		s.expect("a probe of MaxAppendBytes at most", "0+5")
	})
}

// TestSecondMessage: beside an outstanding message a second goes out only if it is
// full, or once the oldest is older than two flushes take, at least 200 µs. One
// timer is set for that moment; none while nothing is queued.
func TestSecondMessage(t *testing.T) {
	outstanding := func(t *testing.T, flush time.Duration) (*script, *progress) {
		s, p := replicating(t, setup{})
		s.mutate(func() { s.flushTime = flush })
		s.add(1, 20)
		s.expect("nothing was outstanding", "2+1")
		// The flush of that command has smoothed the time a little; set it again.
		s.mutate(func() { s.flushTime = flush })
		return s, p
	}
	t.Run("small waits 200 µs", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s, _ := outstanding(t, 0)
			s.add(1, 20)
			s.add(1, 20)
			time.Sleep(minSecondWait - 1)
			s.expect("too young")
			time.Sleep(time.Nanosecond)
			s.expect("old enough: all that gathered", "3+2")
		})
	})
	t.Run("small waits two flushes", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s, p := outstanding(t, 5*time.Millisecond)
			pause := func() (pause time.Duration) {
				s.mutate(func() {
					s.flushTime = 5 * time.Millisecond
					call, d := s.nextCallLocked(s.tenure, p, time.Now())
					if call != nil {
						t.Fatal("sends already")
					}
					pause = d
				})
				return pause
			}
			if got := pause(); got != 0 {
				t.Errorf("with nothing queued the loop has a timer of %v", got)
			}
			s.store.hold() // so that the flush time stays
			s.add(1, 20)
			if got := pause(); got != 10*time.Millisecond {
				t.Errorf("the loop sleeps for %v", got)
			}
			time.Sleep(10*time.Millisecond - 1)
			s.expect("too young")
			time.Sleep(time.Nanosecond)
			s.expect("old enough", "3+1")
		})
	})
	t.Run("full goes at once", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s, _ := outstanding(t, time.Second)
			s.store.hold()
			s.add(1, fullMessage-1)
			s.expect("one byte short")
			s.add(1, 20)
			s.expect("full", "3+2")
		})
	})
}

func TestR11AnswerLetsTheRestGo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, p := replicating(t, setup{})
		s.store.hold()
		s.mutate(func() { s.flushTime = time.Second })
		s.add(1, 20)
		call := s.expect("R11: appended, nothing outstanding", "2+1")[0]
		s.add(1, 20)
		s.expect("waits")
		s.agree(call)
		s.expect("R11: answered", "3+1")
		s.wantState(p, "replicate 3<5")
	})
}

// A commit point that a follower was not told, with nothing queued for it, is
// carried at once by an empty message: one at a time, the latest only.
func TestCommitIsCarriedOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, p := led(t, setup{})
		s.agree(s.expect("elected", "1+1")[0]) // commits the sentinel with n2
		carried := s.expect("the commit point of the sentinel", "2+0")[0]
		if a := carried.args; a.LeaderCommit != 2 || a.Heartbeat || a.PrevLogTerm != 2 {
			t.Fatalf("%+v", a)
		}
		s.add(1, 20)
		s.agree(s.expect("data goes beside it", "2+1")[0])
		s.expect("the next commit point waits for the answer")
		if got := s.Status().CommitIndex; got != 3 {
			t.Fatalf("committed %d", got)
		}
		s.agree(carried)
		carried = s.expect("then goes", "3+0")[0]
		if carried.args.LeaderCommit != 3 {
			t.Fatalf("%+v", carried.args)
		}
		s.agree(carried)
		time.Sleep(10 * time.Second)
		s.expect("and not again")
		s.wantState(p, "replicate 3<4")
		s.add(1, 20)
		if call := s.expect("data carries it as well", "3+1")[0]; call.args.LeaderCommit != 3 {
			t.Fatalf("%+v", call.args)
		}
	})
}

// What is carried never exceeds what the follower is known to hold.
func TestR3CarriedCommitIsWithinTheMatch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _ := led(t, setup{log: []uint64{2, 2}})
		n3 := s.wire.takeAppends("n3", false)[0]
		n2 := s.expect("elected", "3+1")[0]
		s.agree(n3) // commits 4; n2 is still probed
		s.expect("nothing to a follower that has not agreed")
		for _, beat := range s.wire.takeAppends("n2", true) {
			if beat.args.PrevLogIndex != 0 || beat.args.LeaderCommit != 0 || beat.args.PrevLogTerm != 0 {
				t.Fatalf("R3: heartbeat while probing: %+v", beat.args)
			}
		}
		s.agree(n2)
		if call := s.expect("agreed", "4+0")[0]; call.args.LeaderCommit != 4 {
			t.Fatalf("%+v", call.args)
		}
		time.Sleep(s.config.Heartbeat)
		beats := s.wire.takeAppends("n2", true)
		if a := beats[len(beats)-1].args; a.PrevLogIndex != 4 || a.LeaderCommit != 4 || a.PrevLogTerm != 3 {
			t.Fatalf("heartbeat while replicating: %+v", a)
		}
	})
}

// A lost commit point is told again.
func TestLostCarryIsSentAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, p := led(t, setup{})
		s.agree(s.expect("elected", "1+1")[0])
		s.expect("the commit point", "2+0")[0].done(nil, errLost)
		time.Sleep(minBackoff)
		again := s.expect("again, as a probe", "2+0")[0]
		if again.args.LeaderCommit != 2 {
			t.Fatalf("%+v", again.args)
		}
		s.agree(again)
		s.wantState(p, "replicate 2<3")
		s.expect("told")
	})
}

// Heartbeats go on whatever hangs, up to a limit, and never move matchIndex.
func TestHeartbeats(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, p := led(t, setup{config: func(c *Config) {
			c.Heartbeat, c.ElectionTimeoutMin, c.ElectionTimeoutMax = time.Second, 5*time.Second, 10*time.Second
		}})
		n3 := func() { // keeps the leader in office
			for _, beat := range s.wire.takeAppends("n3", true) {
				s.agree(beat)
			}
		}
		for range 30 {
			time.Sleep(time.Second)
			n3()
		}
		beats := s.wire.takeAppends("n2", true)
		if len(beats) != 12 { // election timeout / interval + 2
			t.Fatalf("%d heartbeats outstanding", len(beats))
		}
		for i, beat := range beats {
			if beat.args.Round != uint64(i)+1 || beat.args.Batch.Count != 0 {
				t.Fatalf("heartbeat %d: %+v", i, beat.args)
			}
			s.agree(beat)
		}
		s.wantState(p, "probe 0<3")
		time.Sleep(time.Second)
		synctest.Wait()
		if beats := s.wire.takeAppends("n2", true); len(beats) != 1 {
			t.Fatalf("%d heartbeats after the answers", len(beats))
		}
	})
}
