package kv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep.example/raft"
	"lockstep.example/raft/labrpc"
)

// The real thing: kv servers on real Rafts over a simulated network and honest
// in-memory stores, that crash and start again.

// endpoint carries Raft and this package over one endpoint of the network; names
// of endpoints serve as addresses and as IDs.
type endpoint struct{ *labrpc.Endpoint }

// Call implements Caller.
func (e endpoint) Call(ctx context.Context, address, method string, args, reply any) error {
	deadline, _ := ctx.Deadline()
	ended := make(chan error, 1)
	e.Endpoint.Call(address, method, args, reply, deadline, func(err error) { ended <- err })
	return <-ended // by the deadline at the latest
}

func handle[A, R any](e endpoint, method string, h raft.Handler, f func(raft.Handler, *A) (*R, error)) {
	labrpc.Handle(e.Endpoint, method, func(_ string, args *A) (*R, error) {
		if h == nil {
			return nil, errors.New("not serving")
		}
		return f(h, args)
	})
}

// Attach implements raft.Transport.
func (e endpoint) Attach(h raft.Handler) {
	handle(e, "vote", h, raft.Handler.HandleRequestVote)
	handle(e, "read", h, raft.Handler.HandleReadIndex)
	handle(e, "append", h, func(h raft.Handler, args *raft.AppendEntriesArgs) (*raft.AppendEntriesReply, error) {
		return h.HandleAppendEntries(args, nil)
	})
}

// Connect implements raft.Transport.
func (e endpoint) Connect(id raft.ServerID, _ string) raft.Peer { return labPeer{e, string(id)} }

type labPeer struct {
	e  endpoint
	to string
}

func send[R any](p labPeer, method string, args any, deadline time.Time, done func(*R, error)) {
	reply := new(R)
	p.e.Endpoint.Call(p.to, method, args, reply, deadline, func(err error) {
		if err != nil {
			reply = nil
		}
		done(reply, err)
	})
}

func (p labPeer) RequestVote(args *raft.RequestVoteArgs, deadline time.Time, done func(*raft.RequestVoteReply, error)) {
	send(p, "vote", args, deadline, done)
}

func (p labPeer) AppendEntries(args *raft.AppendEntriesArgs, deadline time.Time, done func(*raft.AppendEntriesReply, error)) {
	send(p, "append", args, deadline, done)
}

func (p labPeer) ReadIndex(args *raft.ReadIndexArgs, deadline time.Time, done func(*raft.ReadIndexReply, error)) {
	send(p, "read", args, deadline, done)
}

// replica is one life of one server.
type replica struct {
	store  *raft.MemoryPersister
	rf     *raft.Raft
	server *Server
	e      endpoint
}

var ids = []raft.ServerID{"n1", "n2", "n3"}

func startReplica(t *testing.T, n *labrpc.Network, id raft.ServerID, store *raft.MemoryPersister) *replica {
	t.Helper()
	e := endpoint{n.Endpoint(string(id))}
	server, err := NewServer(Config{ID: id, Caller: e})
	if err != nil {
		t.Fatal(err)
	}
	rf, err := raft.New(raft.Config{
		ID: id, Store: store, Transport: e, StateMachine: server, CheckInvariants: true,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	server.Attach(rf)
	labrpc.Handle(e.Endpoint, MethodDo, func(_ string, args *Request) (*Reply, error) {
		reply := new(Reply)
		return reply, server.Do(args, reply)
	})
	labrpc.Handle(e.Endpoint, MethodStatus, func(_ string, args *StatusRequest) (*StatusReply, error) {
		reply := new(StatusReply)
		return reply, server.Status(args, reply)
	})
	return &replica{store, rf, server, e}
}

// stop ends a replica, as a power loss if crash is set, and returns what its disk
// holds afterwards.
func (r *replica) stop(t *testing.T, crash bool) *raft.MemoryPersister {
	store := r.store
	if crash {
		r.e.Close()
		store = store.Crash(func(staged int) int { return staged / 2 })
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := errors.Join(r.server.Stop(ctx), r.rf.Stop(ctx)); err != nil {
		t.Error(err)
	}
	return store
}

// TestCluster: appends of distinct tokens, swaps and reads through three servers
// whose network loses a tenth of all messages and doubles some, while the leader
// crashes again and again. No acknowledged append is lost or there twice, no swap
// succeeds twice, no read goes back, and in the end all replicas have one hash.
func TestCluster(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { cluster(t, seed) })
		})
	}
}

func cluster(t *testing.T, seed uint64) {
	conditions := labrpc.Unreliable()
	conditions.Duplicate = 0.05
	n := labrpc.New(rand.NewPCG(seed, 1), conditions)
	addresses := map[raft.ServerID]string{}
	for _, id := range ids {
		addresses[id] = string(id)
	}
	replicas := make([]*replica, len(ids))
	for i, id := range ids {
		store := raft.NewMemoryPersister(func() time.Duration { return time.Millisecond })
		if _, err := raft.Bootstrap(store, "test", id, raft.NewConfiguration(addresses)); err != nil {
			t.Fatal(err)
		}
		replicas[i] = startReplica(t, n, id, store)
	}
	clerk, err := NewClerk(ClerkConfig{Servers: []string{"n1", "n2", "n3"}, Caller: endpoint{n.Endpoint("client")}, Timeout: 15 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	w := &workload{t: t, clerk: clerk, outcome: map[string]error{}}
	var workers sync.WaitGroup
	stop, cancel := context.WithCancel(context.Background())
	for i := range 8 {
		workers.Go(func() { w.appends(stop, i) })
	}
	for range 3 {
		workers.Go(func() { w.counts(stop) })
	}
	for range 3 { // the leader crashes, and starts again
		time.Sleep(2 * time.Second)
		i := slices.IndexFunc(replicas, func(r *replica) bool { return r.rf.Status().Role == raft.Leader })
		if i < 0 {
			i = 0
		}
		store := replicas[i].stop(t, true)
		time.Sleep(2 * time.Second)
		replicas[i] = startReplica(t, n, ids[i], store)
	}
	time.Sleep(2 * time.Second)
	cancel()
	workers.Wait()
	n.SetConditions(labrpc.Reliable())
	w.check()
	time.Sleep(3 * time.Second) // followers hear of the last commit
	var first StatusReply
	for i, id := range ids {
		st, err := clerk.Status(t.Context(), string(id))
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = st
		}
		if st.Hash != first.Hash || st.HashIndex != first.HashIndex || st.Revision == 0 {
			t.Errorf("%s: hash %x at %d, revision %d; n1: %x at %d", id, st.Hash, st.HashIndex, st.Revision, first.Hash, first.HashIndex)
		}
	}
	clerk.Close()
	for _, r := range replicas {
		r.stop(t, false)
	}
	n.Close()
}

// workload is what clients do to the cluster, and what they were told.
type workload struct {
	t     *testing.T
	clerk *Clerk

	mu      sync.Mutex
	outcome map[string]error // by token
	counted int              // swaps acknowledged
	doubt   int              // swaps of unknown outcome
}

// appends adds distinct tokens to one key.
func (w *workload) appends(stop context.Context, worker int) {
	for i := 0; stop.Err() == nil; i++ {
		token := fmt.Sprintf("<%d.%d>", worker, i)
		_, err := w.clerk.Append(context.Background(), fmt.Appendf(nil, "log/%d", worker%3), []byte(token))
		w.mu.Lock()
		w.outcome[token] = err
		w.mu.Unlock()
		time.Sleep(20 * time.Millisecond)
	}
}

// counts raises a counter by compare-and-swap. What it reads must never be older
// than what it read before.
func (w *workload) counts(stop context.Context) {
	key, seen := []byte("counter"), uint64(0)
	for stop.Err() == nil {
		r, err := w.clerk.Get(context.Background(), key)
		if err != nil {
			continue
		}
		if r.Revision < seen {
			w.t.Errorf("a read at revision %d after one at %d", r.Revision, seen)
		}
		seen = r.Revision
		_, err = w.clerk.CompareAndSwap(context.Background(), key, append(r.Value, 'x'), r.ModRevision)
		w.mu.Lock()
		switch {
		case err == nil:
			w.counted++
		case errors.Is(err, ErrUnknown):
			w.doubt++
		case !errors.Is(err, ErrConflict) && !errors.Is(err, ErrUnavailable):
			w.t.Errorf("swap: %v", err)
		}
		w.mu.Unlock()
		time.Sleep(50 * time.Millisecond)
	}
}

func (w *workload) check() {
	logs, err := w.clerk.List(w.t.Context(), ListOptions{Prefix: []byte("log/")})
	if err != nil || len(logs.Items) != 3 {
		w.t.Fatalf("list: %d items, %v", len(logs.Items), err)
	}
	found := map[string]int{}
	for _, item := range logs.Items {
		for token := range strings.SplitSeq(string(item.Value), ">") {
			found[token+">"]++
		}
	}
	acknowledged := 0
	for token, err := range w.outcome {
		if err == nil {
			acknowledged++
		}
		if n := found[token]; n > 1 || err == nil && n == 0 {
			w.t.Errorf("%s (%v) is there %d times", token, err, n)
		}
	}
	counter, err := w.clerk.Get(w.t.Context(), []byte("counter"))
	if err != nil || len(counter.Value) < w.counted || len(counter.Value) > w.counted+w.doubt {
		w.t.Errorf("the counter is at %d after %d swaps and %d of unknown outcome (%v)", len(counter.Value), w.counted, w.doubt, err)
	}
	if acknowledged < 500 || w.counted < 30 {
		w.t.Errorf("%d appends and %d swaps acknowledged: it tests too little", acknowledged, w.counted)
	}
	w.t.Logf("%d of %d appends acknowledged; %d swaps, %d in doubt", acknowledged, len(w.outcome), w.counted, w.doubt)
}
