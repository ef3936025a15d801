package rpc

import (
	"sync"

	"lockstep.example/raft"
)

// sightings remembers what was last seen of each other server, to tell Raft when
// one went away or came back as another process, and to refuse a clone.
type sightings struct {
	mu sync.Mutex
	// guarded by mu
	known   map[raft.ServerID]*sighting
	reports []report
	wake    chan struct{} // cap 1: there are reports; immutable
}

type sighting struct {
	bootCounter uint64
	bootID      [16]byte
	connections int // open, to and from it
}

type report struct {
	id     raft.ServerID
	reason raft.DownReason
}

// Servers come and go over the years, so the ones without a connection are
// forgotten beyond maxKnown. Reports beyond maxReports are dropped: a handler
// that slow has missed its moment.
const (
	maxKnown   = 256
	maxReports = 1024
)

func newSightings() *sightings {
	return &sightings{known: map[raft.ServerID]*sighting{}, wake: make(chan struct{}, 1)}
}

// opened records a connection with the server that g came from, and refuses a
// clone: with a boot counter, no two processes of one data directory have the
// same, and a lower one is an older start, or an older copy, of the directory.
// After success the caller calls closed once.
func (ss *sightings) opened(g greeting) error {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	id := raft.ServerID(g.sender)
	s := ss.known[id]
	if s == nil {
		if len(ss.known) >= maxKnown && !ss.forgetOneLocked() {
			return refuse(ErrBusy, "%d servers are connected", len(ss.known))
		}
		ss.known[id] = &sighting{g.bootCounter, g.bootID, 1}
		return nil
	}
	if s.bootID != g.bootID {
		if g.bootCounter != 0 && g.bootCounter <= s.bootCounter {
			return refuse(ErrClone, "%s says it is start number %d of its data directory, but another process was start number %d: "+
				"two servers run on copies of one directory, or an old copy was restored; stop it", id, g.bootCounter, s.bootCounter)
		}
		s.bootCounter, s.bootID = g.bootCounter, g.bootID
		ss.reportLocked(id, raft.DownRestarted)
	}
	s.connections++
	return nil
}

// forgetOneLocked makes room; false if every known server is connected.
func (ss *sightings) forgetOneLocked() bool {
	for id, s := range ss.known {
		if s.connections == 0 {
			delete(ss.known, id)
			return true
		}
	}
	return false
}

// closed records the end of a connection that opened recorded.
func (ss *sightings) closed(sender string) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	id := raft.ServerID(sender)
	s := ss.known[id]
	if s.connections--; s.connections == 0 {
		ss.reportLocked(id, raft.DownClosed)
	}
}

func (ss *sightings) reportLocked(id raft.ServerID, reason raft.DownReason) {
	if len(ss.reports) < maxReports {
		ss.reports = append(ss.reports, report{id, reason})
		notify(ss.wake)
	}
}

// take returns the reports since the last call, in order.
func (ss *sightings) take() []report {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	reports := ss.reports
	ss.reports = nil
	return reports
}
