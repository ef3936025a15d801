package kvlab

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// lab4A are the labs' scenarios for a replicated state machine: a counter.
var lab4A = []scenario{
	{"Basic", []int{3, 5, 7}, rsmBasic},
	{"Concurrent", []int{3, 5, 7}, rsmConcurrent},
	{"LeaderFailure", []int{3, 5, 7}, rsmLeaderFailure},
	{"LeaderPartition", []int{3, 5, 7}, rsmLeaderPartition},
	{"RestartReplay", []int{3, 5, 7}, rsmRestartReplay},
	{"Shutdown", []int{3, 5, 7}, rsmShutdown},
	{"RestartSubmit", []int{3, 5, 7}, rsmRestartSubmit},
}

// The figures of the labs.
const (
	electionTimeout = time.Second
	submitPatience  = 2 * time.Second  // for one server to answer
	incPatience     = 10 * time.Second // for any
	pending         = 100              // submissions under way at a crash
	killPatience    = 11 * time.Second // for them to end
	slowFlush       = 20 * time.Millisecond
)

// counter is the machine: "inc 17" and "dec 17" change it by one, "null 17" does
// not; the number only tells requests apart. The response is the value after it,
// and the request.
type counter struct {
	mu    sync.Mutex // a leaf
	value int
	done  map[string]int
}

// Do implements Machine.
func (c *counter) Do(request []byte) (response []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch what, _, _ := strings.Cut(string(request), " "); what {
	case "inc":
		c.value++
	case "dec":
		c.value--
	}
	if c.done == nil {
		c.done = map[string]int{}
	}
	c.done[string(request)]++
	return fmt.Appendf(nil, "%d after %s", c.value, request)
}

func (w *world) counter(i int) *counter {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counters[w.ID(i)]
}

// request makes one that was never made before.
func (w *world) request(what string) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests++
	return fmt.Appendf(nil, "%s %d", what, w.requests)
}

// submit has one server do a request, and checks that the response is the one to
// it. ok is false if the server did not.
func (w *world) submit(i int, request []byte, patience time.Duration) (value int, ok bool, err error) {
	s, up := w.Server(i).(Submitter)
	if !up {
		return 0, false, nil
	}
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	response, err := s.Submit(ctx, request)
	if err != nil {
		return 0, false, err
	}
	number, of, _ := strings.Cut(string(response), " after ")
	value, bad := strconv.Atoi(number)
	if bad != nil || of != string(request) {
		w.Fail(fmt.Errorf("%s answered %q to %q: it belongs to another request", w.ID(i), response, request))
	}
	return value, true, nil
}

// inc raises the counter through any connected server of some, none meaning all,
// and returns its value, or an error after ten seconds.
func (w *world) inc(servers ...int) (value int, err error) {
	if len(servers) == 0 {
		for i := range w.N {
			servers = append(servers, i)
		}
	}
	first := w.Random(w.N)
	for began := time.Now(); time.Since(began) < incPatience; time.Sleep(50 * time.Millisecond) {
		for k := range servers {
			i := servers[(first+k)%len(servers)]
			if !w.Connected(i) {
				continue
			}
			if value, ok, _ := w.submit(i, w.request("inc"), submitPatience); ok {
				return value, nil
			}
		}
	}
	return 0, fmt.Errorf("no server did an increment within %v", incPatience)
}

// mustInc fails the test if the counter is then not what it must be.
func (w *world) mustInc(want int, servers ...int) {
	w.T.Helper()
	got, err := w.inc(servers...)
	if err != nil {
		w.fatal("%w", err)
	}
	if got != want {
		w.fatal("the counter is %d after an inc, expected %d", got, want)
	}
}

// counted fails the test unless the counters of at least n servers that run are
// soon at value, and none is above. No request was ever done twice.
func (w *world) counted(value, n int) {
	w.T.Helper()
	var values []int
	for pause := 10 * time.Millisecond; pause < 3*time.Second; pause *= 2 {
		w.Sleep(pause)
		there := 0
		values = values[:0]
		for i := range w.N {
			c := w.counter(i)
			c.mu.Lock()
			values = append(values, c.value)
			for request, times := range c.done {
				if times > 1 {
					w.Fail(fmt.Errorf("%s did %q %d times", w.ID(i), request, times))
				}
			}
			c.mu.Unlock()
			if values[i] == value {
				there++
			}
		}
		w.stopIfFailed()
		if there >= n {
			return
		}
	}
	w.fatal("the counters are at %v, expected %d on %d servers", values, value, n)
}

// neverDone fails the test if a server's machine has done a request.
func (w *world) neverDone(request []byte, why string) {
	w.T.Helper()
	for i := range w.N {
		c := w.counter(i)
		c.mu.Lock()
		times := c.done[string(request)]
		c.mu.Unlock()
		if times > 0 {
			w.fatal("%s did %q, %s", w.ID(i), request, why)
		}
	}
}

// rsmBasic: increments one after the other count one each.
func rsmBasic(w *world) {
	for i := range 10 {
		w.mustInc(i + 1)
		w.counted(i+1, w.N)
	}
}

// incs has n increments submitted at once.
func (w *world) incs(n int) {
	w.T.Helper()
	var all sync.WaitGroup
	for range n {
		w.run(&all, func() {
			if _, err := w.inc(); err != nil {
				w.Fail(err)
			}
		})
	}
	all.Wait()
	w.stopIfFailed()
}

// rsmConcurrent: so do fifty at once.
func rsmConcurrent(w *world) {
	w.incs(50)
	w.counted(50, w.N)
}

// rsmLeaderFailure: the others go on without their leader, and it catches up.
func rsmLeaderFailure(w *world) {
	const incs = 10
	w.mustInc(1)
	w.counted(1, w.N)
	leader := w.Leader()
	w.Disconnect(leader)
	for i := range incs {
		w.mustInc(2 + i)
	}
	w.counted(1+incs, w.N-1)
	w.Connect(leader)
	w.counted(1+incs, w.N)
}

// rsmLeaderPartition: a hundred decrements submitted to a leader in a minority are
// never done, and all submitters hear of it soon after the network is mended.
func rsmLeaderPartition(w *world) {
	w.mustInc(1)
	w.counted(1, w.N)
	leader := w.Leader()
	cut := w.minority(leader)
	w.splitOff(cut)
	var submits sync.WaitGroup
	requests := make([][]byte, pending)
	for i := range requests {
		requests[i] = w.request("dec")
		w.run(&submits, func() {
			if value, ok, _ := w.submit(leader, requests[i], time.Minute); ok {
				w.Fail(fmt.Errorf("%s did %q (the counter is %d) without a quorum", w.ID(leader), requests[i], value))
			}
		})
	}
	w.Sleep(10 * time.Millisecond)
	var majority []int
	for i := range w.N {
		if !cut[i] {
			majority = append(majority, i)
		}
	}
	w.mustInc(2, majority...)
	w.Sleep(electionTimeout)
	w.mend()
	// The labs' limit: all have returned a second after the network was mended.
	w.within(time.Second, "the submissions to the old leader", ended(&submits))
	for _, request := range requests {
		w.neverDone(request, "submitted to a leader that had lost its quorum")
	}
	w.mustInc(3)
	w.counted(3, w.N)
}

func ended(group *sync.WaitGroup) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	return done
}

// rsmRestartReplay: after a crash of all the machines do again what was done.
func rsmRestartReplay(w *world) {
	const incs = 100
	for i := range incs {
		w.mustInc(i + 1)
	}
	w.counted(incs, w.N)
	w.crashAll(time.Second)
	w.mustInc(incs + 1)
	w.counted(incs+1, w.N)
}

// submitAndCrash crashes all servers while a hundred requests are under way at
// the leader, some of them flushed here and not there: each call must end.
func (w *world) submitAndCrash() {
	w.T.Helper()
	leader := w.Leader()
	w.SetFlushTime(time.Millisecond, slowFlush)
	defer w.SetFlushTime(0, 0) // as usual
	var submits sync.WaitGroup
	var mu sync.Mutex
	var never [][]byte
	for range pending {
		w.run(&submits, func() {
			request := w.request("null")
			if _, _, err := w.submit(leader, request, time.Minute); errors.Is(err, ErrNotExecuted) {
				mu.Lock()
				defer mu.Unlock()
				never = append(never, request)
			}
		})
	}
	w.Sleep(time.Duration(w.Random(int(slowFlush))))
	var all []int
	for i := range w.N {
		all = append(all, i)
	}
	w.Crash(all...)
	w.within(killPatience, "the submissions to a server that crashed", ended(&submits))
	for i := range w.N {
		w.Start(i)
	}
	w.incs(1)
	for _, request := range never {
		w.neverDone(request, "which it had refused")
	}
}

// rsmShutdown: submissions end when their server does.
func rsmShutdown(w *world) {
	for i := range 5 {
		w.mustInc(2*i + 1)
		w.submitAndCrash()
		w.counted(2*i+2, w.N)
	}
}

// rsmRestartSubmit: entries that lay in the log at a crash are done after it, and
// their responses go to nobody who submits then.
func rsmRestartSubmit(w *world) {
	const incs = 100
	for i := range incs {
		w.mustInc(i + 1)
	}
	w.counted(incs, w.N)
	w.crashAll(electionTimeout)
	w.mustInc(incs + 1)
	for range 3 {
		w.submitAndCrash()
	}
	w.counted(incs+4, w.N)
	w.incs(pending)
	w.counted(incs+4+pending, w.N)
}
