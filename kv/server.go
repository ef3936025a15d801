package kv

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"lockstep.example/raft"
	"lockstep.example/raft/internal/lock"
	"lockstep.example/raft/session"
)

// Raft is what a Server needs of a *raft.Raft.
type Raft interface {
	Propose(ctx context.Context, command []byte) (raft.Result, error)
	ReadIndex(ctx context.Context) (uint64, error)
	Leader() (id raft.ServerID, address string)
	Status() raft.Status
	Why() string
	Health() raft.Health
}

// Config is what NewServer needs.
type Config struct {
	ID     raft.ServerID
	Caller Caller // to forward commands to the leader; nil: clients are told who leads instead

	// Bounds on the requests this server works on at once; beyond them it answers
	// overloaded. A zero takes its default.
	MaxInFlight      int // 4,096
	MaxInFlightBytes int // of keys and values; 64 MiB
}

// Time budgets of a request.
const (
	DefaultTimeout = 10 * time.Second // of a request that names none
	MaxTimeout     = time.Minute      // of any
)

// Server is one server's replica of the store and the service on top of it. It is
// the raft.StateMachine; Attach gives it the Raft that calls it. Its methods Do
// and Status have the form net/rpc wants: register it under ServiceName.
//
// Its mutex is the first layer of the lock order: it may be held while Raft.mu is
// taken, never the other way, and never while a request waits.
type Server struct {
	// immutable after NewServer
	config Config
	base   context.Context // ends at Stop
	cancel context.CancelFunc

	rf     atomic.Pointer[Raft]
	office atomic.Pointer[office]
	flight flight

	mu lock.Mutex
	// guarded by mu
	store    *Store
	sessions *session.Sessions
	applied  uint64 // index of the last command applied
}

// office is when this server first applied a command of a term. The time since
// then is the time since the leader took office, but for a constant that the
// session clock does not see: it adds up differences within a term.
type office struct {
	term uint64
	from time.Time
}

// NewServer returns a server with an empty store. Give it to raft.New as the
// state machine, then Attach the Raft.
func NewServer(config Config) (*Server, error) {
	return newServer(config, session.DefaultLimits())
}

func newServer(config Config, limits session.Limits) (*Server, error) {
	if config.ID == "" {
		return nil, fmt.Errorf("kv server: %w: it needs the ID of its Raft server", raft.ErrConfig)
	}
	if config.MaxInFlight < 0 || config.MaxInFlightBytes < 0 {
		return nil, fmt.Errorf("kv server %s: %w: bounds on requests in flight must not be negative", config.ID, raft.ErrConfig)
	}
	if config.MaxInFlight == 0 {
		config.MaxInFlight = 4096
	}
	if config.MaxInFlightBytes == 0 {
		config.MaxInFlightBytes = 64 << 20
	}
	s := &Server{config: config, store: NewStore()}
	sessions, err := session.New(s.store, limits)
	if err != nil {
		return nil, fmt.Errorf("kv server %s: %w", config.ID, err)
	}
	s.sessions = sessions
	s.flight = flight{maxRequests: config.MaxInFlight, maxBytes: config.MaxInFlightBytes, idle: make(chan struct{})}
	s.base, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Attach tells the server of the Raft it belongs to. Until then commands are
// refused and only stale reads are served.
func (s *Server) Attach(rf Raft) { s.rf.Store(&rf) }

// Apply implements raft.StateMachine.
func (s *Server) Apply(batch []raft.Entry, results []raft.Result) {
	if len(batch) == 0 {
		return
	}
	last := &batch[len(batch)-1]
	if o := s.office.Load(); o == nil || o.term != last.Term {
		s.office.Store(&office{term: last.Term, from: time.Now()})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions.Apply(batch, results)
	s.applied = last.Index
}

// Stop refuses new requests, ends the waits of those under way and returns when
// none is left, or with an error that says how many are when ctx ends first. Stop
// the server before its Raft.
func (s *Server) Stop(ctx context.Context) error {
	s.flight.stop()
	s.cancel()
	select {
	case <-s.flight.idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop kv server %s: %d requests are still under way: %w", s.config.ID, s.flight.count(), context.Cause(ctx))
	}
}

// Do serves one request. The outcome is in the reply; the error is always nil. A
// command is forwarded to the leader if this server does not lead, one hop at
// most; a read is served here, after asking the leader for the index it must see.
func (s *Server) Do(args *Request, reply *Reply) error {
	reply.Server = string(s.config.ID)
	weight := len(args.Key) + len(args.Value) + len(args.After)
	if code, why := s.flight.enter(weight); code != CodeOK {
		reply.Code, reply.Message = code, why
		return nil
	}
	defer s.flight.leave(weight)
	if err := args.check(); err != nil {
		reply.Code, reply.Message = CodeInvalid, err.Error()
		return nil
	}
	budget := args.Timeout
	if budget <= 0 {
		budget = DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(s.base, min(budget, MaxTimeout))
	defer cancel()
	if args.Op.reads() {
		s.read(ctx, args, reply)
	} else {
		s.propose(ctx, args, reply)
	}
	return nil
}

// check refuses a request that no server may take.
func (r *Request) check() error {
	switch r.Op {
	case OpGet:
		return checkKey(r.Key)
	case OpList:
		if err := checkSize("start-after key", len(r.After), MaxKeyBytes); err != nil {
			return err
		}
		return checkSize("prefix", len(r.Key), MaxKeyBytes)
	case OpOpenSession:
		return nil
	case OpPut, OpAppend, OpDelete, OpCompareAndSwap:
		if r.Client == 0 || r.Seq == 0 {
			return fmt.Errorf("%w: a command needs a session and a sequence number; open a session first", ErrInvalid)
		}
		return r.command().check()
	}
	return fmt.Errorf("%w: %v", ErrInvalid, r.Op)
}

func (r *Request) command() *Command {
	return &Command{Op: r.Op, Key: r.Key, Value: r.Value, Revision: r.Revision}
}

// read serves Get and List from the state of this server.
func (s *Server) read(ctx context.Context, args *Request, reply *Reply) {
	if !args.Stale {
		if _, err := s.raft().ReadIndex(ctx); err != nil {
			s.refuse(reply, args.Op, err)
			return
		}
	}
	reply.Stale = args.Stale
	s.mu.Lock()
	reply.Applied, reply.Revision = s.applied, s.store.Revision()
	if args.Op == OpGet {
		if item, ok := s.store.Get(args.Key); ok {
			reply.Items = []KeyValue{item}
		}
		s.mu.Unlock()
		return
	}
	view := s.store.View() // a long list must not hold up Apply
	s.mu.Unlock()
	reply.Items, reply.More = view.List(args.Key, args.After, int(args.Limit))
}

// raft returns the attached Raft, or one that refuses everything.
func (s *Server) raft() Raft {
	if rf := s.rf.Load(); rf != nil {
		return *rf
	}
	return starting{id: s.config.ID}
}

// starting stands in for Raft until it is attached.
type starting struct{ id raft.ServerID }

func (r starting) refusal() error { return &raft.NotLeaderError{Reason: "the server is starting"} }

func (r starting) Propose(context.Context, []byte) (raft.Result, error) {
	return raft.Result{}, r.refusal()
}
func (r starting) ReadIndex(context.Context) (uint64, error) { return 0, r.refusal() }
func (r starting) Leader() (raft.ServerID, string)           { return "", "" }
func (r starting) Status() raft.Status                       { return raft.Status{ID: r.id} }
func (r starting) Why() string                               { return "starting" }
func (r starting) Health() raft.Health                       { return raft.Health{Live: true, Reason: "starting"} }

// refuse says in the reply why a request was not done, as far as err tells.
func (s *Server) refuse(reply *Reply, op Op, err error) {
	reply.Code, reply.Message = codeOf(op, err), err.Error()
	var elsewhere *raft.NotLeaderError
	if errors.As(err, &elsewhere) {
		reply.Leader = elsewhere.Address
	}
}

// codeOf sorts an error of Raft. ErrUnknown comes first, for it may wrap another.
// Of a command, what proves nothing is unknown.
func codeOf(op Op, err error) Code {
	switch {
	case errors.Is(err, raft.ErrUnknown):
		return CodeUnknown
	case errors.Is(err, raft.ErrNotLeader):
		return CodeNotLeader
	case errors.Is(err, raft.ErrOverloaded):
		return CodeOverloaded
	case errors.Is(err, raft.ErrRejected):
		return CodeRejected
	case errors.Is(err, raft.ErrStopped):
		return CodeStopped
	case errors.Is(err, raft.ErrTooLarge):
		return CodeInvalid
	case op.reads():
		return CodeUnavailable
	}
	return CodeUnknown
}
