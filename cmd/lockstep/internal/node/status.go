package node

import (
	"context"
	"sync"
	"time"

	"lockstep.example/raft"
	"lockstep.example/raft/kv"
)

// Status is what the server at an address says of itself, or why it does not.
type Status struct {
	Address string
	kv.StatusReply
	Err error
}

// Statuses asks the servers at the given addresses, all at once, and waits for
// each of them at most for the timeout. The order is that of addresses.
func Statuses(ctx context.Context, caller kv.Caller, addresses []string, timeout time.Duration) []Status {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	statuses := make([]Status, len(addresses))
	var group sync.WaitGroup
	for i, address := range addresses {
		group.Go(func() {
			s := &statuses[i]
			s.Address = address
			s.Err = caller.Call(ctx, address, kv.MethodStatus, &kv.StatusRequest{}, &s.StatusReply)
		})
	}
	group.Wait()
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
