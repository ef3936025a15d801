package raft

import (
	"errors"
	"slices"
	"testing"
)

// bytesOf takes small choices off the front of a fuzzer's bytes; behind the end
// all are zero.
type bytesOf []byte

func (b *bytesOf) byte() byte {
	if len(*b) == 0 {
		return 0
	}
	first := (*b)[0]
	*b = (*b)[1:]
	return first
}

func (b *bytesOf) bool() bool { return b.byte()&1 != 0 }

// number is a small one mostly, else one at a limit.
func (b *bytesOf) number() uint64 {
	limits := [...]uint64{maxIndex - 1, maxIndex, maxIndex + 1, 1 << 63, 1<<64 - 2, 1<<64 - 1}
	if n := b.byte(); int(n) >= 256-len(limits) {
		return limits[int(n)-(256-len(limits))]
	} else {
		return uint64(n)
	}
}

func (b *bytesOf) server() ServerID {
	return [...]ServerID{"n2", "n3", "n4", "n1", ""}[b.byte()%5]
}

func (b *bytesOf) header() Header {
	return Header{From: b.server(), To: [...]ServerID{"n1", "n1", "n1", "n2"}[b.byte()%4], FromIncarnation: b.number(), ToIncarnation: b.number(), Term: b.number()}
}

func (b *bytesOf) batch() Batch {
	var body []byte
	count := int(b.byte() % 5)
	for range count {
		body = AppendEntry(body, EntryKind(1+b.byte()%4), b.number(), []byte{b.byte()})
	}
	batch := NewBatch(body, count)
	switch b.byte() {
	case 255:
		batch.CRC++
	case 254:
		batch.Count = 1<<32 - 1
	case 253:
		batch.Body = batch.Body[:len(batch.Body)/2]
	}
	return batch
}

func (b *bytesOf) vote() *RequestVoteArgs {
	return &RequestVoteArgs{Header: b.header(), PreVote: b.bool(), Transfer: b.bool(), LastLogIndex: b.number(), LastLogTerm: b.number()}
}

func (b *bytesOf) append() *AppendEntriesArgs {
	return &AppendEntriesArgs{
		Header: b.header(), PrevLogIndex: b.number(), PrevLogTerm: b.number(), LeaderCommit: b.number(), Round: b.number(),
		Heartbeat: b.bool(), Batch: b.batch(),
	}
}

// othersFault are the invariants that a request can show to be broken elsewhere.
var othersFault = map[string]bool{"ONE_LEADER": true, "LEADER_COMPLETENESS": true, "TERMS": true}

// FuzzRequests sends a server whatever a peer could send, one request after the
// other, each field a small number or one at its limit. It answers or refuses by
// name. Nothing that may not fall does; a vote or an acknowledgement is durable
// when it is given; a term has one vote. What no correct cluster sends (a second
// leader in a term, another entry at a committed place) may stop the server with
// the invariant it breaks, never with a panic.
func FuzzRequests(f *testing.F) {
	// By kind: a vote, a pre-vote, entries that fit, a heartbeat, a read.
	vote := []byte{0, 0, 0, 1, 1, 7, 0, 0, 9, 6}
	grow := []byte{1, 0, 0, 1, 1, 6, 4, 3, 3, 1, 0, 2, 0, 5, 'a', 1, 6, 'b', 0}
	f.Add(vote)
	f.Add(grow)
	f.Add(append(append([]byte{}, grow...), 1, 0, 0, 1, 1, 6, 6, 6, 6, 2, 1, 0, 0))
	f.Add(append(append([]byte{}, vote...), 0, 1, 0, 1, 1, 7, 0, 0, 9, 6))                     // a second candidate
	f.Add(append(append([]byte{}, grow...), 1, 1, 0, 1, 1, 6, 6, 6, 6, 2, 0, 0, 0))            // a second leader
	f.Add([]byte{1, 0, 0, 1, 1, 251, 250, 250, 255, 255, 0, 1, 0, 250, 'x', 0})                // limits
	f.Add([]byte{2, 0, 0, 1, 1, 5, 1, 0, 0, 1, 1, 5, 2, 3, 1, 0, 0, 1, 2, 0, 4, 'c', 1, 5, 0}) // a conflict
	f.Fuzz(func(t *testing.T, data []byte) {
		bubble(t, func(t *testing.T) {
			s := begin(t, setup{term: 5, log: []uint64{2, 3, 3}, commit: 2})
			input, votes, before := bytesOf(data), map[uint64]candidate{}, s.Status()
			for range 12 {
				if len(input) == 0 {
					break
				}
				s.handleHostile(&input, votes)
				after := s.Status()
				if after.Term < before.Term || after.CommitIndex < before.CommitIndex || after.CommitIndex > after.LastLogIndex || after.Term > maxIndex {
					t.Fatalf("%+v\nbecame %+v", before, after)
				}
				before = after
			}
			var broken *InvariantError
			if err := s.Err(); err != nil && (!errors.As(err, &broken) || !othersFault[broken.Name]) {
				t.Fatal(err)
			}
		})
	})
}

// handleHostile sends one request and checks the answer.
func (s *script) handleHostile(input *bytesOf, votes map[uint64]candidate) {
	s.t.Helper()
	var err error
	switch input.byte() % 3 {
	case 0:
		args := input.vote()
		var reply *RequestVoteReply
		if reply, err = s.HandleRequestVote(args); err == nil && reply.Granted && !args.PreVote {
			asked := candidate{args.From, args.FromIncarnation}
			if given, voted := votes[args.Term]; voted && given != asked {
				s.t.Fatalf("voted for %+v and %+v in term %d", given, asked, args.Term)
			}
			votes[args.Term] = asked
			if hard, _ := s.kept(); hard != (HardState{args.Term, args.From, args.FromIncarnation}) {
				s.t.Fatalf("granted %+v while %+v is durable", args, hard)
			}
		}
	case 1:
		args := input.append()
		committed := s.Status().CommitIndex
		var reply *AppendEntriesReply
		if reply, err = s.HandleAppendEntries(args, nil); !possible(args) && !errors.Is(err, ErrMalformed) {
			s.t.Fatalf("%+v was taken: %v", args, err)
		}
		// Only what the request proves equal to its sender's log is committed by it.
		if now := s.Status().CommitIndex; now > max(committed, args.PrevLogIndex+uint64(args.Batch.Count)) {
			s.t.Fatalf("%+v moved commitIndex from %d to %d", args, committed, now)
		}
		if err == nil && reply.Refusal == Agreed && !args.Heartbeat {
			if _, last := s.kept(); last < args.PrevLogIndex+uint64(args.Batch.Count) {
				s.t.Fatalf("agreed to %+v while the log up to %d is durable", args, last)
			}
		}
	case 2:
		var reply *ReadIndexReply
		if reply, err = s.HandleReadIndex(&ReadIndexArgs{Header: input.header()}); err == nil && reply.Refusal == Agreed {
			s.t.Fatalf("a server that never led gave out index %d", reply.Index)
		}
	}
	if err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrStopped) {
		s.t.Fatal(err)
	}
}

// possible tells whether a correct leader may send the entries of a request.
func possible(args *AppendEntriesArgs) bool {
	entries, err := args.Batch.Entries(args.PrevLogIndex + 1)
	terms := []uint64{args.PrevLogTerm}
	for _, e := range entries {
		terms = append(terms, e.Term)
	}
	empty := len(args.Batch.Body) == 0 // then its checksum is of nothing
	return err == nil && (empty || args.Batch.Check() == nil) && slices.IsSorted(append(terms, args.Term))
}

// kept is what the store would show after a power loss now.
func (s *script) kept() (HardState, uint64) {
	s.store.MemoryPersister.mu.Lock()
	defer s.store.MemoryPersister.mu.Unlock()
	d := &s.store.durable
	return d.hard, uint64(len(d.entries))
}
