package tests

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"lockstep.example/raft"
	"lockstep.example/raft/labrpc"
)

// killPatience is how long a server may take to end.
const killPatience = 10 * time.Second

// Lockstep plugs this module's own Raft into the harness, with the invariants of
// every state checked and a disk whose flushes take time.
func Lockstep(env Env) (Server, error) {
	store, err := lockstepStore(env)
	if err != nil {
		return nil, err
	}
	s := &lockstepServer{env: env}
	return s, s.start(raft.Config{Store: store, StateMachine: s})
}

// LockstepAt is Lockstep with a heartbeat interval of its own: a test that holds
// every message wants few of them.
func LockstepAt(heartbeat time.Duration) Maker {
	return func(env Env) (Server, error) {
		store, err := lockstepStore(env)
		if err != nil {
			return nil, err
		}
		s := &lockstepServer{env: env}
		return s, s.start(raft.Config{Store: store, StateMachine: s, Heartbeat: heartbeat})
	}
}

// start fills in what every server in this harness has, and starts the Raft.
func (s *lockstepServer) start(config raft.Config) (err error) {
	config.ID, config.Rand, config.CheckInvariants = raft.ServerID(s.env.ID), s.env.Rand, true
	config.Transport = &labTransport{env: s.env, lost: map[string]bool{}}
	config.Logger = slog.New(slog.NewTextHandler(notes{s.env}, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	if s.rf, err = raft.New(config); err != nil {
		return err
	}
	s.watched.Go(s.watch)
	return nil
}

// lockstepStore returns the store of an earlier life, or one freshly bootstrapped
// with all servers as voters.
func lockstepStore(env Env) (*raft.MemoryPersister, error) {
	if store, ok := env.Disk.Contents.(*raft.MemoryPersister); ok {
		return store, nil
	}
	store := raft.NewMemoryPersister(env.FlushTime)
	env.Disk.Contents = store
	env.Disk.AfterCrash = func(contents any, keep func(staged int) int) any {
		return contents.(*raft.MemoryPersister).Crash(keep)
	}
	return store, Bootstrap(env, store)
}

// Bootstrap makes an empty store that of a server of the cluster, all of whose
// servers are voters.
func Bootstrap(env Env, store raft.Persister) error {
	addresses := map[raft.ServerID]string{}
	for _, peer := range env.Peers {
		addresses[raft.ServerID(peer)] = peer
	}
	_, err := raft.Bootstrap(store, "tests", raft.ServerID(env.ID), raft.NewConfiguration(addresses))
	return err
}

type lockstepServer struct {
	env     Env
	rf      *raft.Raft
	watched sync.WaitGroup
}

// watch reports a server that stopped by itself, but for one whose store was
// crashed by the harness.
func (s *lockstepServer) watch() {
	<-s.rf.Done()
	if err := s.rf.Err(); err != nil && !errors.Is(err, raft.ErrStorage) {
		s.env.Fail(fmt.Errorf("stopped by itself: %w", err))
	}
}

// Apply implements raft.StateMachine.
func (s *lockstepServer) Apply(batch []raft.Entry, _ []raft.Result) {
	for _, e := range batch {
		s.env.Apply(Applied{Number: e.Number, Index: e.Index, Term: e.Term, Command: e.Data})
	}
}

func (s *lockstepServer) Start(command []byte) (number, term uint64, leads bool) {
	ticket, err := s.rf.Start(command)
	return ticket.Number, ticket.Term, err == nil
}

func (s *lockstepServer) State() (term uint64, leads bool) {
	status := s.rf.Status()
	return status.Term, status.Role == raft.Leader
}

func (s *lockstepServer) Kill() error {
	ctx, cancel := context.WithTimeout(context.Background(), killPatience)
	defer cancel()
	if err := s.rf.Stop(ctx); err != nil {
		return err
	}
	s.watched.Wait()
	return nil
}

// Propose implements Proposer.
func (s *lockstepServer) Propose(ctx context.Context, command []byte) (number uint64, outcome Outcome) {
	result, err := s.rf.Propose(ctx, command)
	switch {
	case err == nil:
		return result.Number, Acknowledged
	case errors.Is(err, raft.ErrUnknown):
		return 0, Unknown
	}
	return 0, Rejected
}

// Read implements Reader.
func (s *lockstepServer) Read(ctx context.Context) error {
	_, err := s.rf.ReadIndex(ctx)
	return err
}

// Why implements Explainer.
func (s *lockstepServer) Why() string { return s.rf.Why() }

// notes writes what a server logs into the timeline, a line a record.
type notes struct{ env Env }

var _ io.Writer = notes{}

func (n notes) Write(line []byte) (int, error) {
	n.env.Trace(Event{Kind: Noted, What: readable(strings.TrimSpace(string(line)))})
	return len(line), nil
}

// readable puts the words of a record before its fields.
func readable(line string) string {
	rest, ok := strings.CutPrefix(line, "msg=")
	quoted, err := strconv.QuotedPrefix(rest)
	if !ok || err != nil {
		return line
	}
	message, err := strconv.Unquote(quoted)
	if err != nil {
		return line
	}
	return message + rest[len(quoted):]
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == "server" {
		return slog.Attr{}
	}
	return a
}

// Names of the methods on the simulated network. Heartbeats have one of their
// own, so that a test can count and hold them apart.
const (
	MethodVote      = "RequestVote"
	MethodAppend    = "AppendEntries"
	MethodHeartbeat = "Heartbeat"
	MethodRead      = "ReadIndex"
)

// labTransport is a raft.Transport over labrpc. It tells the monitors what the
// AppendEntries of its server say: who leads, and what its log holds.
type labTransport struct {
	env Env

	mu   sync.Mutex      // a leaf
	lost map[string]bool // peers whose connection broke
}

var errRefused = errors.New("connection refused")

// Attach implements raft.Transport.
func (t *labTransport) Attach(h raft.Handler) {
	serve(t, MethodVote, h, raft.Handler.HandleRequestVote)
	serve(t, MethodRead, h, raft.Handler.HandleReadIndex)
	for _, method := range []string{MethodAppend, MethodHeartbeat} {
		serve(t, method, h, func(h raft.Handler, args *raft.AppendEntriesArgs) (*raft.AppendEntriesReply, error) {
			return h.HandleAppendEntries(args, nil) // unordered: the network reorders
		})
	}
	t.env.Endpoint.Watch(func(peer string, up bool) {
		t.mu.Lock()
		again := up && t.lost[peer]
		t.lost[peer] = !up
		t.mu.Unlock()
		switch {
		case h == nil:
		case again:
			h.Down(raft.ServerID(peer), raft.DownRestarted)
		case !up:
			h.Down(raft.ServerID(peer), raft.DownClosed)
		}
	})
}

func serve[A, R any](t *labTransport, method string, h raft.Handler, f func(raft.Handler, *A) (*R, error)) {
	labrpc.Handle(t.env.Endpoint, method, func(_ string, args *A) (*R, error) {
		if h == nil {
			return nil, errRefused
		}
		reply, err := f(h, args)
		if t.env.Replied != nil && err == nil {
			t.env.Replied(reply)
		}
		return reply, err
	})
}

// Connect implements raft.Transport.
func (t *labTransport) Connect(id raft.ServerID, _ string) raft.Peer { return &labPeer{t, string(id)} }

type labPeer struct {
	t  *labTransport
	id string
}

func call[R any](p *labPeer, method string, args any, deadline time.Time, done func(*R, error)) {
	reply := new(R)
	p.t.env.Endpoint.Call(p.id, method, args, reply, deadline, func(err error) {
		if err != nil {
			done(nil, err)
			return
		}
		done(reply, nil)
	})
}

func (p *labPeer) RequestVote(args *raft.RequestVoteArgs, deadline time.Time, done func(*raft.RequestVoteReply, error)) {
	call(p, MethodVote, args, deadline, done)
}

func (p *labPeer) ReadIndex(args *raft.ReadIndexArgs, deadline time.Time, done func(*raft.ReadIndexReply, error)) {
	call(p, MethodRead, args, deadline, done)
}

func (p *labPeer) AppendEntries(args *raft.AppendEntriesArgs, deadline time.Time, done func(*raft.AppendEntriesReply, error)) {
	p.t.trace(args)
	method := MethodAppend
	if args.Heartbeat {
		method = MethodHeartbeat
	}
	call(p, method, args, deadline, done)
}

// trace tells the monitors what a leader says in sending args.
func (t *labTransport) trace(args *raft.AppendEntriesArgs) {
	t.env.Trace(Event{Kind: Leads, Term: args.Term})
	entries, err := args.Batch.Entries(args.PrevLogIndex + 1)
	if err == nil {
		err = args.Batch.Check()
	}
	if err != nil {
		t.env.Fail(fmt.Errorf("sends a batch that nobody can read: %w", err))
		return
	}
	prevTerm := args.PrevLogTerm
	for _, e := range entries {
		content := fmt.Sprintf("%v %s", e.Kind, e.Data)
		t.env.Trace(Event{Kind: Holds, Index: e.Index, Term: e.Term, PrevTerm: prevTerm, Content: content})
		prevTerm = e.Term
	}
}
