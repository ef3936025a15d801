package rpc

import (
	"context"
	"fmt"
	"time"
)

var errDeadline = fmt.Errorf("no answer by the deadline: %w", context.DeadlineExceeded)

// watch ends calls that nothing else ends: those that could not be queued, those
// whose deadline passed, and in the end all. One timer serves the whole line: it
// is set to the earliest deadline known when it was set, and as deadlines mostly
// grow, most calls never touch it.
func (l *line) watch() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-l.check:
		case <-timer.C:
		case <-l.ctx.Done():
			l.endAll()
			return
		}
		l.mu.Lock()
		failed := l.failed
		l.failed = nil
		l.mu.Unlock()
		for _, f := range failed {
			l.end(f.c, f.err)
		}
		l.sweep(time.Now())
		l.mu.Lock()
		next := time.Hour
		if !l.sweepAt.IsZero() {
			next = max(time.Until(l.sweepAt), 0)
		}
		l.mu.Unlock()
		timer.Reset(next)
	}
}

// sweep ends the calls whose deadline has passed, gives up a sick connection, and
// plans the next sweep.
func (l *line) sweep(now time.Time) {
	l.mu.Lock()
	if l.sweepAt.IsZero() || l.sweepAt.After(now) {
		l.mu.Unlock()
		return
	}
	l.sweepAt = time.Time{}
	var late []*call
	for c := range l.open {
		if c.deadline.IsZero() {
			continue
		}
		if c.deadline.After(now) {
			l.sweepByLocked(c.deadline)
		} else {
			late = append(late, c)
		}
	}
	k := l.link
	l.mu.Unlock()
	for _, c := range late {
		l.end(c, errDeadline)
	}
	if k == nil {
		return
	}
	again, reason := k.sick(now)
	if reason != nil {
		k.c.close(reason)
		return
	}
	l.mu.Lock()
	l.sweepByLocked(again)
	l.mu.Unlock()
}

// endAll ends every call that is left. The line has stopped, so none is added.
func (l *line) endAll() {
	l.mu.Lock()
	var left []*call
	for c := range l.open {
		left = append(left, c)
	}
	l.mu.Unlock()
	for _, c := range left {
		l.end(c, ErrClosed)
	}
}
