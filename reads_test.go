package raft

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestReadGate(t *testing.T) {
	var g readGate
	first, opens := g.join()
	if !opens {
		t.Fatal("nobody opens the first round")
	}
	if again, opens := g.join(); again != first || opens {
		t.Fatal("the second reader does not share the round that is about to open")
	}
	if g.take(false) != first {
		t.Fatal("took another round")
	}
	late, opens := g.join()
	if late == first || opens {
		t.Fatal("a read joined a round that is open, or opens a second one beside it")
	}
	if g.take(true) != late {
		t.Fatal("the late reader is lost")
	}
	if g.take(true) != nil {
		t.Fatal("took reads that are not there")
	}
	if _, opens := g.join(); !opens {
		t.Fatal("the gate was not freed")
	}
	g.take(false)
	if g.take(false); g.busy == false {
		t.Fatal("a round without reads is open too")
	}
	waiting, _ := g.join()
	g.fail(ErrStopped)
	<-waiting.done
	if waiting.err != ErrStopped {
		t.Fatal(waiting.err)
	}
	if _, opens := g.join(); !opens {
		t.Fatal("the gate was not freed by a failure")
	}
}

// read is a ReadIndex under way.
type read struct {
	index uint64
	err   error
	ended chan struct{} // closed once index and err are set
}

func (r *read) over() bool { return closed(r.ended) }

func (s *script) read(ctx context.Context) *read {
	r := &read{ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		r.index, r.err = s.ReadIndex(ctx)
	}()
	synctest.Wait()
	return r
}

// beats takes the heartbeats to n2 and n3.
func (s *script) beats() []*wireCall {
	return append(s.wire.takeAppends("n2", true), s.wire.takeAppends("n3", true)...)
}

// ready is a leader whose sentinel is committed and whose first round is
// verified.
func ready(t *testing.T) *script {
	t.Helper()
	s, _ := replicating(t, setup{})
	for _, beat := range s.beats() {
		s.agree(beat)
	}
	if s.beats() != nil {
		t.Fatal("a round is open")
	}
	return s
}

func TestReadOpensARoundAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := ready(t)
		began := time.Now()
		r := s.read(t.Context())
		beats := s.beats()
		if len(beats) != 2 || r.over() {
			t.Fatalf("%d heartbeats; over: %v", len(beats), r.over())
		}
		s.agree(beats[0])
		if !r.over() || r.err != nil || r.index != 2 || time.Since(began) != 0 {
			t.Fatalf("%+v after %v", r, time.Since(began))
		}
	})
}

// TestL1ReadWaitsForTheSentinel (etcd#7331): a new leader does not know what is committed
// before its sentinel is. The read may be verified before; it is answered after.
func TestL1ReadWaitsForTheSentinel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{log: []uint64{2, 2}, commit: 2})
		s.elect() // sentinel at 4
		r := s.read(t.Context())
		time.Sleep(s.config.Heartbeat) // the round of the first tick was open already
		for _, beat := range s.beats() {
			s.agree(beat)
		}
		for _, beat := range s.beats() {
			s.agree(beat)
		}
		if r.over() {
			t.Fatalf("answered %d, %v with commitIndex %d", r.index, r.err, s.Status().CommitIndex)
		}
		s.agree(s.wire.takeAppends("n2", false)[0])
		if !r.over() || r.err != nil || r.index != 4 {
			t.Fatalf("%+v", r)
		}
	})
}

// TestL2OldAcksVerifyNothingNew (etcd#20418): answers to messages of earlier rounds, data
// or heartbeats, do not verify a later round.
func TestL2OldAcksVerifyNothingNew(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := ready(t)
		s.add(1, 20)
		data := s.wire.takeAppends("n2", false)[0] // built before the read
		time.Sleep(s.config.Heartbeat)
		old := s.beats() // a round without reads is open
		r := s.read(t.Context())
		if len(old) != 2 || s.beats() != nil {
			t.Fatal("the read opened a second round beside the open one")
		}
		s.agree(data)
		if r.over() || s.beats() != nil {
			t.Fatal("data built before the open round verified it")
		}
		s.agree(old[0]) // verifies the open round; the read's own opens now
		own := s.beats()
		if r.over() || len(own) != 2 {
			t.Fatalf("over: %v; %d heartbeats of its own round", r.over(), len(own))
		}
		s.agree(old[1])
		s.agree(old[0])
		s.agree(data)
		if r.over() {
			t.Fatalf("verified by answers of an older round: %+v", r)
		}
		s.agree(own[1])
		if !r.over() || r.err != nil || r.index != 3 {
			t.Fatalf("%+v", r)
		}
	})
}

// TestL2DataVerifiesItsRound: data built in the round counts like its heartbeats.
func TestL2DataVerifiesItsRound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := ready(t)
		r := s.read(t.Context())
		s.add(1, 20)
		s.agree(s.wire.takeAppends("n3", false)[0]) // still the probe of round 1
		if r.over() {
			t.Fatal("verified by an older message")
		}
		s.agree(s.wire.takeAppends("n2", false)[0])
		if !r.over() || r.err != nil || r.index != 2 {
			t.Fatalf("%+v", r)
		}
	})
}

// TestL2WhichAnswersCountForTheRound: a refusal proves the round as well if it is of our term: who sent it follows
// no later leader. A lost message, an old term and a stranger prove nothing.
func TestL2WhichAnswersCountForTheRound(t *testing.T) {
	for _, c := range []struct {
		name   string
		reply  AppendEntriesReply
		counts bool
	}{
		{"agreed", AppendEntriesReply{}, true},
		{"conflict", AppendEntriesReply{Refusal: RefusedConflict, ConflictIndex: 1}, true},
		{"busy", AppendEntriesReply{Refusal: RefusedBusy}, true},
		{"of an older term", AppendEntriesReply{Term: 1}, false},
		{"not for me", AppendEntriesReply{Refusal: RefusedNotForMe}, false},
		{"blank", AppendEntriesReply{Refusal: RefusedBlank}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := ready(t)
				r := s.read(t.Context())
				s.add(1, 20)
				if c.name != "conflict" {
					s.reply(s.beats()[0], c.reply)
				} else {
					s.reply(s.wire.takeAppends("n2", false)[0], c.reply)
				}
				if r.over() != c.counts {
					t.Errorf("verified: %v", r.over())
				}
			})
		})
	}
}

// TestL7StepDownFailsWaitingReads (restate#2950): no read is lost without a word
// when its server stops to lead.
func TestL7StepDownFailsWaitingReads(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := ready(t)
		first := s.read(t.Context())  // in the open round
		second := s.read(t.Context()) // joins the next
		beats := s.beats()
		s.handleAppend(heartbeatArgs("n3", 9, 0, 0, 0))
		synctest.Wait()
		for _, r := range []*read{first, second} {
			var hint *NotLeaderError
			if !r.over() || !errors.As(r.err, &hint) || hint.Leader != "n3" || hint.Address != "host3:1" {
				t.Fatalf("%+v: %v", r, r.err)
			}
		}
		for _, beat := range beats {
			s.agree(beat)
		}
		if second.err == nil {
			t.Fatal("released by a late answer")
		}
	})
}

// TestE11LeaderWithoutAQuorumStepsDown (cockroach#27772): a leader that no quorum
// answers for an election timeout steps down and fails the reads that wait.
func TestE11LeaderWithoutAQuorumStepsDown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := ready(t)
		s.read(t.Context())
		for _, beat := range s.beats() {
			s.agree(beat)
		}
		r := s.read(t.Context())
		time.Sleep(s.config.ElectionTimeoutMax)
		if r.over() || s.Status().Role != Leader {
			t.Fatalf("stepped down early: %s", s.Why())
		}
		time.Sleep(2 * s.config.Heartbeat)
		synctest.Wait()
		if !r.over() || !errors.Is(r.err, ErrNotLeader) || s.Status().Role == Leader {
			t.Fatalf("%+v, %v", r, s.Status().Role)
		}
	})
}

func TestL7ReadEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := ready(t)
		r := s.read(within(t, time.Minute))
		time.Sleep(time.Minute)
		synctest.Wait()
		if !r.over() || !errors.Is(r.err, ErrNoAuthority) || !errors.Is(r.err, context.DeadlineExceeded) {
			t.Fatalf("%+v", r)
		}
	})
}

// TestL6ReadWaitsForApply (etcd#3879): a read that is verified waits until the
// state machine has taken what it must see, or until its context ends.
func TestL6ReadWaitsForApply(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := ready(t)
		gate := make(chan struct{})
		s.machine.before = func([]Entry) { <-gate }
		s.add(1, 20)
		s.agree(s.wire.takeAppends("n2", false)[0])
		patient, hasty := s.read(t.Context()), s.read(within(t, time.Minute))
		for range 3 { // verifies the open round and the reads' own
			for _, beat := range s.beats() {
				s.agree(beat)
			}
		}
		if patient.over() || hasty.over() {
			t.Error("answered before Apply returned")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if patient.over() || !hasty.over() || !errors.Is(hasty.err, ErrNoAuthority) {
			t.Errorf("%+v %+v", patient, hasty)
		}
		close(gate)
		synctest.Wait()
		if !patient.over() || patient.err != nil || patient.index != 3 {
			t.Errorf("%+v", patient)
		}
	})
}

func TestReadOnASingleServer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{servers: 1})
		if r := s.read(t.Context()); !errors.Is(r.err, ErrNotLeader) {
			t.Fatalf("before the election: %+v", r)
		}
		s.elect()
		r := s.read(t.Context())
		if !r.over() || r.err != nil || r.index != 2 {
			t.Fatalf("%+v", r)
		}
	})
}

// Many reads share a round: those that come while one is open get the next.
func TestReadsShareRounds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := ready(t)
		var reads []*read
		for range 10 {
			reads = append(reads, s.read(t.Context()))
		}
		rounds := 0
		for beats := s.beats(); len(beats) > 0; beats = s.beats() {
			rounds++
			for _, beat := range beats {
				s.agree(beat)
			}
		}
		if rounds != 2 || slices.ContainsFunc(reads, func(r *read) bool { return !r.over() || r.err != nil }) {
			t.Fatalf("%d rounds for ten reads", rounds)
		}
	})
}
