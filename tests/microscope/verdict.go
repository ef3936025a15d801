package microscope

import (
	"fmt"
	"runtime"
	"sync"
)

// verdict is the tests.T of one run. It keeps the first thing found wrong.
type verdict struct {
	cleanup []func()

	mu  sync.Mutex // guards the rest; a leaf
	err error
	log []string
}

func (v *verdict) fail(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.err == nil {
		v.err = fmt.Errorf(format, args...)
	}
}

func (v *verdict) Helper()                           {}
func (v *verdict) Errorf(format string, args ...any) { v.fail(format, args...) }
func (v *verdict) FailNow()                          { runtime.Goexit() }
func (v *verdict) Cleanup(f func())                  { v.cleanup = append(v.cleanup, f) }

func (v *verdict) Logf(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.log = append(v.log, fmt.Sprintf(format, args...))
}

func (v *verdict) Failed() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.err != nil
}

// end runs what was left for the end, the last first.
func (v *verdict) end() {
	for i := len(v.cleanup) - 1; i >= 0; i-- {
		v.cleanup[i]()
	}
}
