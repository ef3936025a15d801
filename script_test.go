package raft

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// One server on a wire that goes nowhere: the test plays the others. It calls
// the handlers itself, and answers the requests that the server sends. Its
// election timeout is an hour, so nothing starts by itself.

// script is the server under test, n1 of n1..nN, and what it is wired to.
type script struct {
	*Raft
	t       *testing.T
	wire    *wire
	store   *heldStore
	machine *recorder
	doomed  bool // its store was taken away: how it ends does not matter
}

// setup says how a script begins.
type setup struct {
	servers int      // voters; 0: 3
	term    uint64   // currentTerm in the store; 0: that of the last entry
	vote    ServerID // cast in that term
	log     []uint64 // terms of the entries after the bootstrap entry
	commit  uint64   // commit hint in the store
	config  func(*Config)
	voters  func(*Configuration)
}

// begin starts the server; it is stopped when the test ends, and must be in good
// health then unless the test says broken.
func begin(t *testing.T, s setup) *script {
	t.Helper()
	if s.servers == 0 {
		s.servers = 3
	}
	configuration := NewConfiguration(serverIDs(s.servers))
	if s.voters != nil {
		s.voters(&configuration)
	}
	store := &heldStore{MemoryPersister: NewMemoryPersister(nil)}
	if err := bootstrap(store, configuration); err != nil {
		t.Fatal(err)
	}
	if len(s.log) > 0 && s.term == 0 {
		s.term = s.log[len(s.log)-1]
	}
	if s.term > 0 {
		hard := &HardState{Term: s.term, VotedFor: s.vote, VotedForIncarnation: min(1, uint64(len(s.vote)))}
		store.MemoryPersister.Stage(Stage{HardState: hard, FirstIndex: 2, Batch: commands(2, s.log...)})
		store.MemoryPersister.Stage(Stage{CommitIndex: s.commit})
		if _, err := store.MemoryPersister.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	return start(t, store, s.config)
}

// bootstrap makes the store that of n1, also of a blank one, which Bootstrap
// refuses.
func bootstrap(store Persister, c Configuration) error {
	if self, _ := c.Server("n1"); self.Incarnation > 0 {
		_, err := Bootstrap(store, "test", "n1", c)
		return err
	}
	return store.Bootstrap(Identity{Cluster: ClusterID("test", c), Server: "n1"}, Stage{
		HardState: &HardState{Term: bootstrapTerm}, FirstIndex: bootstrapIndex,
		Batch: NewBatch(AppendEntry(nil, EntryConfiguration, bootstrapTerm, c.Encode()), 1), CommitIndex: bootstrapIndex,
	})
}

// start starts n1 on a store that holds something already.
func start(t *testing.T, store *heldStore, change func(*Config)) *script {
	t.Helper()
	s := &script{t: t, wire: &wire{}, store: store, machine: &recorder{}}
	config := Config{
		ID: "n1", Store: store, Transport: s.wire, StateMachine: s.machine,
		Heartbeat: time.Second, ElectionTimeoutMin: time.Hour, ElectionTimeoutMax: 2 * time.Hour,
		Logger: slog.New(slog.DiscardHandler), CheckInvariants: true,
	}
	if change != nil {
		change(&config)
	}
	rf, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	s.Raft = rf
	t.Cleanup(func() {
		store.release()
		if s.doomed || rf.Err() != nil {
			_ = rf.Stop(context.Background())
			return
		}
		stop(t, rf)
	})
	synctest.Wait()
	return s
}

// broken tells that the server must have stopped by itself, and why.
func (s *script) broken(want error) error {
	s.t.Helper()
	synctest.Wait()
	select {
	case <-s.Done():
	default:
		s.t.Fatal("the server still runs")
	}
	if err := s.Err(); !errors.Is(err, want) {
		s.t.Fatalf("the server stopped with %v, want %v", err, want)
	}
	return s.Err()
}

// breach tells that a guard or check stopped the server, and which.
func (s *script) breach(name string) {
	s.t.Helper()
	var broken *InvariantError
	if err := s.broken(ErrInvariant); !errors.As(err, &broken) || broken.Name != name {
		s.t.Fatalf("the server stopped with %v, want a breach of %s", err, name)
	}
}

// header is that of a request to n1.
func header(from ServerID, term uint64) Header {
	return Header{From: from, FromIncarnation: 1, To: "n1", ToIncarnation: 1, Term: term}
}

func voteArgs(from ServerID, term, lastIndex, lastTerm uint64) *RequestVoteArgs {
	return &RequestVoteArgs{Header: header(from, term), LastLogIndex: lastIndex, LastLogTerm: lastTerm}
}

// commands encodes entries of the given terms, the first at index first. Each
// holds its index and term, so equal slots have equal bytes.
func commands(first uint64, terms ...uint64) Batch {
	var body []byte
	for i, term := range terms {
		body = AppendEntry(body, EntryCommand, term, fmt.Appendf(nil, "%d.%d", first+uint64(i), term))
	}
	return NewBatch(body, len(terms))
}

func appendArgs(from ServerID, term, prev, prevTerm, commit uint64, terms ...uint64) *AppendEntriesArgs {
	args := &AppendEntriesArgs{Header: header(from, term), PrevLogIndex: prev, PrevLogTerm: prevTerm, LeaderCommit: commit}
	if len(terms) > 0 {
		args.Batch = commands(prev+1, terms...)
	}
	return args
}

func heartbeatArgs(from ServerID, term, prev, prevTerm, commit uint64) *AppendEntriesArgs {
	args := appendArgs(from, term, prev, prevTerm, commit)
	args.Heartbeat = true
	return args
}

func (s *script) handleVote(args *RequestVoteArgs) *RequestVoteReply {
	s.t.Helper()
	reply, err := s.HandleRequestVote(args)
	if err != nil {
		s.t.Fatalf("%+v: %v", args, err)
	}
	return reply
}

func (s *script) handleAppend(args *AppendEntriesArgs) *AppendEntriesReply {
	s.t.Helper()
	reply, err := s.HandleAppendEntries(args, nil)
	if err != nil {
		s.t.Fatalf("%+v: %v", args, err)
	}
	return reply
}

// terms returns the terms of the log after the bootstrap entry.
func (s *script) terms() []uint64 {
	s.lock()
	defer s.unlock()
	terms := []uint64{}
	for i := uint64(2); i < s.log.end(); i++ {
		terms = append(terms, s.log.term(i))
	}
	return terms
}

// mutate changes the state under the lock.
func (s *script) mutate(f func()) {
	s.lock()
	defer s.unlock()
	f()
}

// elect makes the server leader of the next term: a campaign starts as if the
// timer had fired, and everyone grants.
func (s *script) elect() *tenure {
	s.t.Helper()
	s.campaignNow()
	for range 2 {
		for _, call := range s.wire.takeVotes() {
			s.answerVote(call, true)
		}
		synctest.Wait()
	}
	var t *tenure
	s.mutate(func() { t = s.tenure })
	if t == nil {
		s.t.Fatalf("not elected: %s", s.Why())
	}
	return t
}

// campaignNow fires the timer by hand.
func (s *script) campaignNow() {
	version, _ := s.timer.read()
	s.fire(version)
	synctest.Wait()
}

func (s *script) answerVote(call *voteCall, granted bool) {
	reply := &RequestVoteReply{Term: call.args.Term, Granted: granted}
	if call.args.PreVote {
		reply.Term-- // a pre-vote moves no term
	}
	if !granted {
		reply.Refusal = RefusedLogBehind
	}
	call.done(reply, nil)
	synctest.Wait()
}

// agree answers a message as a follower that took everything.
func (s *script) agree(call *wireCall) {
	s.reply(call, AppendEntriesReply{Refusal: Agreed})
}

func (s *script) reply(call *wireCall, reply AppendEntriesReply) {
	if reply.Term == 0 {
		reply.Term = call.args.Term
	}
	call.done(&reply, nil)
	synctest.Wait()
}

// wire is a transport that keeps every call for the test to answer.
type wire struct {
	mu      sync.Mutex
	votes   []*voteCall
	appends []*wireCall
	reads   []*readCall
}

type voteCall struct {
	args *RequestVoteArgs
	done func(*RequestVoteReply, error)
}

type wireCall struct {
	args *AppendEntriesArgs
	done func(*AppendEntriesReply, error)
}

type readCall struct {
	args *ReadIndexArgs
	done func(*ReadIndexReply, error)
}

func (w *wire) Attach(Handler)                {}
func (w *wire) Connect(ServerID, string) Peer { return w }

func (w *wire) RequestVote(args *RequestVoteArgs, _ time.Time, done func(*RequestVoteReply, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.votes = append(w.votes, &voteCall{args, done})
}

func (w *wire) AppendEntries(args *AppendEntriesArgs, _ time.Time, done func(*AppendEntriesReply, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.appends = append(w.appends, &wireCall{args, done})
}

func (w *wire) ReadIndex(args *ReadIndexArgs, _ time.Time, done func(*ReadIndexReply, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reads = append(w.reads, &readCall{args, done})
}

func (w *wire) takeVotes() []*voteCall {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := w.votes
	w.votes = nil
	return taken
}

func (w *wire) takeReads() []*readCall {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := w.reads
	w.reads = nil
	return taken
}

// takeAppends takes the messages to one server, heartbeats or the others.
func (w *wire) takeAppends(to ServerID, heartbeats bool) (taken []*wireCall) {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	var rest []*wireCall
	for _, call := range w.appends {
		if call.args.To == to && call.args.Heartbeat == heartbeats {
			taken = append(taken, call)
		} else {
			rest = append(rest, call)
		}
	}
	w.appends = rest
	return taken
}

// heldStore is a store whose flushes wait while it is held, or fail. It counts
// what reaches it.
type heldStore struct {
	*MemoryPersister
	mu      sync.Mutex
	gate    chan struct{} // not nil: flushes wait for it to close
	failure error         // of the next flush
	calls   int
	stages  []Stage
}

func (h *heldStore) hold() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.gate == nil {
		h.gate = make(chan struct{})
	}
}

func (h *heldStore) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.gate != nil {
		close(h.gate)
		h.gate = nil
	}
}

// fail has the next flush fail.
func (h *heldStore) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failure = err
}

func (h *heldStore) Stage(s Stage) Position {
	h.mu.Lock()
	h.calls++
	h.stages = append(h.stages, s)
	h.mu.Unlock()
	return h.MemoryPersister.Stage(s)
}

func (h *heldStore) Flush() (Position, error) {
	h.mu.Lock()
	h.calls++
	gate := h.gate
	h.mu.Unlock()
	if gate != nil {
		<-gate
	}
	h.mu.Lock()
	failure := h.failure
	h.mu.Unlock()
	if failure != nil {
		return 0, failure
	}
	return h.MemoryPersister.Flush()
}

// staged returns how many stages reached the store.
func (h *heldStore) staged() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.stages)
}

// within returns a context that ends after a while of virtual time.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
