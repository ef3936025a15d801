package failover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lockstep.example/raft"
	"lockstep.example/raft/cmd/lockstep/internal/local"
	"lockstep.example/raft/cmd/lockstep/internal/node"
)

// leader is who leads a settled cluster.
type leader struct {
	id   raft.ServerID
	term uint64
}

// settle waits until the cluster is whole: every server answers, is ready and has
// applied what was committed when the wait began, one leads, and writes have been
// acknowledged for a while under that leader.
func (r *run) settle(ctx context.Context) (leader, error) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	var goal uint64
	var whole leader
	var since time.Time
	for {
		statuses := node.Statuses(ctx, r.client, local.Addresses(r.cluster.Members), time.Second)
		if goal == 0 {
			goal = committed(statuses)
		}
		now, missing := check(statuses, goal)
		if missing != "" || now != whole {
			whole, since = now, time.Now()
			r.acks.reset()
		}
		if missing == "" && time.Since(since) > settleTime && r.acks.sinceReset() > 0 {
			return whole, nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return leader{}, fmt.Errorf("interrupted: %w", context.Cause(ctx))
			}
			return leader{}, fmt.Errorf("the cluster is not whole after %v: %s", settleTimeout, missing)
		}
	}
}

// check says what keeps a cluster from being whole; "" if nothing does.
func check(statuses []node.Status, goal uint64) (leader, string) {
	for _, s := range statuses {
		switch {
		case s.Err != nil:
			return leader{}, fmt.Sprintf("%s does not answer: %v", s.Address, s.Err)
		case !s.Ready:
			return leader{}, fmt.Sprintf("%s is not ready: %s", s.ID, s.Why)
		case s.LastApplied < goal:
			return leader{}, fmt.Sprintf("%s has applied %d entries of %d", s.ID, s.LastApplied, goal)
		}
	}
	l, ok := node.Leader(statuses)
	if !ok {
		return leader{}, "no server leads"
	}
	return leader{raft.ServerID(l.ID), l.Term}, ""
}

func committed(statuses []node.Status) (index uint64) {
	for _, s := range statuses {
		index = max(index, s.CommitIndex)
	}
	return index
}
