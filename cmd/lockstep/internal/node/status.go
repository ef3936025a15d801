package node

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"lockstep.example/raft"
	"lockstep.example/raft/kv"
)

// Status is what the server at an address says of itself, or why it does not.
type Status struct {
	Address string
	kv.StatusReply
	Err error
}

// askAtOnce bounds the servers that are asked at the same time.
const askAtOnce = 32

// Statuses asks the servers at the given addresses, at the same time, and waits
// for all of them at most for the timeout. The order is that of addresses.
func Statuses(ctx context.Context, caller kv.Caller, addresses []string, timeout time.Duration) []Status {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	statuses := make([]Status, len(addresses))
	var group errgroup.Group
	group.SetLimit(askAtOnce)
	for i, address := range addresses {
		group.Go(func() error {
			s := &statuses[i]
			s.Address = address
			s.Err = caller.Call(ctx, address, kv.MethodStatus, &kv.StatusRequest{}, &s.StatusReply)
			return nil // one that does not answer says nothing about the others
		})
	}
	_ = group.Wait() // never fails
	return statuses
}

// Leader returns the leader among servers. Several may say that they lead, each in
// a term of its own; the highest term is right, for a server that was deposed may
// not know it yet.
func Leader(statuses []Status) (leader Status, ok bool) {
	for _, s := range statuses {
		if s.Err == nil && s.Role == raft.Leader.String() && (!ok || s.Term > leader.Term) {
			leader, ok = s, true
		}
	}
	return leader, ok
}
