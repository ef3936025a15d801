package rpc

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/rpc"
	"sync"
	"testing"

	"lockstep.example/raft"
	"lockstep.example/raft/internal/msgpack"
)

// FuzzConnection gives a server a whole connection: the greeting, then whatever
// the other side sends. Strangers get no answer and speak to nobody; who was let
// in reaches Raft only as the server it said it is; every answer can be read; and
// in the end nothing of the connection is left.
func FuzzConnection(f *testing.F) {
	s := samples()
	raw, framed := uint8(0), uint8(2)
	for kind := range uint8(5) {
		f.Add(framed|kind<<2|1, append(encoded(&rpc.Request{ServiceMethod: "Raft.RequestVote", Seq: 1}), encoded(s[2])...))
	}
	f.Add(uint8(1|1<<2), bytes.Join([][]byte{asking(1, "RequestVote", s[2]), asking(2, "AppendEntries", s[4]), asking(3, "Nothing", s[6])}, nil))
	f.Add(raw, greetingOf(classData).encode())
	f.Add(raw, []byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, mode uint8, data []byte) {
		var sent []byte
		if mode&1 != 0 {
			sent = greetingOf(class(mode >> 2 % 8)).encode()
		}
		if mode&framed != 0 {
			data = frame(data)
		}
		sent = append(sent, data...)

		server, heard := fuzzedServer(t)
		defer server.Close()
		nc := reading(sent)
		if !server.enter(nc) {
			t.Fatal("a server that runs lets nobody in")
		}
		checkMemory(t, len(sent), func() { server.serve(nc) })

		rest := bytes.NewReader(sent)
		theirs, err := readGreeting(rest)
		if err == nil {
			err = server.checkStranger(theirs)
		}
		answers := bytes.NewReader(nc.Bytes())
		ours, unread := readGreeting(answers)
		switch {
		case errors.Is(err, ErrProtocol) && nc.Len() > 0 && unread != nil,
			err != nil && !errors.As(err, new(*RefusedError)) && nc.Len() > 0:
			t.Fatalf("%d bytes were said to a stranger (%v)", nc.Len(), err)
		case err == nil && !welcome(theirs):
			t.Fatalf("let in: %+v", theirs)
		case err == nil && (unread != nil || ours.verdict != accepted):
			t.Fatalf("a good greeting was answered with %+v, %v", ours, unread)
		case err != nil && unread == nil && ours.verdict == accepted:
			t.Fatalf("let in: %+v, which is to be refused: %v", theirs, err)
		}
		heard.mu.Lock()
		defer heard.mu.Unlock()
		for _, from := range heard.from {
			if err != nil || theirs.class == classClient || string(from) != theirs.sender {
				t.Fatalf("a request of %q reached Raft on a %v connection of %q (%v)", from, theirs.class, theirs.sender, err)
			}
		}
		if err == nil {
			checkAnswers(t, answers, server.limits)
		}
		if a := server.admission; len(a.strangers)+len(a.clients)+len(a.peers)+len(a.perHost) != 0 {
			t.Fatalf("after the end %d strangers, %d clients and %d peers are connected", len(a.strangers), len(a.clients), len(a.peers))
		}
	})
}

// greetingOf is what the server n2 says to n1.
func greetingOf(kind class) *greeting {
	g := &greeting{minVersion: 1, maxVersion: 1, class: kind, cluster: "c1", sender: "n2", receiver: "n1", bootCounter: 1}
	if kind == classClient {
		g.sender = ""
	}
	return g
}

// welcome says in other words than the server whom it lets in.
func welcome(g greeting) bool {
	if g.class == classClient {
		return g.sender == "" && (g.cluster == "" || g.cluster == "c1") && (g.receiver == "" || g.receiver == "n1") && g.group == 0
	}
	return (g.class == classControl || g.class == classData) && g.sender != "" && g.sender != "n1" && g.cluster == "c1" && g.receiver == "n1" && g.group == 0
}

// senders notes who asked for something.
type senders struct {
	mu   sync.Mutex
	from []raft.ServerID
}

func (s *senders) note(id raft.ServerID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.from = append(s.from, id)
}

// fuzzedServer is n1 of c1. It listens to nobody.
func fuzzedServer(t *testing.T) (*Server, *senders) {
	t.Helper()
	c, err := Config{ID: "n1", Cluster: "c1", BootCounter: 1, BootID: [16]byte{1}, Logger: slog.New(slog.DiscardHandler)}.prepare()
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(c, new(exchangeBoard).listen("n1"), nil)
	heard := &senders{}
	s.Attach(&stubHandler{
		vote: func(a *raft.RequestVoteArgs) (*raft.RequestVoteReply, error) {
			heard.note(a.From)
			return &raft.RequestVoteReply{Term: a.Term}, nil
		},
		append: func(a *raft.AppendEntriesArgs, turn raft.Turn) (*raft.AppendEntriesReply, error) {
			heard.note(a.From)
			turn.Wait()
			return &raft.AppendEntriesReply{Term: a.Term}, nil
		},
		read: func(a *raft.ReadIndexArgs) (*raft.ReadIndexReply, error) {
			heard.note(a.From)
			return nil, errors.New("not now")
		},
	})
	return s, heard
}

// checkAnswers reads what a server answered after its greeting.
func checkAnswers(t *testing.T, from io.Reader, l Limits) {
	t.Helper()
	r := newFrameReader(&recording{Reader: from}, l, 0)
	for {
		payload, err := r.next()
		if err == io.EOF {
			return
		}
		var head rpc.Response
		if err == nil {
			var body []byte
			if body, err = msgpack.Decode(payload, &head); err == nil && len(body) == 0 {
				err = errors.New("an answer without a body")
			}
		}
		if err != nil {
			t.Fatalf("an answer cannot be read: %v", err)
		}
	}
}
