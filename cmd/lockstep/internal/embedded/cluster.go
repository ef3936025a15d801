// Package embedded runs a whole cluster inside this process, over real TCP and
// real files, with the simplest state machine: a map of 16-byte keys. It is what
// "lockstep bench" measures, so that the figures are those of Raft, its log and
// its transport, and of nothing above them.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"lockstep.example/raft"
	"lockstep.example/raft/cmd/lockstep/internal/local"
	"lockstep.example/raft/rpc"
	"lockstep.example/raft/vfs"
	"lockstep.example/raft/wal"
)

// KeyBytes is the length of a key: the first bytes of a command. The rest of a
// command is the value.
const KeyBytes = 16

// Cluster is a cluster inside this process.
type Cluster struct {
	Servers []*Server // immutable
}

// Server is one server of it.
type Server struct {
	ID    raft.ServerID
	Raft  *raft.Raft
	store *countingStore
	log   *wal.WAL
	port  *rpc.Server
	table table
}

// Open starts n servers in new directories below dir. Close must be called.
func Open(dir string, n int) (_ *Cluster, err error) {
	ports, err := local.FreePorts(n)
	if err != nil {
		return nil, err
	}
	addresses := map[raft.ServerID]string{}
	for i, port := range ports {
		addresses[serverID(i)] = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	configuration := raft.NewConfiguration(addresses)
	c := &Cluster{}
	for i := range n {
		s := &Server{ID: serverID(i), table: table{values: map[[KeyBytes]byte][]byte{}}}
		c.Servers = append(c.Servers, s)
		if err := s.open(filepath.Join(dir, string(s.ID)), configuration); err != nil {
			return nil, errors.Join(fmt.Errorf("start %s: %w", s.ID, err), c.Close())
		}
	}
	return c, nil
}

func serverID(i int) raft.ServerID { return raft.ServerID("n" + strconv.Itoa(i+1)) }

func (s *Server) open(dir string, c raft.Configuration) (err error) {
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	if s.log, err = wal.Open(vfs.OS, dir, wal.Options{Logger: quiet}); err != nil {
		return err
	}
	identity, err := raft.Bootstrap(s.log, "bench", s.ID, c)
	if err != nil {
		return err
	}
	self, _ := c.Server(s.ID)
	if s.port, err = rpc.Listen(rpc.Config{
		ID: s.ID, Cluster: identity.Cluster, Incarnation: identity.Incarnation, Address: self.Address, Logger: quiet,
	}); err != nil {
		return err
	}
	s.store = &countingStore{Persister: s.log}
	s.Raft, err = raft.New(raft.Config{ID: s.ID, Store: s.store, Transport: s.port, StateMachine: &s.table, Logger: quiet})
	return err
}

// Leader waits until a server leads, and has shown it by serving a read.
func (c *Cluster) Leader(ctx context.Context) (*Server, error) {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		for _, s := range c.Servers {
			if s.Raft.Status().Role != raft.Leader {
				continue
			}
			if _, err := s.Raft.ReadIndex(ctx); err == nil {
				return s, nil
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for a leader: %w (%s)", context.Cause(ctx), c.Servers[0].Raft.Why())
		}
	}
}

// Flushes returns how often each server has flushed its log so far.
func (c *Cluster) Flushes() []uint64 {
	var counts []uint64
	for _, s := range c.Servers {
		counts = append(counts, s.store.flushes.Load())
	}
	return counts
}

// Close stops all servers.
func (c *Cluster) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var errs []error
	for _, s := range c.Servers {
		if s.Raft != nil {
			errs = append(errs, s.Raft.Stop(ctx))
		}
		if s.port != nil {
			errs = append(errs, s.port.Close())
		}
		if s.log != nil {
			errs = append(errs, s.log.Close())
		}
	}
	return errors.Join(errs...)
}

// Read reads a key, linearizably.
func (s *Server) Read(ctx context.Context, key [KeyBytes]byte) ([]byte, error) {
	if _, err := s.Raft.ReadIndex(ctx); err != nil {
		return nil, err
	}
	s.table.mu.RLock()
	defer s.table.mu.RUnlock()
	return s.table.values[key], nil
}

// table is the state machine.
type table struct {
	mu     sync.RWMutex
	values map[[KeyBytes]byte][]byte // guarded by mu
}

// Apply implements raft.StateMachine. The values share the log's memory.
func (t *table) Apply(batch []raft.Entry, _ []raft.Result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range batch {
		t.values[[KeyBytes]byte(e.Data)] = e.Data[KeyBytes:]
	}
}

// countingStore counts the flushes of a Persister.
type countingStore struct {
	raft.Persister
	flushes atomic.Uint64
}

func (s *countingStore) Flush() (raft.Position, error) {
	s.flushes.Add(1)
	return s.Persister.Flush()
}
