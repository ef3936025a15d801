package raft

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A leader and its followers n2 and n3, which the test plays. Timeouts are long,
// so no message fails by itself.

// led makes n1 leader of a cluster of three and hands out its progress of n2.
func led(t *testing.T, begun setup) (*script, *progress) {
	t.Helper()
	s := begin(t, begun)
	return s, s.elect().byID["n2"]
}

// replicating goes on until n2 has agreed and been told the commit point.
func replicating(t *testing.T, begun setup) (*script, *progress) {
	t.Helper()
	s, p := led(t, begun)
	for range 2 {
		for _, call := range s.wire.takeAppends("n2", false) {
			s.agree(call)
		}
	}
	if s.expect("all is told"); s.state(p)[:9] != "replicate" {
		t.Fatal(s.state(p))
	}
	return s, p
}

// sent takes the data messages to n2 as prev+count.
func (s *script) sent() (calls []*wireCall, shape []string) {
	s.t.Helper()
	calls = s.wire.takeAppends("n2", false)
	for _, call := range calls {
		shape = append(shape, fmt.Sprintf("%d+%d", call.args.PrevLogIndex, call.args.Batch.Count))
	}
	return calls, shape
}

// expect tells which data messages to n2 must be out by now.
func (s *script) expect(what string, want ...string) []*wireCall {
	s.t.Helper()
	calls, shape := s.sent()
	if !slices.Equal(shape, want) {
		s.t.Fatalf("%s: sent %v, want %v", what, shape, want)
	}
	return calls
}

// add appends commands on the leader; each has size bytes, encoding included.
func (s *script) add(count, size int) {
	s.t.Helper()
	for range count {
		if _, err := s.Start(make([]byte, size-entryHeaderSize)); err != nil {
			s.t.Fatal(err)
		}
		synctest.Wait()
	}
}

func (s *script) conflict(call *wireCall, term, index uint64) {
	s.reply(call, AppendEntriesReply{Refusal: RefusedConflict, ConflictTerm: term, ConflictIndex: index})
}

// state is what the test looks at in a progress: state, matchIndex < nextIndex.
func (s *script) state(p *progress) (state string) {
	s.mutate(func() { state = fmt.Sprintf("%v %d<%d", p.state, p.matchIndex, p.nextIndex) })
	return state
}

func (s *script) wantState(p *progress, want string) {
	s.t.Helper()
	if got := s.state(p); got != want {
		s.t.Fatalf("progress is %q, want %q", got, want)
	}
}

func TestProbeThenReplicate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, p := led(t, setup{log: []uint64{2, 2}}) // sentinel at 4 of term 3
		first := s.expect("elected", "3+1")[0]
		if a := first.args; a.PrevLogTerm != 2 || a.Term != 3 || a.LeaderCommit != 1 || a.ToIncarnation != 1 || a.FromIncarnation != 1 || a.Batch.Check() != nil {
			t.Fatalf("%+v", a)
		}
		s.add(2, 20)
		s.expect("one message while probing")
		s.wantState(p, "probe 0<5")
		s.agree(first)
		s.wantState(p, "replicate 4<7")
		next := s.expect("agreed", "4+2")[0]
		s.agree(next)
		s.wantState(p, "replicate 6<7")
	})
}

func TestConflictProbesBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, p := led(t, setup{log: []uint64{2, 2, 3, 3, 5}}) // 1 2 2 3 3 5, sentinel 7 of term 6
		call := s.expect("elected", "6+1")[0]
		s.conflict(call, 4, 4) // its 4..6 are of term 4: ours part from 4 on
		s.wantState(p, "probe 0<8")
		call = s.expect("below the whole term", "3+4")[0]
		s.conflict(call, 0, 3) // its log ends at 2
		call = s.expect("after its end", "2+5")[0]
		s.agree(call)
		s.wantState(p, "replicate 7<8")
	})
}

// TestR8AfterConflict: repair takes one round trip a term. The leader's log has
// the terms 1 2 2 2 4 4 4 (bootstrap first), the sentinel of term 5 is at 8.
func TestR8AfterConflict(t *testing.T) {
	table := []struct {
		name        string
		prev        uint64
		term, index uint64
		commit      uint64
		want        uint64
	}{
		{"log too short", 7, 0, 3, 0, 3},
		{"empty but for the bootstrap entry", 7, 0, 2, 0, 2},
		{"a term the leader has, ending later there", 7, 2, 3, 0, 5},
		{"a term the leader has, beginning later there", 7, 2, 5, 0, 5},
		{"a term the leader has, ending before it begins there", 7, 2, 6, 0, 6},
		{"a term the leader does not have", 7, 3, 4, 0, 4},
		{"the term of prev itself cannot conflict, but never goes beyond prev", 7, 4, 2, 0, 7},
		{"a term above all", 7, 9, 6, 0, 6},
		{"the committed entries of the follower are ours", 7, 3, 2, 4, 5},
		{"a commit point beyond prev", 7, 0, 2, 99, 7},
		{"a hint beyond prev", 5, 0, 99, 0, 5},
		{"a hint of 0", 5, 0, 0, 0, 1},
		{"a term hint beyond prev", 5, 2, 99, 0, 5},
	}
	bubble(t, func(t *testing.T) {
		s, _ := led(t, setup{log: []uint64{2, 2, 2, 4, 4, 4}})
		for _, c := range table {
			reply := &AppendEntriesReply{Refusal: RefusedConflict, ConflictTerm: c.term, ConflictIndex: c.index, CommitIndex: c.commit}
			s.mutate(func() {
				if got := s.afterConflictLocked(c.prev, reply); got != c.want {
					t.Errorf("R8: %s: next is %d, want %d", c.name, got, c.want)
				}
			})
		}
	})
}

// R8: repair of any two logs, by the real handler of the follower, takes at most one
// round trip for each term of either log, and ends in equal logs.
func TestR8RepairTakesOneRoundTripATerm(t *testing.T) {
	for _, c := range []struct {
		leader, follower []uint64
		trips            int
	}{
		{[]uint64{2, 2, 3}, []uint64{2, 2, 3}, 1},
		{[]uint64{2, 2, 2, 2, 2, 2, 2, 2, 2, 2}, nil, 2},
		{[]uint64{5}, []uint64{2, 2, 2, 3, 3, 3, 4, 4}, 2},
		{[]uint64{2, 2, 2, 2, 5, 5, 5, 5}, []uint64{2, 2, 3, 3, 3, 3, 3, 3, 3, 3}, 2},
		{[]uint64{2, 2, 2, 4, 4, 4, 6, 6, 6}, []uint64{2, 3, 3, 3, 5, 5, 5, 5, 5}, 3},
		{[]uint64{2, 2, 4, 4, 6, 6, 8, 8, 10, 10}, []uint64{3, 3, 5, 5, 7, 7, 9, 9, 9, 9}, 6},
	} {
		t.Run(fmt.Sprint(c.leader, c.follower), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s, p := led(t, setup{term: 20, log: c.leader})
				follower := begin(t, setup{term: 20, log: c.follower})
				trips := 0
				for s.state(p)[:5] == "probe" {
					calls, shape := s.sent()
					if trips++; len(calls) != 1 || trips > 20 {
						t.Fatalf("R8: round trip %d: sent %v", trips, shape)
					}
					args := *calls[0].args
					args.From, args.To = "n2", "n1"
					s.reply(calls[0], *follower.handleAppend(&args))
				}
				if !slices.Equal(follower.terms(), s.terms()) || trips > c.trips {
					t.Errorf("R8: %d round trips, want %d; %v and %v", trips, c.trips, s.terms(), follower.terms())
				}
			})
		})
	}
}

// TestR7LateRefusals is R7: every refusal comes again, later, and none moves
// nextIndex to or below matchIndex, or says that the log was lost.
func TestR7LateRefusals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, p := led(t, setup{log: []uint64{2, 2, 3, 3, 5}})
		var refused []*wireCall
		call := s.expect("elected", "6+1")[0]
		for _, back := range []uint64{5, 3, 2} {
			refused = append(refused, call)
			s.conflict(call, 0, back)
			call = s.wire.takeAppends("n2", false)[0]
		}
		s.agree(call)
		s.wantState(p, "replicate 7<8")
		for _, late := range refused {
			s.conflict(late, 0, 1)
			s.conflict(late, 2, 1)
			if got := s.state(p); got != "replicate 7<8" {
				t.Fatalf("R7: a late refusal made the progress %q, it was \"replicate 7<8\"", got)
			}
		}
	})
}

// A hint at or below matchIndex, from a follower that forgot or lies, is not
// followed there (MATCH).
func TestR7HintBelowTheMatch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, p := replicating(t, setup{log: []uint64{2, 2, 3, 3, 5}})
		s.add(2, fullMessage)
		window := s.expect("two full messages", "7+1", "8+1")
		s.conflict(window[1], 2, 1)
		s.expect("R7: from the match on", "7+1")
		s.wantState(p, "probe 7<9")
	})
}

// A refusal belongs to the window it was sent in: after a reprobe the rest of the
// old window is stale.
func TestR7RefusalOfAnOldWindowIsStale(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, p := replicating(t, setup{})
		s.add(2, fullMessage)
		window := s.expect("two full messages", "2+1", "3+1")
		s.reply(window[0], AppendEntriesReply{Refusal: RefusedConflict, ConflictIndex: 3})
		time.Sleep(minBackoff)
		probeCall := s.expect("probing again", "2+1")[0]
		s.reply(window[1], AppendEntriesReply{Refusal: RefusedConflict, ConflictIndex: 3})
		s.expect("R7: the stale refusal does not probe again")
		s.wantState(p, "probe 2<4")
		s.agree(probeCall)
		s.expect("agreed", "3+1")
		s.wantState(p, "replicate 3<5")
	})
}

// Only a conflict moves nextIndex. After a lost message or a busy follower the
// same is sent again, not at once, and later each time up to a heartbeat.
func TestR11Backoff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, p := replicating(t, setup{})
		s.add(1, 20)
		call := s.expect("replicating", "2+1")[0]
		for i, pause := range []time.Duration{10, 20, 40, 80, 160, 320, 640, 1000, 1000} {
			if i%2 == 0 {
				call.done(nil, errLost)
			} else {
				s.reply(call, AppendEntriesReply{Refusal: RefusedBusy})
			}
			time.Sleep(pause*time.Millisecond - 1)
			s.expect(fmt.Sprint("R11: in backoff ", i))
			time.Sleep(time.Nanosecond)
			call = s.expect(fmt.Sprint("R11: after backoff ", i), "2+1")[0]
			s.wantState(p, "probe 2<4")
		}
		call.done(nil, errLost)
		time.Sleep(s.config.Heartbeat - time.Millisecond)
		beats := s.wire.takeAppends("n2", true)
		s.agree(beats[len(beats)-1]) // it answers again: no need to wait on
		s.expect("after a heartbeat was answered", "2+1")
	})
}

// A probe that is lost, late or refused as busy has learned nothing: the next one
// begins at the commit point, or where it began if that is lower. A follower that
// was down when its leader took office must not be sent the whole log.
func TestR11LostProbe(t *testing.T) {
	for name, fail := range map[string]func(*script, *wireCall){
		"lost":       func(_ *script, call *wireCall) { call.done(nil, errLost) },
		"busy":       func(s *script, call *wireCall) { s.reply(call, AppendEntriesReply{Refusal: RefusedBusy}) },
		"not for me": func(s *script, call *wireCall) { s.reply(call, AppendEntriesReply{Refusal: RefusedNotForMe}) },
		"no answer":  func(s *script, call *wireCall) { time.Sleep(2*s.config.Heartbeat - minBackoff) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s, p := led(t, setup{log: []uint64{2, 2, 2, 2, 2, 2, 2}, commit: 6})
				fail(s, s.expect("elected", "8+1")[0])
				s.expect("not at once")
				time.Sleep(minBackoff)
				again := s.expect("R11: from the commit point", "6+3")[0]
				s.conflict(again, 0, 3) // it lacks more
				fail(s, s.expect("below the commit point", "2+7")[0])
				time.Sleep(2 * minBackoff)
				s.expect("from there", "2+7")
				s.wantState(p, "probe 0<10")
			})
		})
	}
}

// A refusal that is no conflict, and a reply of another term, say nothing of the
// log.
func TestR7OtherRefusalsDoNotMoveNextIndex(t *testing.T) {
	for _, reply := range []AppendEntriesReply{
		{Refusal: RefusedNotForMe, ConflictIndex: 1}, {Refusal: RefusedBlank, ConflictIndex: 1}, {Refusal: RefusedBusy, ConflictIndex: 1},
		{Refusal: Refusal(77), ConflictIndex: 1}, {Refusal: RefusedConflict, ConflictIndex: 1, Term: 2}, {Refusal: Agreed, Term: 2},
	} {
		t.Run(fmt.Sprint(reply.Refusal, reply.Term), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s, p := replicating(t, setup{log: []uint64{2, 2}})
				s.add(1, 20)
				s.reply(s.expect("replicating", "4+1")[0], reply)
				time.Sleep(time.Second)
				s.expect("R7: the same again", "4+1")
				s.wantState(p, "probe 4<6")
			})
		})
	}
}

func TestReplyWithAHigherTermDeposes(t *testing.T) {
	for _, heartbeat := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			s, _ := led(t, setup{})
			call := s.wire.takeAppends("n2", heartbeat)[0]
			s.reply(call, AppendEntriesReply{Refusal: RefusedStaleTerm, Term: 9})
			if got := s.Status(); got.Role != Follower || got.Term != 9 || got.VotedFor != "" {
				t.Fatalf("%+v", got)
			}
		})
	}
}

// An answer is credited only in the tenure its message was sent in: here n1 leads
// term 2, then term 4, and the answers of term 2 come in between and after.
func TestR6AnswersOfAnEarlierTenure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, old := led(t, setup{})
		late := s.expect("elected", "1+1")[0]
		s.add(3, 20)
		s.handleAppend(heartbeatArgs("n3", 3, 0, 0, 0))
		s.agree(late)
		p := s.elect().byID["n2"]
		if p == old {
			t.Fatal("the progress object was kept")
		}
		s.agree(late)
		if got := s.state(p); got != "probe 0<7" {
			t.Fatalf("R6: an answer of term 2 counts in term 4: the progress is %q", got)
		}
		if got := s.Status(); got.CommitIndex != 1 {
			t.Fatalf("R6: after its tenure an answer committed index %d", got.CommitIndex)
		}
	})
}
