package tests

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

// Try runs one scenario and returns what is wrong with the servers, empty if they
// pass, without failing the test: it is for servers that are known to fail.
func Try(t *testing.T, maker Maker, s Scenario) (breach string) {
	synctest.Test(t, func(*testing.T) {
		r := &recorder{}
		played := make(chan struct{})
		go func() { // FailNow ends a goroutine
			defer close(played)
			s.play(r, maker, rand.Uint64())
		}()
		<-played
		for _, f := range slices.Backward(r.cleanups) { // as testing.T does
			f()
		}
		breach = r.first
	})
	return breach
}

// recorder is a T that remembers its first failure and fails nothing.
type recorder struct {
	mu       sync.Mutex // a leaf
	first    string
	cleanups []func()
}

// Helper implements T.
func (r *recorder) Helper() {}

// Logf implements T.
func (r *recorder) Logf(string, ...any) {}

// FailNow implements T: it ends the goroutine that calls it.
func (r *recorder) FailNow() { runtime.Goexit() }

// Cleanup implements T.
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

// Errorf implements T.
func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.first == "" {
		r.first = fmt.Sprintf(format, args...)
	}
}

// Failed implements T.
func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.first != ""
}
