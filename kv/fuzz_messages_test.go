package kv

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"lockstep.example/raft"
	"lockstep.example/raft/internal/allocs"
	"lockstep.example/raft/internal/msgpack"
	"lockstep.example/raft/session"
)

// kinds makes one of each message of the service, fresh.
var kinds = []func() any{
	func() any { return new(Request) }, func() any { return new(Reply) },
	func() any { return new(StatusRequest) }, func() any { return new(StatusReply) },
}

func encoded(v any) []byte {
	data, err := msgpack.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

// fullReply and fullStatus have something in every field.
func fullReply() *Reply {
	return &Reply{
		Code: CodeNotLeader, Message: "why", Server: "n1", Leader: "host:1", Answer: []byte{0, 1}, More: true, Revision: 7, Applied: 9, Stale: true,
		Items: []KeyValue{{[]byte("k"), []byte("v"), 1, 2, 3}, {[]byte{}, nil, 0, 0, 1 << 63}},
	}
}

func fullStatus() *StatusReply {
	return &StatusReply{
		ID: "n1", Role: "leader", Term: 5, Leader: "n1", LeaderAddress: "host:1", CommitIndex: 4, LastApplied: 3, LastLogIndex: 6, Lag: 3, Why: "leads",
		Live: true, Ready: true, Revision: 8, Keys: 2, Sessions: 1, InFlight: 1, Hash: 1 << 63, HashIndex: 3,
		Followers: []FollowerStatus{{"n2", "replicate", 6, 0, ""}, {"n3", "probe", 0, 6, "no route"}},
	}
}

func fullRequest() *Request {
	return &Request{
		Op: OpCompareAndSwap, Key: []byte("key"), Value: []byte("value"), Revision: 3, After: []byte{}, Limit: 10, Client: 1, Seq: 1, Floor: 0,
		Stale: true, Forwarded: true, Timeout: time.Second,
	}
}

// FuzzMessages decodes anything as each message of the service. What is not
// refused survives another trip, and memory stays in proportion.
func FuzzMessages(f *testing.F) {
	for kind, v := range []any{fullRequest(), fullReply(), &StatusRequest{}, fullStatus()} {
		f.Add(uint8(kind), encoded(v))
	}
	f.Fuzz(func(t *testing.T, kind uint8, data []byte) {
		fresh := kinds[int(kind)%len(kinds)]
		input, v := bytes.Clone(data), fresh()
		var err error
		used := allocs.During(func() { err = msgpack.Unmarshal(data, v) })
		if used > 1<<20+512*uint64(len(data)) {
			t.Fatalf("%d bytes took %d of memory", len(data), used)
		}
		if !bytes.Equal(data, input) {
			t.Fatalf("the input became %x", data)
		}
		if err != nil {
			if !errors.Is(err, msgpack.ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		back := fresh()
		if err := msgpack.Unmarshal(encoded(v), back); err != nil || !reflect.DeepEqual(v, back) {
			t.Fatalf("%+v came back as %+v, %v", v, back, err)
		}
	})
}

// FuzzRequest serves any request that can be decoded, twice, on a server that
// leads. Every field is a stranger's. The outcome has a code of the protocol; what
// the server calls invalid, and every read, leaves the store as it was; a command
// is executed once; and the reply fits into a message.
func FuzzRequest(f *testing.F) {
	f.Add(encoded(fullRequest()))
	for op := OpGet; op <= OpCompareAndSwap+1; op++ {
		r := Request{Op: op, Key: []byte("key"), Value: []byte("value"), Client: 1, Seq: 1}
		f.Add(encoded(&r))
		r.Seq, r.Floor, r.Limit, r.Timeout, r.Revision = 1<<64-1, 1<<64-1, 1<<32-1, -1, 1<<64-1
		f.Add(encoded(&r))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var request Request
		if msgpack.Unmarshal(data, &request) != nil {
			return
		}
		s, err := newServer(Config{ID: "n1"}, session.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		rf := &alone{s: s}
		s.Attach(rf)
		rf.propose((&session.Envelope{Kind: session.KindOpen}).Append(nil)) // client 1
		rf.propose(put("key", "old").Append(session.AppendHeader(nil, &session.Envelope{Kind: session.KindCommand, Client: 1, Seq: 2})))

		hash, given := s.store.Hash(), encoded(&request)
		var first, second Reply
		if s.Do(&request, &first) != nil || s.Do(&request, &second) != nil {
			t.Fatal("Do returned an error")
		}
		if !bytes.Equal(encoded(&request), given) {
			t.Fatalf("the request became %+v", request)
		}
		if _, known := codeNames[first.Code]; !known || first.Code != second.Code || (first.Code == CodeOK) != (first.Message == "") {
			t.Fatalf("%+v, then %+v", first, second)
		}
		if changed := s.store.Hash() != hash; changed && (first.Code != CodeOK || request.Op.reads()) {
			t.Fatalf("%+v gave %+v and changed the store", request, first)
		}
		if revision := s.store.Revision(); revision > 2 {
			t.Fatalf("one command, sent twice, was executed %d times", revision-1)
		}
		if !request.Op.reads() && first.Code == CodeOK && request.Op != OpOpenSession {
			if !bytes.Equal(first.Answer, second.Answer) {
				t.Fatalf("a duplicate was answered %x, the original %x", second.Answer, first.Answer)
			}
			if a, err := session.ParseAnswer(first.Answer); err == nil {
				if _, err := ParseResult(a.Result, request.command()); errors.Is(err, ErrMalformed) {
					t.Fatal(err)
				}
			}
		}
		var back Reply
		if err := msgpack.Unmarshal(encoded(&first), &back); err != nil || len(first.Items) > MaxListItems {
			t.Fatalf("a reply of %d items: %v", len(first.Items), err)
		}
	})
}

// alone is the Raft of one server: what is proposed is applied at once.
type alone struct {
	s     *Server
	index uint64
}

func (r *alone) propose(command []byte) raft.Result {
	r.index++
	results := make([]raft.Result, 1)
	r.s.Apply([]raft.Entry{{Index: r.index, Term: 1, Number: r.index, Kind: raft.EntryCommand, Data: command}}, results)
	return results[0]
}

func (r *alone) Propose(_ context.Context, command []byte) (raft.Result, error) {
	return r.propose(command), nil
}
func (r *alone) ReadIndex(context.Context) (uint64, error) { return r.index, nil }
func (r *alone) Leader() (raft.ServerID, string)           { return "n1", "" }
func (r *alone) Status() raft.Status                       { return raft.Status{ID: "n1"} }
func (r *alone) Why() string                               { return "" }
func (r *alone) Health() raft.Health                       { return raft.Health{} }
