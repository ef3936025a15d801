package kv

import (
	"sync"
	"time"
)

// avoidFor is how long a server that could not be reached is not gone to on the
// word of another one. A dead leader is named by its followers until they notice.
const avoidFor = time.Second

// targets chooses the server to ask. It sticks to the one that worked last, or to
// the leader it was told of; when that one fails it goes round the list. Its mutex
// is a leaf.
type targets struct {
	servers []string // immutable

	mu sync.Mutex
	// guarded by mu
	at         int    // in servers: whom to ask while no leader is known
	leader     string // whom to ask first; may be none of servers; empty: not known
	avoid      string // the latest server that could not be reached
	avoidUntil time.Time
}

func newTargets(servers []string, draw uint64) *targets {
	return &targets{servers: append([]string(nil), servers...), at: int(draw % uint64(len(servers)))}
}

func (t *targets) pick() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.pickLocked()
}

func (t *targets) pickLocked() string {
	if t.leader != "" {
		return t.leader
	}
	return t.servers[t.at]
}

// worked notes that target did what it was asked; leader, if not empty, is whom it
// passed the request on to.
func (t *targets) worked(target, leader string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if leader == "" {
		leader = target
	}
	if leader == target || !t.avoidedLocked(leader) {
		t.leader = leader
	}
}

// failed notes that target did not answer (answered false), or that it refused
// and named leader, or nobody. It reports whether there is a new leader to ask at
// once. Of many operations that fail at the same target only the first moves on.
func (t *targets) failed(target string, answered bool, leader string) (follow bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !answered {
		t.avoid, t.avoidUntil = target, time.Now().Add(avoidFor)
	}
	moved := t.pickLocked() != target
	if !moved {
		t.leader = ""
		t.at = (t.at + 1) % len(t.servers)
		if t.servers[t.at] == target {
			t.at = (t.at + 1) % len(t.servers)
		}
	}
	if leader == "" || leader == target || t.avoidedLocked(leader) {
		return false
	}
	follow = t.leader != leader || moved
	t.leader = leader
	return follow
}

func (t *targets) avoidedLocked(server string) bool {
	return server == t.avoid && time.Now().Before(t.avoidUntil)
}
