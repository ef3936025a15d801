// Package failover kills the leader of a cluster of real processes again and
// again while clients write, measures how long writes are interrupted, and checks
// that nothing acknowledged was lost.
package failover

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"lockstep.example/raft/cmd/lockstep/internal/local"
	"lockstep.example/raft/kv"
	"lockstep.example/raft/rpc"
)

// Options says what to run. Cluster.Tell is taken over.
type Options struct {
	Cluster  local.Options
	Rounds   int
	Writers  int          // closed-loop clients of one Clerk; 0: 8
	Progress func(string) // hears what happens, in lines for people; nil: nobody
}

// Report is what was seen.
type Report struct {
	// Gaps has for each round the longest time in which no write was
	// acknowledged, from the kill to the next one.
	Gaps         []time.Duration
	Acknowledged uint64 // writes
	Unknown      uint64 // writes whose outcome nobody could tell
	Refused      uint64 // writes that certainly did not happen
	Hash         uint64 // of the state, the same on every server
}

// ErrLost says that the cluster broke its promise.
var ErrLost = errors.New("the cluster broke its promise")

const (
	settleTimeout = 30 * time.Second
	settleTime    = 300 * time.Millisecond // of undisturbed writing before each kill
	pollInterval  = 20 * time.Millisecond
)

// run is one run of Run.
type run struct {
	options Options
	cluster *local.Cluster
	client  *rpc.Client
	clerk   *kv.Clerk
	acks    acks
	writers []*writer
}

// Run starts a cluster, has it written to while its leader is killed once a
// round, and verifies the outcome. The error is ErrLost if an acknowledged write
// is missing, a refused one is there, or two servers end in different states.
func Run(ctx context.Context, o Options) (report Report, err error) {
	if o.Writers <= 0 {
		o.Writers = 8
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	r := &run{options: o}
	o.Cluster.Tell = r.tell
	if r.cluster, err = local.Open(o.Cluster); err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, r.cluster.Stop()) }()
	r.client = rpc.NewClient(rpc.ClientConfig{})
	defer r.client.Close()
	r.clerk, err = kv.NewClerk(kv.ClerkConfig{Servers: local.Addresses(r.cluster.Members), Caller: r.client})
	if err != nil {
		return report, err
	}
	defer r.clerk.Close()

	writing, stop := context.WithCancel(ctx)
	var group sync.WaitGroup
	for i := range o.Writers {
		w := &writer{prefix: fmt.Sprintf("writer%02d/", i), clerk: r.clerk, acks: &r.acks}
		r.writers = append(r.writers, w)
		group.Go(func() { w.run(writing) })
	}
	for round := range o.Rounds {
		gap, failed := r.round(ctx, round+1)
		if failed != nil {
			err = failed
			break
		}
		report.Gaps = append(report.Gaps, gap)
	}
	stop()
	group.Wait()
	for _, w := range r.writers {
		report.Acknowledged += w.next - uint64(len(w.unknown)+len(w.refused))
		report.Unknown += uint64(len(w.unknown))
		report.Refused += uint64(len(w.refused))
	}
	if err != nil {
		return report, err
	}
	r.options.Progress("verifying")
	report.Hash, err = r.verify(ctx)
	return report, err
}

func (r *run) tell(e local.Event) {
	switch e := e.(type) {
	case local.Exited:
		r.options.Progress(fmt.Sprintf("%s died: %s", e.ID, e.Cause))
	case local.Leader:
		if e.ID != "" {
			r.options.Progress(fmt.Sprintf("%s leads, in term %d", e.ID, e.Term))
		}
	}
}

// round kills the leader of a cluster that is whole, waits until it is whole
// again, and returns the longest time without an acknowledgement in between.
func (r *run) round(ctx context.Context, number int) (time.Duration, error) {
	leader, err := r.settle(ctx)
	if err != nil {
		return 0, fmt.Errorf("before kill %d: %w", number, err)
	}
	before := r.acks.count()
	r.acks.beginGap()
	if r.cluster.Kill(leader.id) == 0 {
		return 0, fmt.Errorf("kill %d: the leader %s was down already", number, leader.id)
	}
	if _, err := r.settle(ctx); err != nil {
		return 0, fmt.Errorf("after kill %d: %w", number, err)
	}
	gap := r.acks.longestGap()
	r.options.Progress(fmt.Sprintf("round %d: killed %s; writes interrupted for %v; %d acknowledged meanwhile",
		number, leader.id, gap.Round(time.Millisecond), r.acks.count()-before))
	return gap, nil
}
