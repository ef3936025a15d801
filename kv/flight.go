package kv

import (
	"fmt"
	"sync"
)

// flight counts the requests a server works on, and bounds them. Its mutex is a
// leaf.
type flight struct {
	// immutable
	maxRequests, maxBytes int
	idle                  chan struct{} // closed once stopped and empty

	mu sync.Mutex
	// guarded by mu
	requests, bytes int
	stopped         bool
}

// enter admits a request of so many bytes, or says why not. One request always
// fits in bytes.
func (f *flight) enter(bytes int) (Code, string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.stopped:
		return CodeStopped, "the server is stopping; ask another one"
	case f.requests >= f.maxRequests:
		return CodeOverloaded, fmt.Sprintf("%d requests are under way, the limit; try again after a pause", f.requests)
	case f.requests > 0 && f.bytes+bytes > f.maxBytes:
		return CodeOverloaded, fmt.Sprintf("requests of %d bytes are under way, the limit is %d; try again after a pause", f.bytes, f.maxBytes)
	}
	f.requests++
	f.bytes += bytes
	return CodeOK, ""
}

func (f *flight) leave(bytes int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests--
	f.bytes -= bytes
	if f.stopped && f.requests == 0 {
		close(f.idle)
	}
}

// stop admits nothing more. It may be called again.
func (f *flight) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.stopped && f.requests == 0 {
		close(f.idle)
	}
	f.stopped = true
}

func (f *flight) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests
}
