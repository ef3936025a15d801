package raft

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"lockstep.example/raft/internal/lock"
)

// guard counts everything that runs on behalf of one server: daemons, handlers,
// reply callbacks. Whoever enters runs inside one recover, so that a panic stops
// this server with its cause and not the process that embeds it (under raftdebug
// it panics on). After the stop nobody enters; when the last one has left, done
// closes, and with it the promise: no goroutine, no store call, no callback.
type guard struct {
	stopping chan struct{} // closed once, at stop or failure
	done     chan struct{} // closed once, when stopping and empty
	ended    func()        // called once, before done closes

	mu      sync.Mutex // a leaf
	stopped bool
	running map[string]int
	total   int
	cause   error
}

func newGuard(ended func()) *guard {
	return &guard{stopping: make(chan struct{}), done: make(chan struct{}), running: map[string]int{}, ended: ended}
}

// enter counts one more runner; false once the server is stopping.
func (g *guard) enter(what string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped {
		return false
	}
	g.running[what]++
	g.total++
	return true
}

// leave is deferred by whoever entered. It catches a panic.
func (g *guard) leave(what string) {
	if v := recover(); v != nil {
		if lock.Debug {
			panic(v)
		}
		g.fail(&PanicError{Where: what, Value: v, Stack: debug.Stack()})
	}
	g.mu.Lock()
	g.running[what]--
	g.total--
	last := g.stopped && g.total == 0
	g.mu.Unlock()
	if last {
		g.finish()
	}
}

// run calls f as a runner; false if the server is stopping and f was not called.
func (g *guard) run(what string, f func()) bool {
	if !g.enter(what) {
		return false
	}
	defer g.leave(what)
	f()
	return true
}

// start runs f in a goroutine of its own, counted from now on; false if the
// server is stopping and f will not be called.
func (g *guard) start(what string, f func()) bool {
	if !g.enter(what) {
		return false
	}
	go func() {
		defer g.leave(what)
		f()
	}()
	return true
}

// fail stops the server because of cause; the first cause stays. A nil cause is
// an ordinary stop.
func (g *guard) fail(cause error) {
	g.mu.Lock()
	if g.stopped {
		g.mu.Unlock()
		return
	}
	g.stopped, g.cause = true, cause
	close(g.stopping)
	last := g.total == 0
	g.mu.Unlock()
	if last {
		g.finish()
	}
}

func (g *guard) finish() {
	g.ended()
	close(g.done)
}

func (g *guard) err() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.cause
}

// wait returns when everything has ended. If ctx ends first the error says what
// is still running.
func (g *guard) wait(ctx context.Context) error {
	select {
	case <-g.done:
		return nil
	default:
	}
	select {
	case <-g.done:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	var waiting []string
	for what, n := range g.running {
		if n > 0 {
			waiting = append(waiting, fmt.Sprintf("%d %s", n, what))
		}
	}
	slices.Sort(waiting)
	return fmt.Errorf("stop still waits for %s: %w", strings.Join(waiting, ", "), ctx.Err())
}

// stopped tells whether the server is asked to end or failed.
func (rf *Raft) stopped() bool {
	select {
	case <-rf.guard.stopping:
		return true
	default:
		return false
	}
}
