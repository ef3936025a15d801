package local

import (
	"time"

	"lockstep.example/raft"
	"lockstep.example/raft/cmd/lockstep/internal/node"
	"lockstep.example/raft/rpc"
)

const (
	watchInterval = 200 * time.Millisecond
	// leaderlessPatience keeps a moment without a leader quiet, such as the one
	// after a start.
	leaderlessPatience = time.Second
)

// watchLeader asks every server who it is, again and again, and tells when the
// leader changes.
func (c *Cluster) watchLeader() {
	client := rpc.NewClient(rpc.ClientConfig{})
	defer client.Close()
	told, seen := Leader{}, time.Now()
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		var now Leader
		if s, ok := node.Leader(node.Statuses(c.stopping, client, Addresses(c.Members), time.Second)); ok {
			now, seen = Leader{raft.ServerID(s.ID), s.Term}, time.Now()
		}
		if c.stopping.Err() == nil && now != told && (now.ID != "" || told.ID != "" && time.Since(seen) > leaderlessPatience) {
			told = now
			c.tell(now)
		}
		select {
		case <-ticker.C:
		case <-c.stopping.Done():
			return
		}
	}
}
