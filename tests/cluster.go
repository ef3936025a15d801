package tests

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep.example/raft/labrpc"
)

// Cluster is the servers of one scenario, their network and their disks. Servers
// are known by their place, 0 to N-1; on the network server 0 is s0. Its methods
// may be called by any goroutine of the scenario; those that can fail the test
// at once, by the scenario's own alone: they say so.
type Cluster struct {
	T   T
	N   int
	Net *labrpc.Network

	maker Maker
	seed  uint64
	began time.Time
	ids   []string

	randMu sync.Mutex // a leaf
	random *rand.Rand

	mu       sync.Mutex // guards the rest; never held while a server or the network is called
	members  []*member
	monitors []Monitor
	story    *timeline
	commands int           // made so far
	top      uint64        // highest number applied by any server
	changed  chan struct{} // closed at the next Apply; nil if nobody waits
	leads    map[string]uint64
	down     map[string]bool // disconnected
	flush    labrpc.Range    // how long a flush takes; zero: mostly short, now and then long
}

// T is what a cluster needs of a *testing.T.
type T interface {
	Helper()
	Errorf(format string, args ...any)
	Logf(format string, args ...any)
	FailNow()
	Failed() bool
	Cleanup(func())
}

// member is one server through all its lives.
type member struct {
	disk *Disk
	life *life // nil while it is down
}

// life is one server from its start to its crash.
type life struct {
	c        *Cluster
	id       string
	endpoint *labrpc.Endpoint
	server   Server
	over     bool      // guarded by Cluster.mu: what it still does no longer counts
	applied  []Applied // guarded by Cluster.mu; number n at n-1
}

// NewCluster starts n servers on a reliable network, watched by Monitors and by
// more. It must be called in a synctest bubble; everything ends with the test.
func NewCluster(t T, n int, seed uint64, maker Maker, more ...Monitor) *Cluster {
	t.Helper()
	c := &Cluster{
		T: t, N: n, maker: maker, seed: seed, began: time.Now(),
		random:   rand.New(rand.NewPCG(seed, 1)),
		Net:      labrpc.New(rand.NewPCG(seed, 2), labrpc.Reliable().LongDelays()),
		monitors: append(Monitors(), more...), story: newTimeline(),
		leads: map[string]uint64{}, down: map[string]bool{},
	}
	for i := range n {
		c.ids = append(c.ids, fmt.Sprint("s", i))
		c.members = append(c.members, &member{disk: &Disk{}})
	}
	t.Cleanup(c.close)
	for i := range n {
		c.Start(i)
	}
	return c
}

// ID returns the name of a server; i counts modulo the number of servers.
func (c *Cluster) ID(i int) string { return c.ids[i%c.N] }

// Random draws from [0, n).
func (c *Cluster) Random(n int) int {
	c.randMu.Lock()
	defer c.randMu.Unlock()
	return c.random.IntN(n)
}

func (c *Cluster) uint64() uint64 {
	c.randMu.Lock()
	defer c.randMu.Unlock()
	return c.random.Uint64()
}

// SetFlushTime makes every flush take a time within a range, on all disks.
func (c *Cluster) SetFlushTime(minimum, maximum time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flush = labrpc.Range{Min: minimum, Max: maximum}
}

func (c *Cluster) flushTime() time.Duration {
	c.mu.Lock()
	r := c.flush
	c.mu.Unlock()
	switch {
	case r.Max > 0:
		return r.Min + time.Duration(c.Random(int(r.Max-r.Min)+1))
	case c.Random(64) == 0: // now and then a disk is slow
		return time.Duration(c.Random(int(20 * time.Millisecond)))
	}
	return time.Duration(50+c.Random(200)) * time.Microsecond
}

// Command makes a command of at least size bytes that was never made before.
func (c *Cluster) Command(size int) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.commands++
	s := fmt.Sprintf("command %d ", c.commands)
	return []byte(s + strings.Repeat("x", max(0, size-len(s))))
}

// Note writes a line into the timeline.
func (c *Cluster) Note(format string, args ...any) {
	c.trace(Event{Kind: Noted, What: fmt.Sprintf(format, args...)})
}

// trace tells timeline and monitors of an event.
func (c *Cluster) trace(e Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.traceLocked(e)
}

func (c *Cluster) traceLocked(e Event) {
	e.At = time.Since(c.began)
	if e.Kind == Leads {
		if c.leads[e.Server] == e.Term {
			return
		}
		c.leads[e.Server] = e.Term
	}
	c.story.add(e)
	for _, m := range c.monitors {
		if err := m.Observe(e); err != nil {
			c.failLocked(err)
		}
	}
}

// Fail reports what must never happen. The test goes on to the scenario's next
// step, which ends it.
func (c *Cluster) Fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failLocked(err)
}

func (c *Cluster) failLocked(err error) {
	if c.T.Failed() {
		return // the first breach causes others: tell it alone
	}
	c.T.Errorf("%9.4f s  %v", time.Since(c.began).Seconds(), err)
	c.story.add(Event{At: time.Since(c.began), Kind: Noted, What: "FAILED: " + err.Error()})
}

// fatal ends the scenario, from its own goroutine.
func (c *Cluster) fatal(format string, args ...any) {
	c.T.Helper()
	c.Fail(fmt.Errorf(format, args...))
	c.T.FailNow()
}

// Sleep lets virtual time pass, and ends the scenario if it has failed.
func (c *Cluster) Sleep(d time.Duration) {
	c.T.Helper()
	time.Sleep(d)
	c.stopIfFailed()
}

func (c *Cluster) stopIfFailed() {
	if c.T.Failed() {
		c.T.FailNow()
	}
}

// Start starts a server that is down, on what its disk holds, and connects it.
func (c *Cluster) Start(i int) {
	i %= c.N
	id := c.ids[i]
	c.Connect(i)
	l := &life{c: c, id: id, endpoint: c.Net.Endpoint(id)}
	c.mu.Lock()
	c.traceLocked(Event{Kind: Started, Server: id})
	disk := c.members[i].disk
	c.mu.Unlock()
	server, err := c.maker(Env{
		ID: id, Peers: c.ids, Endpoint: l.endpoint, Disk: disk, Rand: c.uint64,
		FlushTime: c.flushTime, Apply: l.apply, Trace: l.trace, Fail: func(err error) { c.Fail(fmt.Errorf("%s: %w", id, err)) },
	})
	if err != nil {
		l.endpoint.Close()
		c.fatal("start %s: %v", id, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	l.server = server
	c.members[i].life = l
}

// Crash ends servers at one instant, as a power loss would: what they send from
// now on does not arrive, what they apply does not count, and of what each staged
// and had not flushed a random part is lost.
func (c *Cluster) Crash(servers ...int) { c.end(servers, "crashes") }

func (c *Cluster) end(servers []int, what string) {
	var ended []*life
	for _, i := range servers {
		c.mu.Lock()
		m := c.members[i%c.N]
		l := m.life
		if l != nil {
			m.life, l.over = nil, true
			c.traceLocked(Event{Kind: Noted, Server: l.id, What: what})
		}
		c.mu.Unlock()
		if l == nil {
			continue
		}
		ended = append(ended, l)
		l.endpoint.Close()
		if m.disk.AfterCrash != nil {
			m.disk.Contents = m.disk.AfterCrash(m.disk.Contents, func(staged int) int { return c.Random(staged + 1) })
		}
	}
	for _, l := range ended {
		if err := l.server.Kill(); err != nil { // it may take time
			c.Fail(fmt.Errorf("kill %s: %w", l.id, err))
		}
	}
}

// Restart is Crash and Start.
func (c *Cluster) Restart(i int) {
	c.Crash(i)
	c.Start(i)
}

// Alive tells whether a server runs.
func (c *Cluster) Alive(i int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.members[i%c.N].life != nil
}

// Server returns the server at a place; nil if it is down.
func (c *Cluster) Server(i int) Server {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.members[i%c.N].life; l != nil {
		return l.server
	}
	return nil
}

// Disconnect takes servers off the network; they run on.
func (c *Cluster) Disconnect(servers ...int) { c.setDown(true, servers) }

// Connect undoes Disconnect.
func (c *Cluster) Connect(servers ...int) { c.setDown(false, servers) }

func (c *Cluster) setDown(down bool, servers []int) {
	for _, i := range servers {
		id, what := c.ID(i), "connected"
		change := c.Net.Connect
		if down {
			change, what = c.Net.Disconnect, "disconnected"
		}
		change(id)
		c.mu.Lock()
		if c.down[id] != down {
			c.down[id] = down
			c.traceLocked(Event{Kind: Noted, Server: id, What: what})
		}
		c.mu.Unlock()
	}
}

// Connected tells whether a server runs and is not disconnected.
func (c *Cluster) Connected(i int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.members[i%c.N].life != nil && !c.down[c.ID(i)]
}

// all lists every server; others all but the given ones.
func (c *Cluster) all() []int { return c.others() }

func (c *Cluster) others(but ...int) []int {
	var servers []int
next:
	for i := range c.N {
		for _, b := range but {
			if b%c.N == i {
				continue next
			}
		}
		servers = append(servers, i)
	}
	return servers
}

// trace adds what one life knows.
func (l *life) trace(e Event) {
	e.Server = l.id
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	if !l.over {
		l.c.traceLocked(e)
	}
}

func (l *life) apply(a Applied) {
	c := l.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.over {
		return
	}
	c.traceLocked(Event{
		Kind: Applies, Server: l.id, Number: a.Number, Index: a.Index, Term: a.Term, Content: string(a.Command),
	})
	l.applied = append(l.applied, a)
	c.top = max(c.top, a.Number)
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// close ends every server and the network, and prints the timeline if the test
// failed or runs with -v.
func (c *Cluster) close() {
	c.end(c.all(), "ends")
	c.Net.Close()
	if c.T.Failed() || testing.Verbose() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.T.Logf("timeline (LOCKSTEP_SEED=%d draws the same faults):\n%s", c.seed, c.story)
	}
}
