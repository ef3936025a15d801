package kvlab

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"lockstep.example/raft/labrpc"
	"lockstep.example/raft/tests"
	"lockstep.example/raft/tests/history"
)

// world is what a scenario sees: the servers, and the clients of this package.
type world struct {
	*tests.Cluster
	rsm  RSM
	kv   *KV
	lock Lock

	history *history.Recorder
	ctx     context.Context // ends with the scenario

	running  sync.WaitGroup // goroutines of the scenario
	mu       sync.Mutex     // a leaf
	clerks   []Clerk
	requests int
	counters map[string]*counter // of each server's latest life; for an RSM
}

// start implements tests.Maker.
func (w *world) start(env tests.Env) (tests.Server, error) {
	if w.rsm == nil {
		return w.kv.Server(env)
	}
	machine := &counter{}
	w.mu.Lock()
	if w.counters == nil {
		w.counters = map[string]*counter{}
	}
	w.counters[env.ID] = machine
	w.mu.Unlock()
	return w.rsm(env, machine)
}

// play runs a scenario and judges what its clients were told.
func (w *world) play(c *tests.Cluster, run func(*world)) {
	w.Cluster, w.history = c, history.New()
	ctx, cancel := context.WithCancel(context.Background())
	w.ctx = ctx
	tooLong := time.AfterFunc(longest, func() {
		w.Fail(fmt.Errorf("the scenario has not ended after %v: a call of a client or a lock does not return", longest))
		cancel() // nobody waits for an answer any more
	})
	w.T.Cleanup(func() {
		tooLong.Stop()
		cancel()
		w.end()
	})
	w.Net.SetConditions(labrpc.Reliable()) // a call to nowhere takes 100 ms at most
	run(w)
	w.mend()
	w.stopIfFailed()
	if w.kv != nil {
		w.judge()
	}
}

// end closes all clerks and waits for the scenario's goroutines, in case it ended
// early.
func (w *world) end() {
	w.mu.Lock()
	clerks := w.clerks
	w.mu.Unlock()
	for _, c := range clerks {
		c.Close()
	}
	select {
	case <-ended(&w.running):
	case <-time.After(time.Minute): // then the bubble tells where they hang
	}
}

// run starts a goroutine of the scenario, as part of a group.
func (w *world) run(group *sync.WaitGroup, f func()) {
	w.running.Add(1)
	group.Go(func() {
		defer w.running.Done()
		f()
	})
}

// longest is less than what the harness allows a scenario, in virtual time.
const longest = 100 * time.Second

var errEnded = errors.New("the scenario has ended")

// call waits for f, but not beyond the end of the scenario.
func (w *world) call(f func()) error {
	done := make(chan struct{})
	w.running.Add(1)
	go func() {
		defer w.running.Done()
		defer close(done)
		f()
	}()
	select {
	case <-done:
		return nil
	case <-w.ctx.Done():
		return errEnded
	}
}

// judge fails the test if what clients were told so far is not linearizable.
func (w *world) judge() {
	w.T.Helper()
	if err := w.history.Check(history.Steps).Err(); err != nil {
		w.fatal("%w", err)
	}
	n := w.history.Counts()
	w.Note("%d operations of clients are linearizable: %d keys, %d conflicts, %d open", n.Operations, n.Keys, n.Conflicts, n.Open)
}

// fatal ends the scenario, from its own goroutine.
func (w *world) fatal(format string, args ...any) {
	w.T.Helper()
	w.Fail(fmt.Errorf(format, args...))
	w.T.FailNow()
}

func (w *world) stopIfFailed() {
	if w.T.Failed() {
		w.T.FailNow()
	}
}

func (w *world) random() uint64 { return uint64(w.Random(1 << 31)) }

// unreliable makes the network lose and delay.
func (w *world) unreliable() {
	w.Note("the network becomes unreliable")
	w.Net.SetConditions(labrpc.Unreliable())
}

// split cuts the links between servers of different groups; clients reach all.
func (w *world) split(group func(server int) int) {
	var groups [2][]string
	for i := range w.N {
		groups[group(i)] = append(groups[group(i)], w.ID(i))
		for j := range w.N {
			w.Net.Restore(w.ID(i), w.ID(j))
			if group(i) != group(j) {
				w.Net.Cut(w.ID(i), w.ID(j))
			}
		}
	}
	w.Note("partition %v %v", groups[0], groups[1])
}

// minority returns a leader and as many others as leave a quorum without them.
func (w *world) minority(leader int) map[int]bool {
	cut := map[int]bool{}
	for k := range (w.N - 1) / 2 {
		cut[(leader+k)%w.N] = true
	}
	return cut
}

// splitOff cuts the given servers from the others.
func (w *world) splitOff(servers map[int]bool) {
	w.split(func(i int) int {
		if servers[i] {
			return 1
		}
		return 0
	})
}

// mend makes all links work.
func (w *world) mend() {
	w.Note("all links work")
	w.Net.Heal()
}

// crashAll has all servers lose power, and start again a while later.
func (w *world) crashAll(pause time.Duration) {
	var all []int
	for i := range w.N {
		all = append(all, i)
	}
	w.Crash(all...)
	w.Sleep(pause)
	for i := range w.N {
		w.Start(i)
	}
}

// client is a recorded Clerk: it is one too.
type client struct {
	w     *world
	name  int
	clerk Clerk
	puts  int
}

// client puts a client on the network that knows the given servers; none means
// all. It is cut off from those it does not know. Only the scenario's own
// goroutine may call it.
func (w *world) client(servers ...int) *client {
	w.T.Helper()
	c := &client{w: w, name: len(w.clerks) + 1}
	name := fmt.Sprint("clerk", c.name)
	env := ClerkEnv{Endpoint: w.Net.Endpoint(name), Rand: w.random}
	for i := range w.N {
		known := len(servers) == 0
		for _, s := range servers {
			known = known || s%w.N == i
		}
		if known {
			env.Servers = append(env.Servers, w.ID(i))
		} else {
			w.Net.CutPair(name, w.ID(i))
		}
	}
	var err error
	if c.clerk, err = w.kv.Clerk(env); err != nil {
		w.fatal("start %s: %w", name, err)
	}
	w.mu.Lock()
	w.clerks = append(w.clerks, c.clerk)
	w.mu.Unlock()
	return c
}

// Close implements Clerk. The harness closes the clerk itself.
func (c *client) Close() {}

// Get implements Clerk.
func (c *client) Get(key string) (value string, version uint64, err error) {
	op := c.w.history.Begin(c.name, history.Call{Kind: history.Get, Key: key})
	var got struct {
		value   string
		version uint64
		err     error
	}
	if err := c.w.call(func() { got.value, got.version, got.err = c.clerk.Get(key) }); err != nil {
		return "", 0, err
	}
	value, version, err = got.value, got.version, got.err
	answer := history.Answer{
		Outcome: history.Done, Found: true, Value: value,
		CreateRevision: history.Untold, ModRevision: told(version), Version: history.Untold, Revision: history.Untold,
	}
	switch {
	case err == nil:
		c.w.history.End(op, answer)
	case errors.Is(err, ErrNoKey):
		answer.Found = false
		c.w.history.End(op, answer)
	}
	return value, version, err
}

// Put implements Clerk.
func (c *client) Put(key, value string, version uint64) (now uint64, err error) {
	op := c.w.history.Begin(c.name, history.Call{Kind: history.CompareAndSwap, Key: key, Value: value, Revision: version})
	var made struct {
		version uint64
		err     error
	}
	if err := c.w.call(func() { made.version, made.err = c.clerk.Put(key, value, version) }); err != nil {
		return Untold, err
	}
	now, err = made.version, made.err
	answer := history.Answer{
		CreateRevision: history.Untold, ModRevision: told(now), Version: history.Untold, Revision: history.Untold,
	}
	switch {
	case err == nil:
		answer.Outcome = history.Done
	case errors.Is(err, ErrVersion):
		answer.Outcome, answer.ModRevision = history.Conflict, history.Untold
	case errors.Is(err, ErrNoKey):
		answer.Outcome, answer.ModRevision = history.Conflict, 0
	case errors.Is(err, ErrNotExecuted):
		answer.Outcome = history.NotExecuted
	}
	c.w.history.End(op, answer)
	return now, err
}

func told(version uint64) uint64 {
	if version == Untold {
		return history.Untold
	}
	return version
}

// fresh is a value that nobody ever wrote, of at least size bytes.
func (c *client) fresh(size int) string {
	c.puts++
	s := fmt.Sprintf("%d of client %d ", c.puts, c.name)
	return s + strings.Repeat("x", max(0, size-len(s)))
}

// must fails the test, from its own goroutine, unless err is wanted.
func (w *world) must(what string, err, want error) {
	w.T.Helper()
	if !errors.Is(err, want) {
		w.fatal("%s returned error %v, expected %v", what, err, want)
	}
}

// within fails the test if done is not closed in time.
func (w *world) within(d time.Duration, what string, done <-chan struct{}) {
	w.T.Helper()
	select {
	case <-done:
	case <-time.After(d):
		w.fatal("%s: not ended after %v", what, d)
	}
}
