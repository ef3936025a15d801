//go:build raftsim && !raftdebug

// Package lock names the mutex of the whole repository; see lock.go.
package lock

import "sync"

// Debug tells whether the program was built with the tag raftdebug.
const Debug = false

// Mutex is a place that one goroutine can have. Waiting for it blocks durably in
// the sense of testing/synctest, as waiting for a sync.Mutex does not: virtual
// time goes on while it is held, so that a test can hold a server still.
type Mutex struct {
	once  sync.Once
	place chan struct{}
}

// Lock takes the place.
func (m *Mutex) Lock() {
	m.once.Do(func() { m.place = make(chan struct{}, 1) })
	m.place <- struct{}{}
}

// Unlock gives it back.
func (m *Mutex) Unlock() { <-m.place }

// TryLock takes the place if nobody has it.
func (m *Mutex) TryLock() bool {
	m.once.Do(func() { m.place = make(chan struct{}, 1) })
	select {
	case m.place <- struct{}{}:
		return true
	default:
		return false
	}
}
