//go:build raftdebug

// Package lock names the mutex of the whole repository; see lock.go.
package lock

import (
	"fmt"
	"os"

	"github.com/sasha-s/go-deadlock"
)

// Debug tells whether the program was built with the tag raftdebug.
const Debug = true

// Mutex is a mutex that watches the order in which locks are taken.
type Mutex = deadlock.Mutex

func init() {
	// Pooled timers must not cross from one synctest bubble into another.
	deadlock.Opts.TimerPool = deadlock.TimerPoolDisabled
	deadlock.Opts.LogBuf = os.Stderr
	deadlock.Opts.OnPotentialDeadlock = func() {
		panic(fmt.Sprint("potential deadlock; the locks involved are told above"))
	}
}
