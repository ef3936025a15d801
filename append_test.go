package raft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
)

// TestAppendRules: n1 is in term 5; after the bootstrap entry its log has entries
// of terms 2 3 3 3 4 at the indexes 2 to 6, and index 3 is committed.
func TestAppendRules(t *testing.T) {
	list := func(terms ...uint64) []uint64 { return terms }
	same := list(2, 3, 3, 3, 4)
	table := []struct {
		name   string
		args   *AppendEntriesArgs
		reply  AppendEntriesReply // Refusal and conflict
		after  []uint64
		commit uint64
	}{
		{"append at the end", appendArgs("n2", 5, 6, 4, 0, 5, 5), AppendEntriesReply{}, list(2, 3, 3, 3, 4, 5, 5), 3},
		{"append nothing", appendArgs("n2", 5, 6, 4, 0), AppendEntriesReply{}, same, 3},
		{"append and commit", appendArgs("n2", 5, 6, 4, 7, 5, 5), AppendEntriesReply{}, list(2, 3, 3, 3, 4, 5, 5), 7},
		{"commit beyond the request", appendArgs("n2", 5, 4, 3, 99), AppendEntriesReply{}, same, 4},
		{"R3 commit beyond the entries of the request", appendArgs("n2", 5, 4, 3, 99, 3), AppendEntriesReply{}, same, 5},
		{"commit below", appendArgs("n2", 5, 6, 4, 2), AppendEntriesReply{}, same, 3},
		{"R3 heartbeat commits up to prev only", heartbeatArgs("n2", 5, 4, 3, 99), AppendEntriesReply{}, same, 4},
		{"R3 heartbeat at 0 commits nothing", heartbeatArgs("n2", 5, 0, 0, 99), AppendEntriesReply{}, same, 3},
		{"entries held already", appendArgs("n2", 5, 3, 3, 0, 3, 3), AppendEntriesReply{}, same, 3},
		{"R2 a delayed shorter one deletes nothing", appendArgs("n2", 5, 3, 3, 0, 3), AppendEntriesReply{}, same, 3},
		{"some held, some new", appendArgs("n2", 5, 5, 3, 0, 4, 5), AppendEntriesReply{}, list(2, 3, 3, 3, 4, 5), 3},
		{"conflict removes the suffix", appendArgs("n2", 5, 4, 3, 0, 5), AppendEntriesReply{}, list(2, 3, 3, 5), 3},
		{"held, then conflict", appendArgs("n2", 5, 3, 3, 0, 3, 5, 5), AppendEntriesReply{}, list(2, 3, 3, 5, 5), 3},
		{"R3 a conflicting tail is not committed", appendArgs("n2", 5, 5, 3, 6), AppendEntriesReply{}, same, 5},
		{"log too short", appendArgs("n2", 5, 9, 4, 9, 5), AppendEntriesReply{Refusal: RefusedConflict, ConflictIndex: 7}, same, 3},
		{"just too short", appendArgs("n2", 5, 7, 4, 9), AppendEntriesReply{Refusal: RefusedConflict, ConflictIndex: 7}, same, 3},
		{"conflict at the end", appendArgs("n2", 5, 6, 5, 9), AppendEntriesReply{Refusal: RefusedConflict, ConflictTerm: 4, ConflictIndex: 6}, same, 3},
		{"R8 a hint stays above commitIndex", appendArgs("n2", 5, 5, 4, 9), AppendEntriesReply{Refusal: RefusedConflict, ConflictTerm: 3, ConflictIndex: 4}, same, 3},
		{"prev below commitIndex agrees", appendArgs("n2", 5, 2, 2, 0), AppendEntriesReply{}, same, 3},
		{"prev 0 agrees", appendArgs("n2", 5, 0, 0, 0), AppendEntriesReply{}, same, 3},
		{"committed entries are skipped", appendArgs("n2", 5, 1, 1, 0, 2, 3, 5), AppendEntriesReply{}, list(2, 3, 5), 3},
		{"old term", appendArgs("n2", 4, 6, 4, 6, 4), AppendEntriesReply{Refusal: RefusedStaleTerm}, same, 3},
		{"old term heartbeat", heartbeatArgs("n2", 4, 6, 4, 6), AppendEntriesReply{Refusal: RefusedStaleTerm}, same, 3},
	}
	for _, c := range table {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := begin(t, setup{term: 5, log: same, commit: 3})
				reply := s.handleAppend(c.args)
				got := AppendEntriesReply{Refusal: reply.Refusal, ConflictTerm: reply.ConflictTerm, ConflictIndex: reply.ConflictIndex}
				if got != c.reply {
					t.Errorf("replied %+v", reply)
				}
				if after := s.terms(); !slices.Equal(after, c.after) {
					t.Errorf("the log has terms %v, want %v", after, c.after)
				}
				status := s.Status()
				if status.CommitIndex != c.commit || reply.CommitIndex != c.commit || reply.LastLogIndex != status.LastLogIndex || reply.Term != 5 {
					t.Errorf("commitIndex %d, want %d; replied %+v", status.CommitIndex, c.commit, reply)
				}
				if r := s.reopened(); c.reply.Refusal == Agreed && !slices.Equal(termsOf(t, r), c.after) {
					t.Errorf("an agreement is not durable: %v", termsOf(t, r))
				}
			})
		})
	}
}

// termsOf returns the terms of a recovered log after the bootstrap entry.
func termsOf(t *testing.T, r Recovered) []uint64 {
	t.Helper()
	var terms []uint64
	for _, b := range r.Batches {
		entries, err := b.Entries(1)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			terms = append(terms, e.Term)
		}
	}
	return terms[1:]
}

// The entries lie in memory and on disk as the very bytes that travelled.
func TestAppendKeepsTheBytes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{})
		args := appendArgs("n2", 2, 1, 1, 3, 2, 2)
		s.handleAppend(args)
		synctest.Wait()
		staged := s.store.stages[len(s.store.stages)-1]
		if &staged.Batch.Body[0] != &args.Batch.Body[0] || staged.Batch.CRC != args.Batch.CRC || staged.FirstIndex != 2 {
			t.Errorf("staged a copy: %+v", staged)
		}
		applied := s.machine.entries()
		if len(applied) != 2 || string(applied[1].Data) != "3.2" || applied[1].Number != 2 || applied[1].Index != 3 || applied[1].Term != 2 {
			t.Errorf("applied %+v", applied)
		}
	})
}

func TestAppendFollowsTheSender(t *testing.T) {
	for _, args := range []*AppendEntriesArgs{
		heartbeatArgs("n2", 6, 0, 0, 0), appendArgs("n2", 6, 1, 1, 0, 6), appendArgs("n2", 6, 9, 6, 0, 6),
	} {
		bubble(t, func(t *testing.T) {
			s := begin(t, setup{term: 5, vote: "n1"})
			s.handleAppend(args)
			if got := s.Status(); got.Role != Follower || got.Term != 6 || got.Leader != "n2" || got.VotedFor != "" || got.LeaderContact != 0 {
				t.Errorf("%+v", got)
			}
			if id, address := s.Leader(); id != "n2" || address != "host2:1" {
				t.Errorf("leader %s at %s", id, address)
			}
		})
	}
}

// TestAppendGateway: what no correct leader sends is refused and changes nothing.
func TestAppendGateway(t *testing.T) {
	change := func(f func(*AppendEntriesArgs)) *AppendEntriesArgs {
		args := appendArgs("n2", 9, 1, 1, 2, 9, 9)
		f(args)
		return args
	}
	table := []struct {
		name string
		args *AppendEntriesArgs
	}{
		{"term 0", change(func(a *AppendEntriesArgs) { a.Term = 0 })},
		{"the bootstrap term", change(func(a *AppendEntriesArgs) { a.Term = 1 })},
		{"a term that overflows", change(func(a *AppendEntriesArgs) { a.Term = maxIndex + 1 })},
		{"an index that overflows", change(func(a *AppendEntriesArgs) { a.PrevLogIndex = maxIndex + 1 })},
		{"a commit point that overflows", change(func(a *AppendEntriesArgs) { a.LeaderCommit = 1<<64 - 1 })},
		{"prev above the term", change(func(a *AppendEntriesArgs) { a.PrevLogTerm = 10 })},
		{"a heartbeat with entries", change(func(a *AppendEntriesArgs) { a.Heartbeat = true })},
		{"a broken checksum", change(func(a *AppendEntriesArgs) { a.Batch.CRC ^= 1 })},
		{"more entries than bytes", change(func(a *AppendEntriesArgs) { a.Batch.Count = 3 })},
		{"fewer entries than bytes", change(func(a *AppendEntriesArgs) { a.Batch.Count = 1 })},
		{"entries without bytes", change(func(a *AppendEntriesArgs) { a.Batch = NewBatch(nil, 2) })},
		{"bytes without entries", change(func(a *AppendEntriesArgs) { a.Batch.Count = 0 })},
		{"falling terms", change(func(a *AppendEntriesArgs) { a.Batch = commands(2, 9, 8) })},
		{"an entry below prev's term", change(func(a *AppendEntriesArgs) { a.PrevLogTerm = 9; a.Batch = commands(2, 8) })},
		{"an entry above the sender's term", change(func(a *AppendEntriesArgs) { a.Batch = commands(2, 9, 10) })},
		{"an entry of term 0", change(func(a *AppendEntriesArgs) { a.PrevLogTerm = 0; a.Batch = commands(2, 0) })},
		{"an unknown kind", change(func(a *AppendEntriesArgs) { a.Batch = NewBatch(AppendEntry(nil, 4, 9, nil), 1) })},
		{"a configuration", change(func(a *AppendEntriesArgs) { a.Batch = NewBatch(AppendEntry(nil, EntryConfiguration, 9, nil), 1) })},
		{"a cut entry", change(func(a *AppendEntriesArgs) { a.Batch = NewBatch(a.Batch.Body[:len(a.Batch.Body)-1], 2) })},
		{"an entry that claims 4 GiB", change(func(a *AppendEntriesArgs) {
			binary.LittleEndian.PutUint32(a.Batch.Body[9:], 1<<32-1)
			a.Batch = NewBatch(a.Batch.Body, 2)
		})},
		{"nobody as sender", change(func(a *AppendEntriesArgs) { a.From = "" })},
		{"another receiver", change(func(a *AppendEntriesArgs) { a.To = "n3" })},
		{"the receiver itself as sender", change(func(a *AppendEntriesArgs) { a.From = "n1" })},
		{"an earlier admission of the receiver", change(func(a *AppendEntriesArgs) { a.ToIncarnation = 0 })},
	}
	for _, c := range table {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := begin(t, setup{term: 5})
				was, stages := fmt.Sprintf("%+v", s.Status()), s.store.staged()
				version, _ := s.timer.read()
				reply, err := s.HandleAppendEntries(c.args, nil)
				if err == nil && reply.Refusal != RefusedNotForMe || err != nil && !errors.Is(err, ErrMalformed) {
					t.Errorf("answered %+v, %v", reply, err)
				}
				now, _ := s.timer.read()
				if is := fmt.Sprintf("%+v", s.Status()); is != was || s.store.staged() != stages || now != version {
					t.Errorf("it changed\n%s to\n%s", was, is)
				}
			})
		})
	}
}

// An answer to entries waits for the flush (R4), also that of a duplicate, which
// stages nothing; a heartbeat's does not, even one that raises the term.
func TestR4AppendWaitsForItsFlushAndHeartbeatsDoNot(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 5})
		s.store.hold()
		var spoken tally[Refusal]
		for range 2 {
			go func() {
				if reply, err := s.HandleAppendEntries(appendArgs("n2", 5, 1, 1, 0, 5), nil); err == nil {
					spoken.add(reply.Refusal)
				}
			}()
			synctest.Wait()
		}
		if got := spoken.all(); len(got) != 0 || !slices.Equal(s.terms(), []uint64{5}) {
			t.Fatalf("R4: answered %v before the flush; log %v", got, s.terms())
		}
		if reply := s.handleAppend(heartbeatArgs("n2", 5, 2, 5, 2)); reply.Refusal != Agreed {
			t.Fatalf("heartbeat: %+v", reply)
		}
		if reply := s.handleAppend(heartbeatArgs("n3", 6, 0, 0, 0)); reply.Refusal != Agreed || reply.Term != 6 {
			t.Fatalf("heartbeat of a new leader: %+v", reply)
		}
		if got := spoken.all(); len(got) != 0 {
			t.Fatalf("answered %v before the flush", got)
		}
		s.store.release()
		synctest.Wait()
		if got := spoken.all(); !slices.Equal(got, []Refusal{Agreed, Agreed}) {
			t.Fatalf("answered %v after the flush", got)
		}
	})
}

// commitIndex and lastApplied may run ahead of the own disk (R4): a quorum holds
// the entry.
func TestR4CommitRunsAheadOfTheDisk(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{term: 5})
		s.store.hold()
		go s.HandleAppendEntries(appendArgs("n2", 5, 1, 1, 0, 5), nil)
		synctest.Wait()
		s.handleAppend(heartbeatArgs("n2", 5, 2, 5, 2))
		synctest.Wait()
		if got := s.Status(); got.CommitIndex != 2 || got.LastApplied != 2 || got.Durable == got.Staged {
			t.Fatalf("%+v", got)
		}
	})
}

// A leader's message agrees at any committed prev, for it must hold what is
// committed; if it shows another term there, somebody's log is broken.
func TestCommittedEntryOfAnotherTermIsABreach(t *testing.T) {
	for _, heartbeat := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			s := begin(t, setup{term: 5, log: []uint64{2, 3}, commit: 3})
			args := appendArgs("n2", 5, 3, 4, 3)
			args.Heartbeat = heartbeat
			if reply, err := s.HandleAppendEntries(args, nil); !errors.Is(err, ErrStopped) {
				t.Errorf("answered %+v, %v", reply, err)
			}
			s.breach("LEADER_COMPLETENESS")
			if !slices.Equal(s.terms(), []uint64{2, 3}) {
				t.Error("the log changed")
			}
		})
	}
}

// Design §4, campaign: a blank (incarnation 0) gives no vote and no ack.
func TestBlankGivesNoAck(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{voters: func(c *Configuration) { c.Servers[0].Incarnation = 0 }})
		for _, args := range []*AppendEntriesArgs{appendArgs("n2", 5, 1, 1, 0, 5), heartbeatArgs("n2", 5, 1, 1, 0)} {
			if reply := s.handleAppend(args); reply.Refusal != RefusedBlank {
				t.Errorf("heartbeat %v: %+v", args.Heartbeat, reply)
			}
		}
	})
}
