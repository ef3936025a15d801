package kvlab

import (
	"context"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lockstep.example/raft/tests"
)

// broken are systems with one mistake each, of a kind that students make, and the
// scenario that finds it.
var broken = []struct {
	mistake string
	find    string // part/scenario
	says    string // a pattern of the failure
	system  func(s *System)
}{
	{"a server answers gets from its own state", "4B/OnePartition", "in a minority", clerks(func(c *brokenClerk) { c.get = c.getStale })},
	{"a put forgets to look at the version", "4B/Concurrent", "not linearizable", clerks(func(c *brokenClerk) { c.put = c.putAnyway })},
	{"a clerk remembers what it read", "4B/Concurrent", "not linearizable", clerks(func(c *brokenClerk) { c.get = c.getCached })},
	{"a clerk takes the answer to its second try for the truth", "kvsrv/UnreliableNet", "put by the only client", clerks(func(c *brokenClerk) { c.put = c.putTwice })},
	{"a clerk calls success what was never sent", "4B/Basic", "not linearizable", clerks(func(c *brokenClerk) { c.put = c.putNever })},
	{"a put of a missing key is another version", "kvsrv/ReliablePut", "missing key", clerks(func(c *brokenClerk) { c.put = c.putNoKey })},
	{"a put tells the old version", "kvsrv/ReliablePut", "at version", clerks(func(c *brokenClerk) { c.put = c.putOld })},
	{"every put waits for a heartbeat", "4B/Speed", "the limit is", clerks(func(c *brokenClerk) { c.put = c.putSlow })},
	{"a server forgets everything in a crash", "4B/PersistOneClient", "two leaders|applie|not linearizable", func(s *System) {
		s.KV.Server = func(env tests.Env) (tests.Server, error) {
			env.Disk = &tests.Disk{}
			return tests.LockstepKV(env)
		}
	}},
	{"a response goes to whoever waits for that number", "4A/LeaderPartition", "another request", func(s *System) { s.RSM = rsmByNumber }},
	{"a request is done twice", "4A/Basic", "expected 1", rsms(func(r *brokenRSM) { r.Machine = twice{r.Machine} })},
	{"an increment is done when it is submitted", "4A/Concurrent", "times", rsms(func(r *brokenRSM) { r.early = true })},
	{"a submission does not end with its server", "4A/Shutdown", "not ended", rsms(func(r *brokenRSM) { r.deaf = true })},
	{"a request is called refused that is done", "4A/RestartSubmit", "it had refused", rsms(func(r *brokenRSM) { r.denies = true })},
	{"a machine outlives its server", "4A/RestartReplay", "expected 101", func(s *System) { s.RSM = rsmKeepsMachine() }},
	{"the first leader alone takes requests", "4A/LeaderFailure", "no server did", func(s *System) { s.RSM = rsmOneServer() }},
	{"gets are stale in a partition", "4B/ManyPartitionsManyClients", "not linearizable", clerks(func(c *brokenClerk) { c.get = c.getStale })},
	{"a put among ten clients forgets the version", "kvsrv/PutConcurrentReliable", "not linearizable", clerks(func(c *brokenClerk) { c.put = c.putAnyway })},
	{"a get over a bad network is remembered", "4B/Unreliable", "not linearizable", clerks(func(c *brokenClerk) { c.get = c.getCached })},
	{"nobody holds the lock", "lock/ManyClientsReliable", "has the lock while", locks(func(l Locker) Locker { return free{} })},
	{"the lock stays taken", "lock/OneClientReliable", "does not return", locks(func(l Locker) Locker { return taken{l} })},
	{"the lock is not looked at after it was read free", "lock/ManyClientsUnreliable", "has the lock while", func(s *System) {
		s.Lock = func(c Clerk, name string, _ func() uint64) Locker { return hasty{c, name} }
	}},
}

// TestBroken: each mistake is found by the scenario that is there for it.
func TestBroken(t *testing.T) {
	for _, b := range broken {
		t.Run(b.mistake, func(t *testing.T) {
			s := Lockstep()
			s.KV, s.Alone = &KV{s.KV.Server, s.KV.Clerk}, &KV{s.Alone.Server, s.Alone.Clerk}
			b.system(&s)
			c := find(t, s, b.find)
			breach := tests.Try(t, c.Maker, c.Scenario)
			if breach == "" || !regexp.MustCompile(b.says).MatchString(breach) {
				t.Errorf("%s says %q, expected %q", b.find, breach, b.says)
			}
		})
	}
}

func find(t *testing.T, s System, name string) Case {
	t.Helper()
	for _, part := range Parts(s, true) {
		for _, c := range part.Cases {
			if part.Name+"/"+c.Name == name {
				return c
			}
		}
	}
	t.Fatalf("no scenario %q", name)
	return Case{}
}

// TestParts: the scenarios of the labs are all there, at the labs' sizes, and at
// 3, 5 and 7 servers if there is time.
func TestParts(t *testing.T) {
	want := map[string]int{"4A": 7, "4B": 13, "kvsrv": 3, "lock": 4}
	for _, part := range Parts(Lockstep(), true) {
		if len(part.Cases) != want[part.Name] {
			t.Errorf("%s has %d scenarios, expected %d", part.Name, len(part.Cases), want[part.Name])
		}
		delete(want, part.Name)
	}
	if len(want) > 0 {
		t.Errorf("no parts %v", slices.Sorted(maps.Keys(want)))
	}
	sizes := map[int]bool{}
	for _, part := range Parts(System{RSM: RSMOver(tests.Lockstep)}, false) {
		for _, c := range part.Cases {
			sizes[c.Servers] = true
		}
	}
	if len(sizes) != 3 || !sizes[3] || !sizes[5] || !sizes[7] {
		t.Errorf("4A runs at sizes %v", sizes)
	}
}

// TestMemory: what a server keeps of each client is seen.
func TestMemory(t *testing.T) {
	var kept [][]byte
	each, err := memory(func(int) error {
		kept = append(kept, make([]byte, clientBytes))
		return nil
	})
	if err != nil || each < clientBytes || each > 2*clientBytes {
		t.Errorf("%d bytes a client are measured as %.1f (%v)", clientBytes, each, err)
	}
}

// clerks breaks all clerks.
func clerks(breakIt func(c *brokenClerk)) func(s *System) {
	clerk := func(env ClerkEnv) (Clerk, error) {
		c, err := lockstepClerk(env)
		b := &brokenClerk{swapClerk: c.(swapClerk), cache: map[string]uint64{}}
		b.get, b.put = b.swapClerk.Get, b.swapClerk.Put
		breakIt(b)
		return b, err
	}
	return func(s *System) { s.KV.Clerk, s.Alone.Clerk = clerk, clerk }
}

type brokenClerk struct {
	swapClerk
	get func(key string) (string, uint64, error)
	put func(key, value string, version uint64) (uint64, error)

	value string
	cache map[string]uint64
}

func (c *brokenClerk) Get(key string) (string, uint64, error) { return c.get(key) }

func (c *brokenClerk) Put(key, value string, version uint64) (uint64, error) {
	return c.put(key, value, version)
}

func (c *brokenClerk) getStale(key string) (string, uint64, error) {
	r, err := c.Clerk.GetStale(context.Background(), []byte(key))
	if err == nil && !r.Found {
		err = ErrNoKey
	}
	return string(r.Value), r.ModRevision, err
}

func (c *brokenClerk) getCached(key string) (string, uint64, error) {
	if version := c.cache[key]; version > 0 {
		return c.value, version, nil
	}
	value, version, err := c.swapClerk.Get(key)
	c.value, c.cache[key] = value, version
	return value, version, err
}

func (c *brokenClerk) putAnyway(key, value string, _ uint64) (uint64, error) {
	r, err := c.Clerk.Put(context.Background(), []byte(key), []byte(value))
	return r.ModRevision, err
}

func (c *brokenClerk) putTwice(key, value string, version uint64) (uint64, error) {
	_, _ = c.swapClerk.Put(key, value, version)
	return c.swapClerk.Put(key, value, version)
}

func (c *brokenClerk) putNever(_, _ string, version uint64) (uint64, error) { return version + 1, nil }

func (c *brokenClerk) putNoKey(key, value string, version uint64) (uint64, error) {
	now, err := c.swapClerk.Put(key, value, version)
	if errors.Is(err, ErrNoKey) {
		err = ErrVersion
	}
	return now, err
}

func (c *brokenClerk) putOld(key, value string, version uint64) (uint64, error) {
	now, err := c.swapClerk.Put(key, value, version)
	return max(1, now) + 1, err
}

func (c *brokenClerk) putSlow(key, value string, version uint64) (uint64, error) {
	time.Sleep(34 * time.Millisecond)
	return c.swapClerk.Put(key, value, version)
}

// rsms breaks all replicated state machines.
func rsms(breakIt func(r *brokenRSM)) func(s *System) {
	return func(s *System) {
		s.RSM = func(env tests.Env, machine Machine) (Submitter, error) {
			r := &brokenRSM{Machine: machine}
			breakIt(r)
			inner, err := RSMOver(tests.Lockstep)(env, r.Machine)
			r.Submitter = inner
			return r, err
		}
	}
}

type brokenRSM struct {
	Submitter
	Machine             Machine
	early, deaf, denies bool
}

func (r *brokenRSM) Submit(ctx context.Context, request []byte) ([]byte, error) {
	if r.early {
		if _, leads := r.State(); leads {
			r.Machine.Do(request)
		}
	}
	response, err := r.Submitter.Submit(ctx, request)
	null := strings.HasPrefix(string(request), "null")
	if r.deaf && null && err != nil {
		<-ctx.Done()
	}
	if r.denies && null {
		return nil, ErrNotExecuted
	}
	return response, err
}

// rsmKeepsMachine goes on, after a crash, with the machine it had.
func rsmKeepsMachine() RSM {
	machines := map[string]Machine{}
	return func(env tests.Env, machine Machine) (Submitter, error) {
		if machines[env.ID] == nil {
			machines[env.ID] = machine
		}
		return RSMOver(tests.Lockstep)(env, machines[env.ID])
	}
}

// rsmOneServer has one server that takes requests: whoever took the first.
func rsmOneServer() RSM {
	var first atomic.Pointer[oneServer]
	return func(env tests.Env, machine Machine) (Submitter, error) {
		inner, err := RSMOver(tests.Lockstep)(env, machine)
		return &oneServer{inner, &first}, err
	}
}

type oneServer struct {
	Submitter
	first *atomic.Pointer[oneServer]
}

func (r *oneServer) Submit(ctx context.Context, request []byte) ([]byte, error) {
	if first := r.first.Load(); first != nil && first != r {
		return nil, ErrNotExecuted
	}
	response, err := r.Submitter.Submit(ctx, request)
	if err == nil {
		r.first.Store(r)
	}
	return response, err
}

// twice does each request twice.
type twice struct{ Machine }

func (m twice) Do(request []byte) []byte {
	m.Machine.Do(request)
	return m.Machine.Do(request)
}

// byNumber knows a request by nothing but the number it was told.
type byNumber struct {
	tests.Server
	mu      sync.Mutex
	answers map[uint64]chan []byte
}

func rsmByNumber(env tests.Env, machine Machine) (Submitter, error) {
	r := &byNumber{answers: map[uint64]chan []byte{}}
	apply := env.Apply
	env.Apply = func(a tests.Applied) {
		apply(a)
		r.answer(a.Number) <- machine.Do(a.Command)
	}
	var err error
	r.Server, err = tests.Lockstep(env)
	return r, err
}

func (r *byNumber) answer(number uint64) chan []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.answers[number] == nil {
		r.answers[number] = make(chan []byte, 1)
	}
	return r.answers[number]
}

func (r *byNumber) Submit(ctx context.Context, request []byte) ([]byte, error) {
	number, _, ok := r.Start(request)
	if !ok {
		return nil, ErrNotExecuted
	}
	select {
	case response := <-r.answer(number):
		return response, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// locks breaks all locks.
func locks(breakIt func(l Locker) Locker) func(s *System) {
	return func(s *System) {
		s.Lock = func(c Clerk, name string, random func() uint64) Locker { return breakIt(SwapLock(c, name, random)) }
	}
}

type free struct{}

func (free) Acquire() error { return nil }
func (free) Release() error { return nil }

type taken struct{ Locker }

func (taken) Release() error { return nil }

// hasty takes a lock that it found free without caring whether the put succeeds.
type hasty struct {
	clerk Clerk
	name  string
}

func (l hasty) Acquire() error {
	for {
		value, version, err := l.clerk.Get(l.name)
		if err != nil && !errors.Is(err, ErrNoKey) {
			return err
		}
		if value == "" {
			_, err := l.clerk.Put(l.name, "taken", version)
			if errors.Is(err, ErrVersion) {
				err = nil
			}
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (l hasty) Release() error {
	_, version, err := l.clerk.Get(l.name)
	if err == nil {
		_, err = l.clerk.Put(l.name, "", version)
	}
	if errors.Is(err, ErrVersion) {
		err = nil
	}
	return err
}
