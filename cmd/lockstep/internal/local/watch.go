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
	// leaderlessNote is when the lack of a leader is told of first; it is told
	// again after twice the time, and so on up to once in maxLeaderlessNote.
	leaderlessNote    = 3 * time.Second
	maxLeaderlessNote = time.Minute
)

// watchLeader asks every server who it is, again and again, and tells when the
// leader changes, or that there is none.
func (c *Cluster) watchLeader() {
	client := rpc.NewClient(rpc.ClientConfig{})
	defer client.Close()
	told, seen, note := Leader{}, time.Now(), leaderlessNote
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		var now Leader
		statuses := node.Statuses(c.stopping, client, Addresses(c.Members), time.Second)
		if s, ok := node.Leader(statuses); ok {
			now, seen, note = Leader{raft.ServerID(s.ID), s.Term}, time.Now(), leaderlessNote
		}
		if c.stopping.Err() == nil && now != told && (now.ID != "" || told.ID != "" && time.Since(seen) > leaderlessPatience) {
			told = now
			c.tell(now)
		}
		if c.stopping.Err() == nil && time.Since(seen) > note {
			note += min(note, maxLeaderlessNote)
			c.tell(c.leaderless(statuses))
		}
		select {
		case <-ticker.C:
		case <-c.stopping.Done():
			return
		}
	}
}

// leaderless counts who answers, and names a server whose log is worth a look:
// the first that does not.
func (c *Cluster) leaderless(statuses []node.Status) Leaderless {
	e := Leaderless{Servers: len(statuses)}
	for i, s := range statuses {
		switch {
		case s.Err == nil:
			e.Answers++
		case e.See == "":
			e.See = c.Members[i].ID
		}
	}
	if e.See == "" {
		e.See = c.Members[0].ID
	}
	return e
}
