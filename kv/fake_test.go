package kv

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"lockstep.example/raft"
	"lockstep.example/raft/internal/msgpack"
	"lockstep.example/raft/session"
)

// fakeCluster is a cluster without consensus: one log, and a leader by decree.
// What a real one may do to a proposal, it does on purpose.
type fakeCluster struct {
	servers []*Server

	mu      sync.Mutex
	random  *rand.Rand
	log     []raft.Entry
	applied []int // entries of the log, by server
	behind  []bool
	down    []bool
	term    uint64
	leader  int // -1: none
	faults  faults
	calls   int // of the network
	late    sync.WaitGroup
}

// faults are the chances of each thing that can go wrong, in percent.
type faults struct {
	loseRequest, loseReply, refuse, breakReply, duplicate int // of a call
	unknownDone, unknownUndone, rejected                  int // of a proposal
}

var allFaults = faults{5, 5, 5, 5, 5, 4, 4, 4}

func newFakeCluster(t testing.TB, n int, seed uint64, limits session.Limits) *fakeCluster {
	t.Helper()
	c := &fakeCluster{
		random: rand.New(rand.NewPCG(seed, 4)), leader: 0, term: 1,
		applied: make([]int, n), behind: make([]bool, n), down: make([]bool, n),
	}
	for i := range n {
		s, err := newServer(Config{ID: raft.ServerID(fmt.Sprintf("n%d", i+1)), Caller: c}, limits)
		if err != nil {
			t.Fatal(err)
		}
		s.Attach(&fakeRaft{c, i})
		c.servers = append(c.servers, s)
	}
	return c
}

func (c *fakeCluster) address(i int) string {
	if i < 0 {
		return ""
	}
	return fmt.Sprintf("addr%d", i+1)
}

func (c *fakeCluster) addresses() (all []string) {
	for i := range c.servers {
		all = append(all, c.address(i))
	}
	return all
}

func (c *fakeCluster) chance(percent int) bool { return c.random.IntN(100) < percent }

func (c *fakeCluster) set(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// lead makes i the leader of a new term; -1: nobody.
func (c *fakeCluster) lead(i int) { c.set(func() { c.leader = i; c.term++ }) }

// append adds a command to the log and has it applied wherever a server is not
// behind. c.mu must be held.
func (c *fakeCluster) append(by int, command []byte) raft.Result {
	number := uint64(len(c.log) + 1)
	e := raft.Entry{Index: number + c.term, Term: c.term, Number: number, Kind: raft.EntryCommand, Data: command}
	c.log = append(c.log, e)
	var result raft.Result
	for i := range c.servers {
		if r := c.catchUp(i); i == by && r != nil {
			result = r[len(r)-1]
		}
	}
	result.Index, result.Term, result.Number = e.Index, e.Term, e.Number
	return result
}

func (c *fakeCluster) catchUp(i int) []raft.Result {
	batch := c.log[c.applied[i]:]
	if c.behind[i] || len(batch) == 0 {
		return nil
	}
	results := make([]raft.Result, len(batch))
	c.servers[i].Apply(batch, results)
	c.applied[i] = len(c.log)
	return results
}

// Call implements Caller, with faults.
func (c *fakeCluster) Call(ctx context.Context, address, method string, args, reply any) error {
	c.mu.Lock()
	c.calls++
	target := -1
	for i := range c.servers {
		if c.address(i) == address && !c.down[i] {
			target = i
		}
	}
	f := c.faults
	refuse, loseRequest, loseReply, breakReply, duplicate := target < 0 || c.chance(f.refuse), c.chance(f.loseRequest), c.chance(f.loseReply), c.chance(f.breakReply), c.chance(f.duplicate)
	there, back, again := time.Duration(c.random.IntN(8000)), time.Duration(c.random.IntN(8000)), time.Duration(c.random.IntN(3_000_000))
	c.mu.Unlock()
	if refuse {
		return fakeError{"connection refused", true}
	}
	body, err := msgpack.Marshal(args)
	if err != nil {
		return err
	}
	// Not sent is proved only before the first byte left.
	if !sleep(ctx, there*time.Microsecond) || loseRequest {
		<-ctx.Done()
		return fakeError{"no answer", false}
	}
	if duplicate {
		c.late.Go(func() {
			time.Sleep(again * time.Microsecond)
			c.serve(target, method, body)
		})
	}
	answer := make(chan []byte, 1)
	c.late.Go(func() { answer <- c.serve(target, method, body) })
	var replied []byte
	select {
	case replied = <-answer:
	case <-ctx.Done():
		return fakeError{"no answer", false}
	}
	if breakReply {
		return fakeError{"connection reset", false}
	}
	if !sleep(ctx, back*time.Microsecond) || loseReply {
		<-ctx.Done()
		return fakeError{"no answer", false}
	}
	return msgpack.Unmarshal(replied, reply)
}

// serve runs one request on a server, from its bytes to those of its reply.
func (c *fakeCluster) serve(target int, method string, body []byte) []byte {
	if method == MethodStatus {
		var reply StatusReply
		c.servers[target].Status(&StatusRequest{}, &reply)
		out, _ := msgpack.Marshal(&reply)
		return out
	}
	var args Request
	var reply Reply
	if err := msgpack.Unmarshal(body, &args); err != nil {
		panic(err)
	}
	c.servers[target].Do(&args, &reply)
	out, err := msgpack.Marshal(&reply)
	if err != nil {
		panic(err)
	}
	return out
}

type fakeError struct {
	text    string
	notSent bool
}

func (e fakeError) Error() string { return e.text }
func (e fakeError) NotSent() bool { return e.notSent }

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// fakeRaft is one server's view of the fake cluster.
type fakeRaft struct {
	c *fakeCluster
	i int
}

var errStepDown = errors.New("leadership lost")

func (r *fakeRaft) Propose(ctx context.Context, command []byte) (raft.Result, error) {
	c := r.c
	c.mu.Lock()
	if c.leader != r.i {
		defer c.mu.Unlock()
		return raft.Result{}, r.notLeader()
	}
	term := c.term
	wait := time.Duration(c.random.IntN(10)) * time.Millisecond
	c.mu.Unlock()
	slept := sleep(ctx, wait)
	c.mu.Lock()
	defer c.mu.Unlock()
	unknown := &raft.UnknownError{Index: 1, Term: term, Cause: errStepDown}
	switch {
	case !slept:
		unknown.Cause = ctx.Err()
		return raft.Result{}, unknown
	case c.term != term || c.down[r.i]:
		if c.chance(50) && c.leader >= 0 {
			c.append(-1, command) // the next leader had it
		}
		return raft.Result{}, unknown
	case c.chance(c.faults.unknownUndone):
		return raft.Result{}, unknown
	case c.chance(c.faults.rejected):
		return raft.Result{}, &raft.RejectedError{Index: 1, Term: term, Winner: term + 1}
	case c.chance(c.faults.unknownDone):
		c.append(r.i, command)
		return raft.Result{}, unknown
	}
	return c.append(r.i, command), nil
}

func (r *fakeRaft) notLeader() error {
	return &raft.NotLeaderError{Leader: raft.ServerID(r.c.address(r.c.leader)), Address: r.c.address(r.c.leader)}
}

func (r *fakeRaft) ReadIndex(ctx context.Context) (uint64, error) {
	for {
		r.c.mu.Lock()
		leader, behind := r.c.leader, r.c.behind[r.i]
		err, index := r.notLeader(), uint64(len(r.c.log))
		r.c.catchUp(r.i)
		r.c.mu.Unlock()
		switch {
		case leader < 0:
			return 0, err
		case !behind:
			return index, nil
		case !sleep(ctx, 10*time.Millisecond):
			return 0, fmt.Errorf("%w: %w", raft.ErrNoAuthority, ctx.Err())
		}
	}
}

func (r *fakeRaft) Leader() (raft.ServerID, string) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	if r.c.leader < 0 {
		return "", ""
	}
	return r.c.servers[r.c.leader].config.ID, r.c.address(r.c.leader)
}

func (r *fakeRaft) Status() raft.Status {
	id, _ := r.Leader()
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	st := raft.Status{ID: r.c.servers[r.i].config.ID, Role: raft.Follower, Term: r.c.term, Leader: id}
	if r.c.leader == r.i {
		st.Role = raft.Leader
		st.Followers = []raft.FollowerStatus{{ID: "other", State: "replicate", MatchIndex: 3, Lag: 2, LastError: "slow"}}
	}
	st.CommitIndex, st.LastLogIndex, st.LastApplied = uint64(len(r.c.log)), uint64(len(r.c.log)), uint64(r.c.applied[r.i])
	return st
}

func (r *fakeRaft) Why() string         { return "because" }
func (r *fakeRaft) Health() raft.Health { return raft.Health{Live: true, Ready: true} }
