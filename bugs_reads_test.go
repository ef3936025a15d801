package raft

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Old bugs of linearizable reads, on one server whose world the test plays.

// TestL1FollowerIsToldToWaitForTheSentinel (tikv#9239): what a new leader tells a
// follower that asks holds for its own reads as well.
func TestL1FollowerIsToldToWaitForTheSentinel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{log: []uint64{2, 2}, commit: 2})
		s.elect() // sentinel at 4; who led before may have committed 3
		told := make(chan *ReadIndexReply, 1)
		go func() {
			reply, _ := s.HandleReadIndex(&ReadIndexArgs{Header: header("n2", 3)})
			told <- reply
		}()
		for range 3 {
			time.Sleep(s.config.Heartbeat)
			for _, beat := range s.beats() {
				s.agree(beat)
			}
		}
		if reply := <-told; reply.Refusal != Agreed || reply.Index != 4 || reply.CommitIndex != 2 {
			t.Fatalf("a follower that asked before the sentinel was committed was told %+v", reply)
		}
	})
}

// TestL2NoRoundOutlivesItsTerm: a read waits, its server is deposed and leads
// again. What it was to see then may be too little now: others may have written in
// between. So it fails at the step-down, and nothing of its round is left.
func TestL2NoRoundOutlivesItsTerm(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := ready(t)
		first, second := s.read(t.Context()), s.read(t.Context()) // of the open round; of the next
		old := s.beats()
		s.handleAppend(appendArgs("n3", 9, 2, 2, 2, 9, 9))
		again := s.elect()
		for range 3 {
			for _, beat := range s.beats() {
				s.agree(beat)
			}
		}
		for _, beat := range old {
			s.reply(beat, AppendEntriesReply{Term: 10})
		}
		for name, r := range map[string]*read{"open": first, "next": second} {
			if !r.over() || !errors.Is(r.err, ErrNotLeader) {
				t.Errorf("the read of the %s round of term 2 ended in term %d with index %d, %v", name, again.term, r.index, r.err)
			}
		}
		s.mutate(func() {
			if len(again.open) != 0 || again.round < 1 || again.verified > again.round {
				t.Errorf("the new tenure begins with %d rounds of reads, round %d, verified %d", len(again.open), again.round, again.verified)
			}
		})
	})
}

// TestL2ARoundIsUsedOnce: whatever opens a round, a read or the ticker, its number
// was never used before in the term.
func TestL2ARoundIsUsedOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := ready(t)
		seen := map[uint64]bool{}
		for i := range 20 {
			if i%3 == 0 {
				time.Sleep(s.config.Heartbeat)
			} else {
				s.read(within(t, time.Minute))
			}
			for _, beat := range s.wire.takeAppends("n2", true) {
				if seen[beat.args.Round] {
					t.Fatalf("round %d is used twice", beat.args.Round)
				}
				seen[beat.args.Round] = true
				if i%2 == 0 {
					s.agree(beat)
				}
			}
		}
		if len(seen) < 10 {
			t.Fatalf("only %d rounds were opened", len(seen))
		}
	})
}

// TestL2LateReadsDoNotShareAnOpenRound: the index of a round is fixed when it
// opens. A read that comes after a write was committed must not be given the index
// of a round that opened before.
func TestL2LateReadsDoNotShareAnOpenRound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := ready(t)
		s.add(1, 20)
		write := s.wire.takeAppends("n2", false)[0] // built before the round opens
		early := s.read(t.Context())
		s.agree(write)
		late := s.read(t.Context())
		for range 2 {
			for _, beat := range s.wire.takeAppends("n3", true) {
				s.agree(beat)
			}
		}
		if !early.over() || early.err != nil || early.index != 2 {
			t.Errorf("the read before the write: %+v", early)
		}
		if !late.over() || late.err != nil || late.index != 3 {
			t.Errorf("the read after the write has index %d, the write has 3: %v", late.index, late.err)
		}
	})
}

// TestL3DelayedCommitProvesNoAuthority, after ruaft: the acknowledgements of a
// write arrive late, after the server was deposed without knowing it. They may
// commit and apply the write. They say nothing of who leads now.
func TestL3DelayedCommitProvesNoAuthority(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := ready(t)
		s.add(1, 20)
		acks := append(s.wire.takeAppends("n2", false), s.wire.takeAppends("n3", false)...)
		time.Sleep(s.config.Heartbeat) // a round without reads opens
		s.beats()                      // and is lost
		r := s.read(t.Context())
		for _, ack := range acks {
			s.agree(ack)
		}
		if got := s.Status(); got.CommitIndex != 3 || got.LastApplied != 3 {
			t.Fatalf("commitIndex %d, lastApplied %d: the write was to be committed", got.CommitIndex, got.LastApplied)
		}
		if r.over() {
			t.Fatalf("the delayed commit let a read go: index %d, %v", r.index, r.err)
		}
		s.handleAppend(heartbeatArgs("n3", 9, 0, 0, 0))
		synctest.Wait()
		if !r.over() || !errors.Is(r.err, ErrNotLeader) {
			t.Fatalf("%+v", r)
		}
	})
}

// TestL7EveryWayOutTellsTheRead (restate#2950): however a server stops to lead, or
// to run, the reads that wait on it end at once.
func TestL7EveryWayOutTellsTheRead(t *testing.T) {
	for name, c := range map[string]struct {
		leave func(*testing.T, *script)
		want  error
	}{
		"a request of a later term": {func(_ *testing.T, s *script) { s.handleVote(voteArgs("n3", 9, 9, 9)) }, ErrNotLeader},
		"an answer of a later term": {func(_ *testing.T, s *script) {
			s.reply(s.beats()[0], AppendEntriesReply{Term: 9, Refusal: RefusedStaleTerm})
		}, ErrNotLeader},
		"the leader of a later term": {func(_ *testing.T, s *script) { s.handleAppend(heartbeatArgs("n3", 9, 0, 0, 0)) }, ErrNotLeader},
		"no quorum":                  {func(_ *testing.T, s *script) { time.Sleep(2 * s.config.ElectionTimeoutMax) }, ErrNotLeader},
		"a stop":                     {func(t *testing.T, s *script) { stop(t, s.Raft) }, ErrStopped},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := ready(t)
				open, next := s.read(context.Background()), s.read(context.Background())
				asked := make(chan *ReadIndexReply, 1)
				go func() {
					reply, _ := s.HandleReadIndex(&ReadIndexArgs{Header: header("n2", 2)})
					asked <- reply
				}()
				synctest.Wait()
				c.leave(t, s)
				synctest.Wait()
				for which, r := range map[string]*read{"open": open, "next": next} {
					if !r.over() || !errors.Is(r.err, c.want) {
						t.Errorf("the read of the %s round: over %v, %v", which, r.over(), r.err)
					}
				}
				select {
				case reply := <-asked:
					if reply != nil && reply.Refusal != RefusedNotLeader {
						t.Errorf("a follower was told %+v", reply)
					}
				default:
					t.Error("the follower that asked was told nothing")
				}
			})
		})
	}
}
