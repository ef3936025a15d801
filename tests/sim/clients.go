package sim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"lockstep.example/raft/kv"
	"lockstep.example/raft/tests/history"
)

// Clients share keys in small crowds, so that an order of the operations of a
// key can be searched exhaustively.
const (
	crowds       = 3
	crowdClients = 5 // at most five at once on a key
	crowdKeys    = 24
	largeValue   = 48 << 10
	thinking     = 580 * time.Millisecond // at most, between two operations
	patience     = 8 * time.Second        // at most, for one operation
)

// attempts are how long clerks wait for one server. The quick ones have found a new
// leader while others still ask the old one.
var attempts = []time.Duration{time.Second, 250 * time.Millisecond, 80 * time.Millisecond}

// clients use the store all through a run.
type clients struct {
	s        *simulation
	history  *history.Recorder
	stopped  chan struct{}
	stopping sync.Once
	running  sync.WaitGroup
	clerks   []*kv.Clerk
}

func (s *simulation) startClients() *clients {
	c := &clients{s: s, history: history.New(), stopped: make(chan struct{})}
	for n := range crowds * crowdClients {
		clerk := s.cluster.Clerk(fmt.Sprint("c", n), kv.ClerkConfig{AttemptTimeout: attempts[n/crowds%len(attempts)]})
		c.clerks = append(c.clerks, clerk)
		c.running.Go(func() { c.run(n, c.history.Clerk(n, clerk)) })
	}
	s.cluster.T.Cleanup(c.stop)
	return c
}

// stop ends the clients, after the operation each is at. It may be called again.
func (c *clients) stop() {
	c.stopping.Do(func() { close(c.stopped) })
	c.running.Wait()
	for _, clerk := range c.clerks {
		clerk.Close()
	}
}

// run does one operation after another on the keys of a client's crowd. Of each
// key it remembers the revision it saw last, to swap by.
func (c *clients) run(n int, clerk *history.Clerk) {
	random := c.s.random
	seen := map[string]uint64{}
	for i := 0; ; i++ {
		select {
		case <-c.stopped:
			return
		case <-time.After(time.Duration(random(int(thinking)))):
		}
		key := fmt.Sprintf("crowd %d key %d", n%crowds, random(crowdKeys))
		value := fmt.Sprintf("%d.%d ", n, i)
		began := time.Now()
		limit := time.Second + time.Duration(random(int(patience)))
		if random(8) == 0 { // gives up between two attempts, as a user does
			limit = 20*time.Millisecond + time.Duration(random(int(time.Second)/2))
		}
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		kind, err := c.one(ctx, clerk, random(20), key, value, seen)
		cancel()
		c.s.report.operation(kind + " " + outcome(err))
		if took := time.Since(began); took > limit+lateness {
			c.s.cluster.Fail(fmt.Errorf("client %d: %s took %v, its deadline was %v: %w", n, kind, took, limit, err))
		}
	}
}

// lateness is by how much a call may overrun its deadline: by the paused server it
// runs on, at most.
const lateness = 50 * time.Millisecond

// one does one operation: which is drawn from twenty.
func (c *clients) one(ctx context.Context, clerk *history.Clerk, which int, key, value string, seen map[string]uint64) (kind string, err error) {
	var w kv.WriteResult
	switch {
	case which < 10:
		var r kv.GetResult
		if r, err = clerk.Get(ctx, key); err == nil {
			seen[key] = r.ModRevision
		}
		return "get", err
	case which < 15:
		kind = "put"
		if c.s.random(24) == 0 { // now and then a message holds one entry and not all there are
			value += strings.Repeat("x", c.s.random(largeValue))
		}
		w, err = clerk.Put(ctx, key, value)
	case which < 17:
		kind = "append"
		w, err = clerk.Append(ctx, key, value)
	case which < 18:
		kind = "delete"
		w, err = clerk.Delete(ctx, key)
	default:
		kind = "compare-and-swap"
		w, err = clerk.CompareAndSwap(ctx, key, value, seen[key])
	}
	if err == nil {
		seen[key] = w.ModRevision
	}
	return kind, err
}

func outcome(err error) string {
	switch {
	case err == nil:
		return "done"
	case errors.Is(err, kv.ErrUnknown):
		return "unknown"
	case errors.Is(err, kv.ErrConflict):
		return "conflict"
	}
	return "not executed"
}

// check judges the history.
func (s *simulation) check(c *clients) {
	report := c.history.Check(history.Steps)
	s.report.Histories, s.report.Checked = 1, c.history.Counts().Operations
	if err := report.Err(); err != nil {
		s.cluster.Fail(err)
	}
	// A history in which nothing was done is linearizable too.
	if s.report.Operations["get done"] == 0 || s.report.Operations["put done"] == 0 {
		s.cluster.Fail(fmt.Errorf("nothing was read or nothing written in %v: %v", s.elapsed(), s.report.Operations))
	}
}
