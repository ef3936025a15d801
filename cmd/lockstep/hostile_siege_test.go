//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lockstep.example/raft"
	"lockstep.example/raft/cmd/lockstep/internal/local"
	"lockstep.example/raft/cmd/lockstep/internal/node"
	"lockstep.example/raft/kv"
	"lockstep.example/raft/rpc"
)

// siege is a cluster of three server processes and a client that writes to it
// all the time.
type siege struct {
	dir     string
	cluster *local.Cluster
	client  *rpc.Client
	clerk   *kv.Clerk
	stop    context.CancelFunc // of the writer
	writer  sync.WaitGroup
	acked   atomic.Uint64 // writes
	failed  error         // why the writer gave up; read after writer.Wait

	mu     sync.Mutex
	pids   map[string]int // guarded by mu; by server
	deaths []string       // guarded by mu
}

func besiege(t *testing.T) *siege {
	t.Helper()
	path, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	b := &siege{dir: t.TempDir(), pids: map[string]int{}}
	if b.cluster, err = local.Open(local.Options{Dir: b.dir, Servers: 3, Binary: path, NoRestart: true, Tell: b.tell}); err != nil {
		t.Fatal(err)
	}
	b.client = rpc.NewClient(rpc.ClientConfig{})
	b.clerk, err = kv.NewClerk(kv.ClerkConfig{Servers: local.Addresses(b.cluster.Members), Caller: b.client})
	if err != nil {
		t.Fatal(err)
	}
	writing, stop := context.WithCancel(context.Background())
	b.stop = stop
	b.writer.Go(func() { b.failed = b.write(writing) })
	t.Cleanup(func() {
		stop()
		b.writer.Wait()
		b.clerk.Close()
		b.client.Close()
		if err := b.cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// tell hears what happens to the server processes.
func (b *siege) tell(e local.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := e.(type) {
	case local.Started:
		b.pids[string(e.ID)] = e.Pid
	case local.Exited:
		b.deaths = append(b.deaths, fmt.Sprintf("%s: %s", e.ID, e.Cause))
	}
}

func (b *siege) pid(id string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pids[id]
}

// log returns what a server has logged.
func (b *siege) log(t *testing.T, id string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(b.dir, id+".log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// clusterID returns what every server tells a client that greets it.
func (b *siege) clusterID(t *testing.T) string {
	t.Helper()
	nc, err := net.Dial("tcp", b.cluster.Members[0].Address)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	_, err = nc.Write(greeting(clientClass, "", "", ""))
	head := make([]byte, greetingFixed+1)
	if err == nil {
		_, err = io.ReadFull(nc, head)
	}
	id := make([]byte, head[greetingFixed])
	if err == nil {
		_, err = io.ReadFull(nc, id)
	}
	if err != nil {
		t.Fatalf("greet a server: %v", err)
	}
	return string(id)
}

func besiegedKey(n uint64) string { return fmt.Sprintf("key %06d", n) }

// write writes one key after the other, slowly enough that the log stays small,
// until ctx ends or a write fails.
func (b *siege) write(ctx context.Context) error {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for ctx.Err() == nil {
		key := []byte(besiegedKey(b.acked.Load()))
		// Not ctx: a write is not abandoned at the end.
		if _, err := b.clerk.Put(context.Background(), key, key); err != nil {
			return fmt.Errorf("write %s: %w", key, err)
		}
		b.acked.Add(1)
		<-ticker.C
	}
	return nil
}

func (b *siege) statuses(t *testing.T) []node.Status {
	return node.Statuses(t.Context(), b.client, local.Addresses(b.cluster.Members), patience)
}

// roles waits until the cluster is whole, and returns who leads and who follows.
func (b *siege) roles(t *testing.T) (leader node.Status, followers []node.Status) {
	t.Helper()
	eventually(t, patience, "a leader, and two servers that follow it", func() bool {
		statuses := b.statuses(t)
		leader, _ = node.Leader(statuses)
		followers = nil
		for _, s := range statuses {
			if s.Err == nil && s.Ready && s.Role == raft.Follower.String() && s.Term == leader.Term {
				followers = append(followers, s)
			}
		}
		return leader.Ready && len(followers) == 2
	})
	return leader, followers
}

// unmoved does something to the cluster and demands that it goes on as before.
func (b *siege) unmoved(t *testing.T, do func()) {
	t.Helper()
	before := b.statuses(t)
	do()
	acked := b.acked.Load()
	eventually(t, patience, "writes go on", func() bool { return b.acked.Load() >= acked+2 })
	for i, s := range b.statuses(t) {
		if s.Err != nil || s.Term != before[i].Term || s.Role != before[i].Role {
			t.Errorf("%s was %s in term %d, now it is %s in term %d (%v)", before[i].ID, before[i].Role, before[i].Term, s.Role, s.Term, s.Err)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, death := range b.deaths {
		t.Errorf("a server died: %s", death)
	}
}

// verify stops the writer, reads everything back and compares the servers.
func (b *siege) verify(t *testing.T) {
	t.Helper()
	b.stop()
	b.writer.Wait()
	if b.failed != nil {
		t.Error(b.failed)
	}
	found := map[string]string{}
	for o := (kv.ListOptions{}); ; {
		page, err := b.clerk.List(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			found[string(item.Key)] = string(item.Value)
			o.After = item.Key
		}
		if !page.More {
			break
		}
	}
	for n := range b.acked.Load() {
		if key := besiegedKey(n); found[key] != key {
			t.Errorf("%s was acknowledged, and holds %q", key, found[key])
		}
	}
	var statuses []node.Status
	eventually(t, patience, "all servers have applied the same entries", func() bool {
		statuses = b.statuses(t)
		for _, s := range statuses {
			if s.Err != nil || s.HashIndex != statuses[0].HashIndex {
				return false
			}
		}
		return true
	})
	for _, s := range statuses {
		if s.Hash != statuses[0].Hash {
			t.Errorf("%s and %s differ in their state after entry %d", s.ID, statuses[0].ID, s.HashIndex)
		}
	}
	t.Logf("%d writes acknowledged, all there; state hash %s on all servers", b.acked.Load(), stateHash(statuses[0]))
}

// eventually waits for a condition outside this process.
func eventually(t *testing.T, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}
