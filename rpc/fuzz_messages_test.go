package rpc

import (
	"bytes"
	"errors"
	"io"
	"net/rpc"
	"testing"
	"time"

	"lockstep.example/raft"
	"lockstep.example/raft/internal/msgpack"
)

// kinds makes one of each message that crosses the network, at its start fresh.
var kinds = []func() any{
	func() any { return new(rpc.Request) },
	func() any { return new(rpc.Response) },
	func() any { return new(raft.RequestVoteArgs) },
	func() any { return new(raft.RequestVoteReply) },
	func() any { return new(raft.AppendEntriesArgs) },
	func() any { return new(raft.AppendEntriesReply) },
	func() any { return new(raft.ReadIndexArgs) },
	func() any { return new(raft.ReadIndexReply) },
}

// samples has one message of each kind, with something in every field.
func samples() []any {
	h := raft.Header{From: "n2", To: "n1", FromIncarnation: 1, ToIncarnation: 1, Term: 5}
	batch := raft.NewBatch(raft.AppendEntry(nil, raft.EntryCommand, 5, []byte("command")), 1)
	return []any{
		&rpc.Request{ServiceMethod: "Raft.AppendEntries", Seq: 1 << 40},
		&rpc.Response{ServiceMethod: "Raft.RequestVote", Seq: 2, Error: "why"},
		&raft.RequestVoteArgs{Header: h, PreVote: true, Transfer: true, LastLogIndex: 9, LastLogTerm: 4},
		&raft.RequestVoteReply{Term: 5, Granted: true, Refusal: raft.RefusedVoted},
		&raft.AppendEntriesArgs{Header: h, PrevLogIndex: 8, PrevLogTerm: 4, LeaderCommit: 7, Round: 3, Heartbeat: true, Batch: batch, Directory: []byte{0, 255}},
		&raft.AppendEntriesReply{Term: 5, Refusal: raft.RefusedConflict, ConflictTerm: 3, ConflictIndex: 4, CommitIndex: 2, LastLogIndex: 9},
		&raft.ReadIndexArgs{Header: h},
		&raft.ReadIndexReply{Term: 5, Refusal: raft.RefusedNotLeader, Index: 6, CommitIndex: 7, Leader: "n3"},
	}
}

func encoded(v any) []byte {
	data, err := msgpack.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

// FuzzMessages decodes anything as each kind of message. What is not refused
// survives another trip, and is written in one way only.
func FuzzMessages(f *testing.F) {
	for kind, v := range samples() {
		f.Add(uint8(kind), encoded(v))
	}
	f.Fuzz(func(t *testing.T, kind uint8, data []byte) {
		fresh := kinds[int(kind)%len(kinds)]
		input, v := bytes.Clone(data), fresh()
		var err error
		checkMemory(t, len(data), func() { err = msgpack.Unmarshal(data, v) })
		if !bytes.Equal(data, input) {
			t.Fatalf("the input became %x", data)
		}
		if err != nil {
			if !isMalformed(err) {
				t.Fatal(err)
			}
			return
		}
		back := fresh()
		if err := msgpack.Unmarshal(encoded(v), back); err != nil || !same(v, back) {
			t.Fatalf("%+v came back as %+v, %v", v, back, err)
		}
		if !bytes.Equal(encoded(v), encoded(back)) {
			t.Fatalf("%+v is written in two ways", v)
		}
	})
}

// asking is a frame that holds a request of Raft's service.
func asking(seq uint64, method string, args any) []byte {
	return frame(append(encoded(&rpc.Request{ServiceMethod: "Raft." + method, Seq: seq}), encoded(args)...))
}

// FuzzRequests reads anything as the requests of a peer's connection, up to their
// bodies. Whatever makes no sense closes the connection, and its cause is named.
func FuzzRequests(f *testing.F) {
	s := samples()
	f.Add(bytes.Join([][]byte{asking(1, "RequestVote", s[2]), asking(2, "AppendEntries", s[4]), asking(3, "ReadIndex", s[6])}, nil), false)
	f.Add(append(asking(1, "ReadIndex", s[6]), asking(1, "ReadIndex", s[6])...), false) // one number, twice
	f.Add(append(encoded(s[0]), encoded(s[4])...), true)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 1}, false)
	f.Fuzz(func(t *testing.T, data []byte, wrap bool) {
		if wrap { // gets past the checksum
			data = frame(data)
		}
		c := newConn(reading(data), greeting{}, Limits{}.withDefaults(), 0)
		stamped := 0
		codec := &serverCodec{c: c, ordered: func(*raft.AppendEntriesArgs) { stamped++ }}
		checkMemory(t, len(data), func() {
			for served := 0; ; served++ {
				var r rpc.Request
				if err := codec.ReadRequestHeader(&r); err != nil {
					if err != io.EOF || !c.isClosed() || !explained(c.cause) {
						t.Fatalf("a bad header gave %v, the connection closed: %v, because of %v", err, c.isClosed(), c.cause)
					}
					return
				}
				var body any
				switch r.ServiceMethod {
				case "Raft.RequestVote":
					body = new(raft.RequestVoteArgs)
				case "Raft.AppendEntries":
					body = new(raft.AppendEntriesArgs)
				case "Raft.ReadIndex":
					body = new(raft.ReadIndexArgs)
				}
				before := stamped
				err := codec.ReadRequestBody(body)
				if err != nil && (!c.isClosed() || !isMalformed(c.cause)) {
					t.Fatalf("a bad body gave %v and left the connection open", err)
				}
				if _, isAppend := body.(*raft.AppendEntriesArgs); (stamped > before) != (isAppend && err == nil) {
					t.Fatalf("of %T (%v) %d were put in order", body, err, stamped-before)
				}
				if c.window.bytes > len(data) || len(c.window.sizes) != served+1 && !c.isClosed() {
					t.Fatalf("%d bytes in %d requests count as under way after %d of %d bytes", c.window.bytes, len(c.window.sizes), served+1, len(data))
				}
			}
		})
	})
}

// explained tells whether a cause of a closed connection is one that a person can
// be told: its end, a bad frame or a bad message.
func explained(cause error) bool {
	return cause == io.EOF || errors.As(cause, new(*frameError)) || isMalformed(cause)
}

// FuzzResponses reads anything as the answers on an outgoing connection, into a
// call that waits and one that has ended.
func FuzzResponses(f *testing.F) {
	answer := func(seq uint64, why string, body any) []byte {
		return append(encoded(&rpc.Response{Seq: seq, Error: why}), encoded(body)...)
	}
	s := samples()
	f.Add(uint8(1), answer(1, "", s[3]), true, false)
	f.Add(uint8(2), answer(1, "", s[5]), true, false)
	f.Add(uint8(3), answer(7, "no such method", s[7]), true, true)
	f.Add(uint8(1), bytes.Repeat(frame(answer(1, "", s[5])), 3), false, false)
	f.Fuzz(func(t *testing.T, kind uint8, data []byte, wrap, ended bool) {
		if wrap {
			data = frame(data)
		}
		fresh := []func() any{kinds[3], kinds[5], kinds[7]}[int(kind)%3]
		c := newConn(reading(data), greeting{}, Limits{}.withDefaults(), 0)
		codec := &clientCodec{c: c}
		checkMemory(t, len(data), func() {
			for {
				var r rpc.Response
				if err := codec.ReadResponseHeader(&r); err != nil {
					if err != io.EOF || !c.isClosed() || !explained(c.cause) {
						t.Fatalf("a bad header gave %v, the connection closed: %v, because of %v", err, c.isClosed(), c.cause)
					}
					return
				}
				waiting := &call{reply: fresh()}
				if ended {
					waiting.ended = time.Unix(1, 0)
				}
				reply := waiting.reply
				var err error
				if r.Error != "" { // as net/rpc does
					err = codec.ReadResponseBody(nil)
				} else {
					err = codec.ReadResponseBody(waiting)
				}
				if err != nil && (!c.isClosed() || !isMalformed(err) || ended) {
					t.Fatalf("a bad body gave %v, the connection closed: %v", err, c.isClosed())
				}
				if (ended || r.Error != "") && !same(reply, fresh()) {
					t.Fatalf("the reply of a call that nobody waits for became %+v", reply)
				}
			}
		})
	})
}
