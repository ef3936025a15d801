package raft

import (
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"
)

// MemoryPersister is a Persister without a disk, for tests and for clusters that
// may forget everything. It is honest about crashes: what was staged and not
// flushed can be lost, in whole or from any point on.
type MemoryPersister struct {
	mu      sync.Mutex // a leaf
	durable memoryState
	staged  []Stage // not flushed, oldest first
	end     Position
	crashed bool
	latency func() time.Duration
}

// memoryState is what a crash cannot take.
type memoryState struct {
	identity Identity
	hard     HardState
	entries  [][]byte // encoded, one each; index i+1
	commit   uint64
	position Position
}

var errCrashed = errors.New("the process that owned this store crashed")

// NewMemoryPersister returns an empty store. latency, if not nil, is called for
// each Flush and says how long it takes.
func NewMemoryPersister(latency func() time.Duration) *MemoryPersister {
	return &MemoryPersister{latency: latency}
}

// Crash ends this store as a power loss would and returns the one that the next
// start finds: everything flushed, and of the stages that were not, as many of
// the oldest as keep says (it is told how many there are). Flushes of the old
// store fail from now on, also one that is under way.
func (p *MemoryPersister) Crash(keep func(staged int) int) *MemoryPersister {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.crashed = true
	next := &MemoryPersister{durable: p.durable, latency: p.latency}
	// The old state is never appended to again, so sharing its array is safe
	// once the capacity is cut.
	next.durable.entries = next.durable.entries[:len(next.durable.entries):len(next.durable.entries)]
	for _, s := range p.staged[:min(max(keep(len(p.staged)), 0), len(p.staged))] {
		if next.durable.apply(s) != nil {
			break
		}
	}
	next.end = next.durable.position
	return next
}

// Recover implements Persister.
func (p *MemoryPersister) Recover() (Recovered, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.crashed {
		return Recovered{}, &StorageError{Op: "recover", Path: "memory", Err: errCrashed}
	}
	p.staged, p.end = nil, p.durable.position // an earlier owner's, never flushed
	d := &p.durable
	if d.identity.Server == "" {
		return Recovered{Empty: true}, nil
	}
	d.identity.BootCounter++
	var body []byte
	for _, raw := range d.entries {
		body = append(body, raw...)
	}
	r := Recovered{Identity: d.identity, HardState: d.hard, FirstIndex: 1, CommitIndex: d.commit}
	if len(d.entries) > 0 {
		r.Batches = []Batch{NewBatch(body, len(d.entries))}
	}
	return r, nil
}

// Bootstrap implements Persister.
func (p *MemoryPersister) Bootstrap(id Identity, s Stage) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.durable.identity.Server != "" {
		return fmt.Errorf("%w: this store belongs to %s of %s", ErrBootstrapped, p.durable.identity.Server, p.durable.identity.Cluster)
	}
	id.Directory = make([]byte, 16)
	_, _ = rand.Read(id.Directory) // never fails, by its contract
	made := memoryState{identity: id}
	if err := made.apply(s); err != nil {
		return fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	made.commit = s.CommitIndex
	p.durable, p.end = made, made.position
	return nil
}

// Stage implements Persister.
func (p *MemoryPersister) Stage(s Stage) Position {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end++
	if !p.crashed {
		p.staged = append(p.staged, s)
	}
	return p.end
}

// Flush implements Persister.
func (p *MemoryPersister) Flush() (Position, error) {
	p.mu.Lock()
	n := len(p.staged)
	p.mu.Unlock()
	if p.latency != nil {
		time.Sleep(p.latency())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.crashed {
		return 0, &StorageError{Op: "flush", Path: "memory", Err: errCrashed}
	}
	for _, s := range p.staged[:n] {
		if err := p.durable.apply(s); err != nil {
			return 0, &StorageError{Op: "flush", Path: "memory", Err: err}
		}
	}
	clear(p.staged[:n])
	p.staged = p.staged[n:]
	return p.durable.position, nil
}

// apply makes one stage durable. The commit hint counts up to the end of the log
// before the stage, as in every Persister.
func (d *memoryState) apply(s Stage) error {
	end := uint64(len(d.entries))
	d.commit = max(d.commit, min(s.CommitIndex, end))
	if s.HardState != nil {
		d.hard = *s.HardState
	}
	d.position++
	if s.Batch.Count == 0 {
		return nil
	}
	if s.FirstIndex == 0 || s.FirstIndex > end+1 || s.FirstIndex > math.MaxInt32 {
		return fmt.Errorf("entries staged at index %d after a log that ends at %d", s.FirstIndex, end)
	}
	if s.FirstIndex <= d.commit {
		return fmt.Errorf("entries staged at index %d, at or below the commit point %d", s.FirstIndex, d.commit)
	}
	if s.FirstIndex <= end { // what others share is not overwritten
		d.entries = d.entries[: s.FirstIndex-1 : s.FirstIndex-1]
	}
	return s.Batch.Walk(func(_ EntryKind, _ uint64, raw []byte) error {
		d.entries = append(d.entries, raw)
		return nil
	})
}
