package rpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep.example/raft"
)

// logBook collects log lines.
type logBook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBook) lines() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.FieldsFunc(b.buf.String(), func(r rune) bool { return r == '\n' })
}

func (b *logBook) logger() *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

// listen starts a server on loopback, closed at the end of the test.
func listen(t testing.TB, id string, change func(*Config)) *Server {
	t.Helper()
	c := Config{
		ID: raft.ServerID(id), Cluster: "c1", Incarnation: 1, BootCounter: 1,
		Address: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&c)
	}
	s, err := Listen(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// stubHandler is a raft.Handler that calls functions; a nil one answers at once.
type stubHandler struct {
	vote   func(*raft.RequestVoteArgs) (*raft.RequestVoteReply, error)
	append func(*raft.AppendEntriesArgs, raft.Turn) (*raft.AppendEntriesReply, error)
	read   func(*raft.ReadIndexArgs) (*raft.ReadIndexReply, error)
	down   func(raft.ServerID, raft.DownReason)
}

func (h *stubHandler) HandleRequestVote(a *raft.RequestVoteArgs) (*raft.RequestVoteReply, error) {
	if h.vote == nil {
		return &raft.RequestVoteReply{Term: a.Term, Granted: true}, nil
	}
	return h.vote(a)
}

func (h *stubHandler) HandleAppendEntries(a *raft.AppendEntriesArgs, turn raft.Turn) (*raft.AppendEntriesReply, error) {
	if h.append == nil {
		return &raft.AppendEntriesReply{Term: a.Term, LastLogIndex: a.PrevLogIndex}, nil
	}
	return h.append(a, turn)
}

func (h *stubHandler) HandleReadIndex(a *raft.ReadIndexArgs) (*raft.ReadIndexReply, error) {
	if h.read == nil {
		return &raft.ReadIndexReply{Term: a.Term, Index: 7, Leader: a.To}, nil
	}
	return h.read(a)
}

func (h *stubHandler) Down(id raft.ServerID, reason raft.DownReason) {
	if h.down != nil {
		h.down(id, reason)
	}
}

// outcome is what a done callback was given.
type outcome[R any] struct {
	reply *R
	err   error
}

// later returns a done callback and the channel it fills; a second call of the
// callback fails the test.
func later[R any](t testing.TB) (func(*R, error), chan outcome[R]) {
	ch := make(chan outcome[R], 1)
	return func(r *R, err error) {
		select {
		case ch <- outcome[R]{r, err}:
		default:
			t.Error("done was called twice")
		}
	}, ch
}

func soon() time.Time { return time.Now().Add(5 * time.Second) }

func header(from, to string) raft.Header {
	return raft.Header{From: raft.ServerID(from), To: raft.ServerID(to), Term: 3}
}

// vote asks for a vote and waits.
func vote(t testing.TB, p raft.Peer, from, to string, deadline time.Time) (*raft.RequestVoteReply, error) {
	done, ch := later[raft.RequestVoteReply](t)
	p.RequestVote(&raft.RequestVoteArgs{Header: header(from, to)}, deadline, done)
	o := <-ch
	return o.reply, o.err
}

// eventually waits for a condition that other goroutines bring about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("not within 10 s: %s", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

func connectedClients(s *Server) int {
	s.admission.mu.Lock()
	defer s.admission.mu.Unlock()
	return len(s.admission.clients)
}

func TestPeersCallOneAnother(t *testing.T) {
	a, b := listen(t, "a", nil), listen(t, "b", nil)
	got := make(chan *raft.AppendEntriesArgs, 1)
	b.Attach(&stubHandler{append: func(args *raft.AppendEntriesArgs, turn raft.Turn) (*raft.AppendEntriesReply, error) {
		if !turn.Wait() {
			t.Error("the turn did not come")
		}
		turn.End()
		got <- args
		return &raft.AppendEntriesReply{Term: 9, Refusal: raft.RefusedConflict, ConflictIndex: 4}, nil
	}})
	p := a.Connect("b", b.Addr().String())

	reply, err := vote(t, p, "a", "b", soon())
	if err != nil || !reply.Granted || reply.Term != 3 {
		t.Fatalf("vote: %+v, %v", reply, err)
	}

	batch := raft.NewBatch(raft.AppendEntry(nil, raft.EntryCommand, 3, bytes.Repeat([]byte("x"), 1<<20)), 1)
	done, ch := later[raft.AppendEntriesReply](t)
	p.AppendEntries(&raft.AppendEntriesArgs{Header: header("a", "b"), PrevLogIndex: 5, Round: 6, Batch: batch}, soon(), done)
	if o := <-ch; o.err != nil || *o.reply != (raft.AppendEntriesReply{Term: 9, Refusal: raft.RefusedConflict, ConflictIndex: 4}) {
		t.Fatalf("append: %+v", o)
	}
	if args := <-got; args.Batch.Check() != nil || args.PrevLogIndex != 5 || args.Round != 6 || args.From != "a" {
		t.Errorf("arrived changed: %+v", args.Header)
	}

	read, rch := later[raft.ReadIndexReply](t)
	p.ReadIndex(&raft.ReadIndexArgs{Header: header("a", "b")}, soon(), read)
	if o := <-rch; o.err != nil || o.reply.Index != 7 || o.reply.Leader != "b" {
		t.Fatalf("read index: %+v", o)
	}
}

// echo is a service of an application.
type echo struct{}

func (echo) Echo(args *[]byte, reply *[]byte) error {
	*reply = *args
	return nil
}

func (echo) Fail(args *string, reply *string) error { return errors.New("it failed: " + *args) }

func TestManyClientsEcho(t *testing.T) {
	s := listen(t, "a", nil)
	if err := s.Register("Echo", echo{}); err != nil {
		t.Fatal(err)
	}
	cl := NewClient(ClientConfig{Cluster: "c1"})
	defer cl.Close()
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for j := range 20 {
				want := bytes.Repeat([]byte{byte(i)}, i*j*10)
				reply := []byte("stale")
				if err := cl.Call(t.Context(), s.Addr().String(), "Echo.Echo", &want, &reply); err != nil || !bytes.Equal(want, reply) {
					t.Errorf("caller %d: %d bytes came back for %d, %v", i, len(reply), len(want), err)
					return
				}
			}
		})
	}
	wg.Wait()
	if n := connectedClients(s); n != 1 {
		t.Errorf("%d connections were used for one address, want 1", n)
	}
}

func TestErrorsOfCalls(t *testing.T) {
	s := listen(t, "a", func(c *Config) { c.Limits.FrameBytes = 1 << 16 })
	if err := s.Register("Echo", echo{}); err != nil {
		t.Fatal(err)
	}
	if s.Register("Raft", echo{}) == nil || s.Register("Echo", echo{}) == nil {
		t.Error("a reserved and a used service name were registered")
	}
	address := s.Addr().String()
	cl := NewClient(ClientConfig{Limits: Limits{FrameBytes: 1 << 16}})
	text := "why"
	var out string
	err := cl.Call(t.Context(), address, "Echo.Fail", &text, &out)
	if !isServerError(err) || errors.Is(err, ErrNotSent) || !strings.Contains(err.Error(), "it failed: why") {
		t.Errorf("error of a method: %v", err)
	}
	// Clients do not reach Raft's own service.
	s.Attach(&stubHandler{vote: func(*raft.RequestVoteArgs) (*raft.RequestVoteReply, error) {
		t.Error("a client called Raft")
		return nil, errors.New("no")
	}})
	err = cl.Call(t.Context(), address, "Raft.RequestVote", &raft.RequestVoteArgs{}, new(raft.RequestVoteReply))
	if !isServerError(err) || !strings.Contains(err.Error(), "can't find service") {
		t.Errorf("call of Raft by a client: %v", err)
	}
	// Too large: the request is not sent, the connection lives on.
	big := make([]byte, 1<<16)
	var back []byte
	err = cl.Call(t.Context(), address, "Echo.Echo", &big, &back)
	if !errors.Is(err, ErrTooLarge) || !errors.Is(err, ErrNotSent) {
		t.Errorf("too large: %v", err)
	}
	if err = cl.Call(t.Context(), address, "Echo.Fail", &text, out); err == nil || isServerError(err) {
		t.Errorf("a reply that is no pointer: %v", err)
	}
	// Wrong cluster.
	other := NewClient(ClientConfig{Cluster: "c2"})
	defer other.Close()
	if err = other.Call(t.Context(), address, "Echo.Fail", &text, &out); !errors.Is(err, ErrWrongCluster) || !errors.Is(err, ErrNotSent) {
		t.Errorf("wrong cluster: %v", err)
	}
	// Nobody listens.
	free, _ := net.Listen("tcp", "127.0.0.1:0")
	free.Close()
	if err = cl.Call(t.Context(), free.Addr().String(), "Echo.Fail", &text, &out); !errors.Is(err, ErrNotSent) || !errors.Is(err, ErrNotConnected) {
		t.Errorf("nobody listens: %v", err)
	}
	cl.Close()
	if err = cl.Call(t.Context(), address, "Echo.Fail", &text, &out); !errors.Is(err, ErrClosed) || !errors.Is(err, ErrNotSent) {
		t.Errorf("after Close: %v", err)
	}
}

// slow is a service that answers when told.
type slow struct{ answer chan struct{} }

func (s *slow) Wait(*int, *int) error { <-s.answer; return nil }

func TestContextEndsACall(t *testing.T) {
	s := listen(t, "a", nil)
	sl := &slow{make(chan struct{})}
	defer close(sl.answer)
	if err := s.Register("Slow", sl); err != nil {
		t.Fatal(err)
	}
	cl := NewClient(ClientConfig{})
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	err := cl.Call(ctx, s.Addr().String(), "Slow.Wait", new(int), new(int))
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrNotSent) {
		t.Errorf("a request that was sent: %v", err)
	}
	err = cl.Call(ctx, s.Addr().String(), "Slow.Wait", new(int), new(int))
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrNotSent) {
		t.Errorf("a context that had ended: %v", err)
	}
	var ce *CallError
	if !errors.As(err, &ce) || ce.Method != "Slow.Wait" || fmt.Sprint(ce.Sent) != "false" {
		t.Errorf("the error does not tell what was called: %+v", ce)
	}
}
