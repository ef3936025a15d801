//go:build !raftdebug && !raftsim

// Package lock names the mutex of the whole repository. In production it is
// sync.Mutex itself, at no cost; under the build tag raftdebug it is a mutex
// that reports lock-order inversions and locks held too long.
package lock

import "sync"

// Debug tells whether the program was built with the tag raftdebug.
const Debug = false

// Mutex guards one layer of the lock order that doc.go of the root package
// gives.
type Mutex = sync.Mutex
