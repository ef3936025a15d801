package raft

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func (b *bytesOf) voteReply() *RequestVoteReply {
	return &RequestVoteReply{Term: b.number(), Granted: b.bool(), Refusal: Refusal(b.byte())}
}

func (b *bytesOf) appendReply() *AppendEntriesReply {
	return &AppendEntriesReply{
		Term: b.number(), Refusal: Refusal(b.byte() % 12), ConflictTerm: b.number(), ConflictIndex: b.number(),
		CommitIndex: b.number(), LastLogIndex: b.number(),
	}
}

func (b *bytesOf) readReply() *ReadIndexReply {
	return &ReadIndexReply{Term: b.number(), Refusal: Refusal(b.byte() % 12), Index: b.number(), CommitIndex: b.number(), Leader: b.server()}
}

// FuzzReplies lets a server campaign, lead, follow and read, and answers its
// requests with anything, in any order, each field a small number or one at its
// limit. No answer makes it panic or break an invariant: what its peers say of
// themselves is theirs, but its own log, term and commit point obey the rules.
func FuzzReplies(f *testing.F) {
	const campaign, vote, entries, propose, wait, read, follow = 0, 1, 2, 3, 4, 5, 6
	granted := func(term byte) []byte { return []byte{vote, 0, term, 1, 0} }
	lead := []byte{campaign}
	for _, answer := range [][]byte{granted(5), granted(5), granted(6), granted(6)} {
		lead = append(lead, answer...)
	}
	add := func(parts ...[]byte) {
		var all []byte
		for _, p := range parts {
			all = append(all, p...)
		}
		f.Add(all)
	}
	add(lead, []byte{propose, 1, propose, 2, entries, 0, 6, 0, 0, 0, 0, 0, entries, 0, 6, 0, 0, 0, 0, 0, wait, 1})
	add(lead, []byte{propose, 1, entries, 0, 6, 2, 3, 255, 255, 255, entries, 0, 6, 2, 255, 0, 0, 0, entries, 0, 251, 0, 0, 0, 0, 0})
	add([]byte{campaign, vote, 0, 250, 0, 1, vote, 0, 255, 1, 1, wait, 9, campaign, vote, 0, 9, 0, 5})
	add([]byte{follow, 6, read, 7, 0, 6, 0, 255, 255, 0, wait, 1, read, 7, 0, 6, 9, 1, 1, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		bubble(t, func(t *testing.T) {
			s := begin(t, setup{term: 5, log: []uint64{2, 3, 3}})
			p := &player{script: s, input: bytesOf(data)}
			defer p.reads.Wait()
			defer p.campaign.end()
			p.campaign.cancel = func() {}
			before := s.Status()
			for range 40 {
				if len(p.input) == 0 {
					break
				}
				p.step()
				synctest.Wait()
				after := s.Status()
				if s.Err() != nil || after.Term < before.Term || after.CommitIndex < before.CommitIndex || after.CommitIndex > after.LastLogIndex || after.LastApplied > after.CommitIndex {
					t.Fatalf("%v; %+v\nbecame %+v", s.Err(), before, after)
				}
				if after.Role == Leader && after.CommitIndex > before.CommitIndex && !p.agreed {
					t.Fatalf("index %d was committed before anyone agreed", after.CommitIndex)
				}
				// A term at the limit was reached by lies alone; it ends the game, for
				// no term may follow it.
				if before = after; after.Term > maxIndex {
					t.Fatalf("a term above the limit was adopted: %+v", after)
				} else if after.Term == maxIndex {
					break
				}
			}
		})
	})
}

// player plays everyone but the server.
type player struct {
	*script
	input    bytesOf
	campaign campaignHandle
	reads    sync.WaitGroup
	agreed   bool // a follower agreed to something, in the server's own term
}

func (p *player) step() {
	w := p.wire
	switch p.input.byte() % 8 {
	case 0:
		p.campaign.end()
		if version, deadline := p.timer.read(); !deadline.IsZero() { // a leader has none
			if _, handle, ok := p.fire(version); ok {
				p.campaign = handle
			}
		}
	case 1:
		if call := pick(w, &w.votes, p.input.byte()); call != nil {
			call.done(p.input.voteReply(), nil)
		}
	case 2:
		if call := pick(w, &w.appends, p.input.byte()); call != nil {
			reply := p.input.appendReply()
			p.agreed = p.agreed || reply.Refusal == Agreed && reply.Term == p.Status().Term
			call.done(reply, nil)
		}
	case 3:
		_, _ = p.Start([]byte{p.input.byte()}) // refused if it does not lead
	case 4:
		time.Sleep(time.Duration(p.input.byte()) * 20 * time.Millisecond)
	case 5:
		p.reads.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			_, _ = p.ReadIndex(ctx) // whatever comes of it, it must end
		})
	case 6: // a leader of another term speaks
		args := heartbeatArgs("n2", 6+uint64(p.input.byte()%3), 4, 3, 0)
		if now := p.Status(); args.Term > now.Term {
			_, _ = p.HandleAppendEntries(args, nil)
		}
	case 7:
		if call := pick(w, &w.reads, p.input.byte()); call != nil {
			call.done(p.input.readReply(), nil)
		} else if call := pick(w, &w.appends, p.input.byte()); call != nil {
			call.done(nil, errLost)
		}
	}
}

// pick takes one of the calls that wait for an answer; nil if none does.
func pick[C any](w *wire, calls *[]*C, which byte) *C {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(*calls) == 0 {
		return nil
	}
	i := int(which) % len(*calls)
	call := (*calls)[i]
	*calls = append((*calls)[:i:i], (*calls)[i+1:]...)
	return call
}
