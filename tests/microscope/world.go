package microscope

import (
	"context"
	"sync"
	"testing/synctest"
	"time"

	"lockstep.example/raft"
	"lockstep.example/raft/labrpc"
	"lockstep.example/raft/tests"
)

// Times of the servers under the microscope. Server 1 has the shortest election
// timeout and is the first to campaign when it hears no leader; server 0 is the
// leader that is deposed.
const (
	heartbeat   = 250 * time.Millisecond
	passTime    = 520 * time.Millisecond // longer than server 1's election timeout, shorter than any other's
	beatTime    = 260 * time.Millisecond
	settleTime  = 300 * time.Microsecond // until nothing moves but by a message held or a timer
	readTimeout = 1200 * time.Millisecond
	lateness    = 10 * time.Millisecond
)

// timeouts are what the servers add to the shortest election timeout of 500 ms.
var timeouts = []time.Duration{400 * time.Millisecond, 0, 200 * time.Millisecond, 300 * time.Millisecond, 350 * time.Millisecond}

// world is one run: a cluster, its network, and clients that read.
type world struct {
	*net
	*verdict
	c     *tests.Cluster
	trace trace
	reads []*readCall
	thaw  func()          // not nil while server 0 is frozen
	did   [len(verbs)]int // how many steps of each kind were taken

	beatsSeen map[beatKey]bool

	mu      sync.Mutex // guards the rest; a leaf
	applied []uint64   // by each server, in this life
	lives   []int      // of each server
	floor   uint64     // highest number applied by any
	offset  []time.Duration
}

// readCall is one read. What it must see is what any server had applied when it
// began: that may have been acknowledged, or read, by then.
type readCall struct {
	server int
	floor  uint64
	began  time.Time
	term   uint64 // of the tenure that must end it; 0: none
	cancel context.CancelFunc

	done  chan struct{} // closed once the rest is set
	took  time.Duration
	value uint64
	err   error

	told    bool // it was looked at
	excused bool // its server stood still meanwhile
}

// newWorld starts n servers, has server 0 lead and one write applied by all, and
// then holds every message. It must be called in a bubble.
func newWorld(v *verdict, n int) *world {
	w := &world{verdict: v, applied: make([]uint64, n), lives: make([]int, n), offset: make([]time.Duration, n), beatsSeen: map[beatKey]bool{}, trace: newTrace(n)}
	for i := 1; i < n; i++ {
		w.offset[i] = timeouts[0]
	}
	made := 0 // servers start in the order of their places
	w.c = tests.NewCluster(v, n, 1, func(env tests.Env) (tests.Server, error) {
		i := made % n
		if made++; made > n {
			i = w.place[env.ID]
		}
		return w.start(i, env)
	})
	w.c.SetFlushTime(time.Microsecond, time.Microsecond)
	w.c.Net.SetConditions(labrpc.Conditions{})
	time.Sleep(505 * time.Millisecond) // server 0 is elected
	w.setOffsets(timeouts)
	w.c.MustPropose(0, w.c.Command(0))
	time.Sleep(heartbeat) // everyone's timer is set anew by a heartbeat
	w.net = newNet(w.c)
	synctest.Wait()
	if w.floor != 1 || w.applied[n-1] != 1 {
		w.fail("the first write was not applied by all: %v", w.applied)
	}
	return w
}

func (w *world) start(i int, env tests.Env) (tests.Server, error) {
	apply := env.Apply
	env.Apply = func(a tests.Applied) {
		apply(a)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.applied[i] = a.Number
		w.floor = max(w.floor, a.Number)
	}
	env.Rand = func() uint64 {
		w.mu.Lock()
		defer w.mu.Unlock()
		return uint64(w.offset[i])
	}
	w.mu.Lock()
	w.applied[i] = 0
	w.lives[i]++
	w.mu.Unlock()
	return tests.LockstepAt(heartbeat)(env)
}

func (w *world) setOffsets(offsets []time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	copy(w.offset, offsets)
}

// do takes a step that is possible, and lets everything settle.
func (w *world) do(s step) {
	if s.verb == skip {
		return
	}
	w.did[s.verb]++
	var m *message
	if s.ofMessage() {
		m = w.find(s.channel, s.nth)
		w.take(m)
	}
	w.trace.add(w.eventOf(s, m), w.touched(s))
	switch s.verb {
	case deliver:
		m.hold.Release()
	case lose:
		m.hold.Drop()
	case read:
		w.beginRead(s.server)
	case write:
		w.c.Propose(s.server, w.c.Command(0))
	case pass:
		time.Sleep(passTime)
	case beat:
		time.Sleep(beatTime)
	case restart:
		w.c.Restart(s.server)
	case freeze:
		w.thaw = w.c.Server(s.server).(freezer).Freeze()
	case thaw:
		w.letGo()
	}
	w.settle()
}

// letGo ends a freeze. Nobody's deadline could be kept during it.
func (w *world) letGo() {
	w.thaw()
	w.thaw = nil
	for _, r := range w.reads {
		r.excused = r.excused || r.server == 0 && !r.over()
	}
}

// freezer is a server that can be held still: one built with the tag raftsim.
type freezer interface{ Freeze() (thaw func()) }

// settle lets the servers do all they can without a message or a timer.
func (w *world) settle() {
	time.Sleep(settleTime)
	synctest.Wait()
	sent, err := w.gather()
	if err != nil {
		w.fail("%v", err)
	}
	w.name(sent)
	w.checkBeats(sent)
	w.checkReads()
}

func (w *world) beginRead(i int) {
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	r := &readCall{server: i, began: time.Now(), cancel: cancel, done: make(chan struct{})}
	w.mu.Lock()
	r.floor = w.floor
	life := w.lives[i]
	w.mu.Unlock()
	server := w.c.Server(i)
	if term, leads := w.state(i); leads && i == 0 && term == firstTerm {
		r.term = term
	}
	w.reads = append(w.reads, r)
	go func() {
		defer close(r.done)
		defer cancel()
		r.err = server.(tests.Reader).Read(ctx)
		r.took = time.Since(r.began)
		w.mu.Lock()
		defer w.mu.Unlock()
		if r.value = w.applied[i]; w.lives[i] != life {
			r.err = raft.ErrStopped // nobody hears what it said before
		}
	}()
}

// state asks a server; one that stands still says nothing.
func (w *world) state(i int) (term uint64, leads bool) {
	if w.thaw != nil && i == 0 {
		return 0, false
	}
	return w.c.Server(i).State()
}

// firstTerm is the term that server 0 leads at the beginning: the one after the
// bootstrap term.
const firstTerm = 2

func (r *readCall) over() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// finish lets everything that is still held arrive or fail, and waits until every
// read must have ended.
func (w *world) finish() {
	if w.thaw != nil {
		w.do(step{verb: thaw})
	}
	for _, m := range w.held {
		m.hold.Drop()
	}
	for _, h := range w.spare {
		h.Release()
	}
	w.held, w.spare = nil, nil
	var last time.Time
	for _, r := range w.reads {
		if !r.over() {
			last = r.began
		}
	}
	if !last.IsZero() {
		time.Sleep(time.Until(last.Add(readTimeout + 2*lateness)))
		synctest.Wait()
	}
	w.checkReads()
	for _, r := range w.reads {
		r.cancel()
	}
}
