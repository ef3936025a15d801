//go:build raftsim

package sim

import "time"

// canFreeze: this build can hold a server still, as SIGSTOP does.
const canFreeze = true

// freeze holds the server for d, unless it crashes before.
func (h *host) freeze(d time.Duration) {
	h.mu.Lock()
	l := h.life
	still := l != nil && l.thaw != nil
	h.mu.Unlock()
	if l == nil || still {
		return
	}
	thaw := l.server.Raft().Freeze()
	h.mu.Lock()
	defer h.mu.Unlock()
	timer := time.AfterFunc(d, h.thaw)
	l.thaw = func() {
		timer.Stop()
		thaw()
	}
}
