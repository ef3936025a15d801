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

// Whole servers of one test, joined by a network in memory. Everything here is
// for use in a synctest bubble: a message takes a millisecond of virtual time.

const oneWay = time.Millisecond

var errLost = errors.New("the network of the test lost the message")

// network delivers requests and replies. deliver, if set, decides about each
// request; a server that is cut off neither sends nor receives.
type network struct {
	inFlight sync.WaitGroup
	mu       sync.Mutex
	handlers map[ServerID]Handler
	cutOff   map[ServerID]bool
	deliver  func(from, to ServerID, request any) bool
}

func newNetwork() *network {
	return &network{handlers: map[ServerID]Handler{}, cutOff: map[ServerID]bool{}}
}

func (n *network) isolate(id ServerID, isolated bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cutOff[id] = isolated
}

// handler returns who receives a request, nil if nobody does.
func (n *network) handler(from, to ServerID, request any) Handler {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cutOff[from] || n.cutOff[to] || n.deliver != nil && !n.deliver(from, to, request) {
		return nil
	}
	return n.handlers[to]
}

// endpoint is the Transport of one server, link its Peer for another.
type endpoint struct {
	net *network
	id  ServerID
}

type link struct {
	endpoint
	to ServerID
}

func (e endpoint) Attach(h Handler) {
	e.net.mu.Lock()
	defer e.net.mu.Unlock()
	e.net.handlers[e.id] = h
}

func (e endpoint) Connect(id ServerID, _ string) Peer { return link{e, id} }

func (l link) RequestVote(args *RequestVoteArgs, _ time.Time, done func(*RequestVoteReply, error)) {
	carry(l, args, done, Handler.HandleRequestVote)
}

func (l link) AppendEntries(args *AppendEntriesArgs, _ time.Time, done func(*AppendEntriesReply, error)) {
	carry(l, args, done, func(h Handler, args *AppendEntriesArgs) (*AppendEntriesReply, error) {
		return h.HandleAppendEntries(args, nil)
	})
}

func (l link) ReadIndex(args *ReadIndexArgs, _ time.Time, done func(*ReadIndexReply, error)) {
	carry(l, args, done, Handler.HandleReadIndex)
}

// carry takes a request there and its answer back, in a goroutine of its own.
func carry[Args, Reply any](l link, args *Args, done func(*Reply, error), handle func(Handler, *Args) (*Reply, error)) {
	l.net.inFlight.Go(func() {
		time.Sleep(oneWay)
		h := l.net.handler(l.id, l.to, args)
		if h == nil {
			done(nil, errLost)
			return
		}
		reply, err := handle(h, args)
		time.Sleep(oneWay)
		if l.net.handler(l.to, l.id, reply) == nil {
			reply, err = nil, errLost
		}
		done(reply, err)
	})
}

// recorder is a state machine that remembers what it applied. The result of a
// command is its number.
type recorder struct {
	mu      sync.Mutex
	applied []Entry
	before  func(batch []Entry) // called first, if set, without mu
}

func (m *recorder) Apply(batch []Entry, results []Result) {
	if m.before != nil {
		m.before(batch)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, e := range batch {
		m.applied = append(m.applied, e)
		if results != nil {
			results[i].Value = fmt.Append(nil, e.Number)
		}
	}
}

func (m *recorder) entries() []Entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]Entry(nil), m.applied...)
}

// cluster is n servers n1, n2, ... on one network.
type cluster struct {
	t        *testing.T
	net      *network
	servers  map[ServerID]*Raft
	machines map[ServerID]*recorder
}

// serverIDs returns n1, n2, ... with an address each.
func serverIDs(n int) map[ServerID]string {
	ids := map[ServerID]string{}
	for i := range n {
		ids[ServerID(fmt.Sprint("n", i+1))] = fmt.Sprint("host", i+1, ":1")
	}
	return ids
}

func newCluster(t *testing.T, n int) *cluster {
	t.Helper()
	c := &cluster{t, newNetwork(), map[ServerID]*Raft{}, map[ServerID]*recorder{}}
	t.Cleanup(c.net.inFlight.Wait) // runs last: the servers have stopped by then
	for id := range serverIDs(n) {
		store := NewMemoryPersister(func() time.Duration { return 100 * time.Microsecond })
		if _, err := Bootstrap(store, "test", id, NewConfiguration(serverIDs(n))); err != nil {
			t.Fatal(err)
		}
		c.machines[id] = &recorder{}
		rf, err := New(Config{
			ID: id, Store: store, Transport: endpoint{c.net, id}, StateMachine: c.machines[id],
			Logger: slog.New(slog.DiscardHandler), CheckInvariants: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		c.servers[id] = rf
		t.Cleanup(func() { stop(t, rf) })
	}
	return c
}

// stop ends a server that must be in good health.
func stop(t *testing.T, rf *Raft) {
	t.Helper()
	if err := rf.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	if err := rf.Err(); err != nil {
		t.Errorf("server %s stopped by itself: %v", rf.config.ID, err)
	}
}

// leader waits until one server leads and a majority follows it.
func (c *cluster) leader() *Raft {
	c.t.Helper()
	for range 1000 {
		following := map[ServerID]int{}
		for _, rf := range c.servers {
			if id, _ := rf.Leader(); id != "" {
				following[id]++
			}
		}
		for id, n := range following {
			if rf := c.servers[id]; 2*n > len(c.servers) && rf.Status().Role == Leader {
				return rf
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	c.t.Fatal("no leader within 10 s")
	return nil
}

// eventually waits until a condition holds; it fails the test after 10 virtual
// seconds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for range 10_000 {
		if holds() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("not within 10 s: %s", what)
}

// bubble runs a test in virtual time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// tally gathers what goroutines report.
type tally[T any] struct {
	mu   sync.Mutex
	list []T
}

func (y *tally[T]) add(v T) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.list = append(y.list, v)
}

func (y *tally[T]) all() []T {
	y.mu.Lock()
	defer y.mu.Unlock()
	return append([]T(nil), y.list...)
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
