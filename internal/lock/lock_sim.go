//go:build raftsim && !raftdebug

// Package lock names the mutex of the whole repository; see lock.go.
package lock

import (
	"math/rand/v2"
	"runtime"
	"sync"
)

// Debug tells whether the program was built with the tag raftdebug.
const Debug = false

// Mutex is a mutex for which one waits durably in the sense of testing/synctest,
// as one does not for a sync.Mutex: virtual time goes on while it is held, so that
// a test can hold a server still. It goes to any of those who wait, not to the
// one who came first: after a pause the world may go on in any order. And who is
// about to take it gives way now and then: under wasip1 the scheduler's own order
// hardly depends on chance.
type Mutex struct {
	state   sync.Mutex // a leaf, guards the rest
	held    bool
	waiting []chan struct{}
}

// Lock takes the mutex.
func (m *Mutex) Lock() {
	if rand.IntN(8) == 0 {
		runtime.Gosched()
	}
	m.state.Lock()
	if !m.held {
		m.held = true
		m.state.Unlock()
		return
	}
	mine := make(chan struct{})
	m.waiting = append(m.waiting, mine)
	m.state.Unlock()
	<-mine
}

// TryLock takes the mutex if nobody has it.
func (m *Mutex) TryLock() bool {
	m.state.Lock()
	defer m.state.Unlock()
	if m.held {
		return false
	}
	m.held = true
	return true
}

// Unlock gives the mutex to one of those who wait.
func (m *Mutex) Unlock() {
	m.state.Lock()
	defer m.state.Unlock()
	if !m.held {
		panic("lock: unlock of a mutex that is not locked")
	}
	n := len(m.waiting)
	if n == 0 {
		m.held = false
		return
	}
	i := rand.IntN(n)
	close(m.waiting[i])
	m.waiting[i] = m.waiting[n-1]
	m.waiting = m.waiting[:n-1]
}
