package script

import (
	"context"
	"fmt"
	"sync"
	"testing/synctest"
	"time"

	"lockstep.example/raft/labrpc"
	"lockstep.example/raft/tests"
)

// run is one run of a script.
type run struct {
	t       tests.T
	adapter Adapter
	order   []int
	c       *tests.Cluster
	w       *world
	stubs   map[int]*labrpc.Endpoint // of servers that are down and that the script speaks for
	holds   []namedHold
	told    []string // by the command that runs: its own report
	calls   sync.WaitGroup
	ctx     context.Context
}

type namedHold struct {
	name string
	*labrpc.Hold
}

// Run runs a script in the synctest bubble of the caller, and returns the
// transcript of each block. An error is of type *Error, and tells what command
// could not be run.
func (s *Script) Run(t tests.T, adapter Adapter) ([][]string, error) {
	ctx, cancel := context.WithCancel(context.Background())
	r := &run{t: t, adapter: adapter, order: s.timeouts(), stubs: map[int]*labrpc.Endpoint{}, ctx: ctx}
	t.Cleanup(func() {
		cancel()
		r.calls.Wait()
	})
	var transcripts [][]string
	for _, b := range s.blocks {
		var told []string
		for _, c := range b.commands {
			r.told = nil
			if err := verbs[c.name].run(r, c.args); err != nil {
				return nil, &Error{s.File, c.line, err.Error()}
			}
			synctest.Wait()
			told = append(append(told, r.told...), r.w.story.take()...)
		}
		transcripts = append(transcripts, told)
	}
	return transcripts, nil
}

func (r *run) report(format string, args ...any) {
	r.told = append(r.told, fmt.Sprintf(format, args...))
}

// nodes starts the servers. Nothing else happens before the script says so: the
// first election deadline is half a second away.
func (r *run) nodes(n int) {
	r.w = newWorld(r.adapter, n, r.order)
	r.c = tests.NewCluster(r.t, n, 1, r.w.maker)
	r.t.Cleanup(r.w.close) // before the cluster's own cleanup
	r.c.Net.SetConditions(labrpc.Conditions{
		Latency:  labrpc.Range{Min: time.Millisecond, Max: time.Millisecond},
		LossSeen: labrpc.Hidden, CutSeen: labrpc.Hidden,
	})
	r.c.Net.SetDelay(r.w.delay)
	r.c.Net.Trace(r.w.message)
}

// tick is how finely a script divides time.
const tick = time.Millisecond

// pass lets time pass until done says so; false if that takes longer than limit.
func (r *run) pass(limit time.Duration, done func() bool) bool {
	synctest.Wait()
	for began := time.Now(); !done(); {
		if time.Since(began) >= limit {
			return false
		}
		time.Sleep(tick)
		synctest.Wait()
	}
	return true
}

const (
	quiet       = 60 * time.Millisecond // a cluster in which so long nothing but heartbeats happened has settled
	settleLimit = 2 * time.Second
)

func (r *run) settle() error {
	r.w.story.stir()
	if !r.pass(settleLimit, func() bool { return r.w.story.quietFor() >= quiet }) {
		return fmt.Errorf("after %v the servers still have something to say to one another; wait says how long to look at them", settleLimit)
	}
	return nil
}

// timeout lets time pass until the election timer of a server fires.
func (r *run) timeout(i int) error {
	if _, leads := r.c.Server(i).State(); leads {
		return fmt.Errorf("server %d leads: it has no election timer", i+1)
	}
	fired := r.w.await(r.w.servers[i])
	if !r.pass(2*tests.ElectionTimeout, fired) {
		return fmt.Errorf("the election timer of server %d has not fired within %v: it hears a leader", i+1, 2*tests.ElectionTimeout)
	}
	return nil
}
