package rpc

import (
	"log/slog"
	"sync"
	"time"
)

// complaints logs what strangers do to the port, at most one line each
// complaintEvery for each kind, so that nobody can fill the disk with it.
type complaints struct {
	log *slog.Logger

	mu    sync.Mutex
	kinds map[string]*complaint // guarded by mu; the kinds are few and fixed
}

type complaint struct {
	last       time.Time
	suppressed int
}

const complaintEvery = 10 * time.Second

// about logs one line of a kind, which must be one of a fixed set.
func (cs *complaints) about(kind, remote string, err error) {
	cs.mu.Lock()
	if cs.kinds == nil {
		cs.kinds = map[string]*complaint{}
	}
	c := cs.kinds[kind]
	if c == nil {
		c = &complaint{}
		cs.kinds[kind] = c
	}
	now := time.Now()
	if !c.last.IsZero() && now.Sub(c.last) < complaintEvery {
		c.suppressed++
		cs.mu.Unlock()
		return
	}
	suppressed := c.suppressed
	c.last, c.suppressed = now, 0
	cs.mu.Unlock()
	cs.log.Warn("rpc: "+kind, "remote", remote, "error", err, "suppressed", suppressed)
}
