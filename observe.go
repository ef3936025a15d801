package raft

import (
	"log/slog"
	"sync"
)

// Event is something an observer hears of: RoleChanged, LeaderChanged or Fatal.
type Event interface{ event() }

// RoleChanged: this server has another role.
type RoleChanged struct {
	Role Role
	Term uint64
}

// LeaderChanged: this server follows another leader; empty for none.
type LeaderChanged struct {
	Leader ServerID
	Term   uint64
}

// Fatal is the last event of a server that stopped by itself.
type Fatal struct{ Err error }

func (RoleChanged) event()   {}
func (LeaderChanged) event() {}
func (Fatal) event()         {}

// observers hands out events. Its mutex is a leaf, and sending never blocks: an
// observer that does not keep up misses events, so it must treat each as a hint
// to look at Status.
type observers struct {
	mu       sync.Mutex
	closed   bool
	channels map[chan Event]struct{}
}

// Observe returns a channel of events with room for buffer of them, and a
// function that ends the observation. Events that find no room are dropped; the
// newest are kept back for nobody, so read Status after an event. The channel is
// closed by cancel, or when the server has ended.
func (rf *Raft) Observe(buffer int) (events <-chan Event, cancel func()) {
	c := make(chan Event, max(1, buffer))
	o := &rf.observers
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		close(c)
		return c, func() {}
	}
	if o.channels == nil {
		o.channels = map[chan Event]struct{}{}
	}
	o.channels[c] = struct{}{}
	return c, func() { o.remove(c) }
}

func (o *observers) remove(c chan Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ok := o.channels[c]; ok {
		delete(o.channels, c)
		close(c) // senders hold mu, so none is left
	}
}

func (o *observers) send(e Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for c := range o.channels {
		select {
		case c <- e:
		default:
		}
	}
}

// close tells the last event, if there was a failure, and ends all observations.
func (o *observers) close(cause error) {
	if cause != nil {
		o.send(Fatal{cause})
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	for c := range o.channels {
		close(c)
	}
	o.channels = nil
}

// logLine is a line for the logger, kept until the lock is released.
type logLine struct {
	level   slog.Level
	message string
	args    []any
}

// logLocked has a line logged after the unlock. rf.mu must be held.
func (rf *Raft) logLocked(level slog.Level, message string, args ...any) {
	args = append([]any{"server", rf.config.ID, "term", rf.currentTerm}, args...)
	rf.lines = append(rf.lines, logLine{level, "raft: " + message, args})
}
