// Package load drives a system with closed-loop clients and measures what it
// costs: each client has one operation under way and begins the next when it
// ends.
package load

import (
	"cmp"
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Run says how to load.
type Run struct {
	Clients  int
	WarmUp   time.Duration // before anything is counted
	Duration time.Duration
	// Operation does one operation for a client, numbered from 0.
	Operation func(ctx context.Context, client int) error
	// Mark, if not nil, is called when counting begins and when it ends.
	Mark func()
}

// Result is what was measured.
type Result struct {
	Operations    uint64        // that succeeded
	Errors        uint64        // operations that failed; they count nowhere else
	FirstError    error         // nil if Errors is 0
	Elapsed       time.Duration // of the measured part
	P50, P95, P99 time.Duration
	CPU           time.Duration // user and system time of the whole process; 0 where it cannot be told
	Allocations   uint64        // in the whole process
}

// PerSecond returns operations per second.
func (r Result) PerSecond() float64 { return float64(r.Operations) / r.Elapsed.Seconds() }

// CPUPer100k returns CPU seconds per 100,000 operations.
func (r Result) CPUPer100k() float64 {
	if r.Operations == 0 {
		return 0
	}
	return r.CPU.Seconds() / float64(r.Operations) * 100_000
}

// AllocationsPer returns allocations per operation.
func (r Result) AllocationsPer() float64 {
	if r.Operations == 0 {
		return 0
	}
	return float64(r.Allocations) / float64(r.Operations)
}

// client is one closed loop.
type client struct {
	latency    histogram
	errors     uint64
	firstError error
}

// Do runs a load to its end, or until ctx ends. The clients start, warm up, and
// are counted between two marks that all of them see; what is under way at the
// second mark is finished and not counted.
func (r Run) Do(ctx context.Context) Result {
	clients := make([]client, r.Clients)
	var counting, stopped atomic.Bool
	var group sync.WaitGroup
	for i := range clients {
		group.Go(func() { clients[i].loop(ctx, r.Operation, i, &counting, &stopped) })
	}
	wait(ctx, r.WarmUp)
	runtime.GC() // so that each run starts with the same heap
	mark := r.Mark
	if mark == nil {
		mark = func() {}
	}
	mark()
	before, cpu, began := allocations(), processCPU(), time.Now()
	counting.Store(true)
	wait(ctx, r.Duration)
	counting.Store(false)
	result := Result{Elapsed: time.Since(began), CPU: processCPU() - cpu, Allocations: allocations() - before}
	mark()
	stopped.Store(true)
	group.Wait()

	var all histogram
	for i := range clients {
		all.merge(&clients[i].latency)
		result.Errors += clients[i].errors
		if result.FirstError == nil {
			result.FirstError = clients[i].firstError
		}
	}
	result.Operations = all.total
	result.P50, result.P95, result.P99 = all.quantile(0.50), all.quantile(0.95), all.quantile(0.99)
	return result
}

func (c *client) loop(ctx context.Context, operation func(context.Context, int) error, number int, counting, stopped *atomic.Bool) {
	for !stopped.Load() && ctx.Err() == nil {
		began := time.Now()
		err := operation(ctx, number)
		took := time.Since(began)
		counted := counting.Load()
		if err == nil {
			if counted {
				c.latency.add(took)
			}
			continue
		}
		if counted {
			c.errors++
			c.firstError = cmp.Or(c.firstError, err)
		}
		wait(ctx, time.Millisecond) // a refusal is quick: do not spin
	}
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func allocations() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}
