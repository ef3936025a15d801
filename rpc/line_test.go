package rpc

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lockstep.example/raft"
)

// counting is a slow service that counts its callers.
type counting struct {
	slow
	now, most atomic.Int64
}

func (c *counting) Wait(a, b *int) error {
	c.most.Store(max(c.most.Load(), c.now.Add(1)))
	defer c.now.Add(-1)
	return c.slow.Wait(a, b)
}

// stuck listens like server id, greets, and then never reads nor writes. It
// counts its connections.
func stuck(t *testing.T, id string) (address string, connections *atomic.Int64) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	connections = new(atomic.Int64)
	group.Go(func() {
		for {
			nc, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			group.Go(func() { greetAs(nc, id); <-ctx.Done(); nc.Close() })
		}
	})
	t.Cleanup(func() { cancel(); listener.Close(); group.Wait() })
	return listener.Addr().String(), connections
}

// greetAs answers a greeting like server id of cluster c1.
func greetAs(nc net.Conn, id string) {
	if _, err := readGreeting(nc); err != nil {
		return
	}
	g := greeting{minVersion: 1, maxVersion: 1, cluster: "c1", sender: id, bootCounter: 1, bootID: [16]byte{1}}
	nc.Write(g.encode())
}

// TestAStuckPeerBlocksNobody (bug T2): one that accepts and never reads costs its
// own calls only, and its connection is given up.
func TestAStuckPeerBlocksNobody(t *testing.T) {
	a := listen(t, "a", func(c *Config) {
		c.Limits.StallTimeout = 300 * time.Millisecond
		c.Limits.QueueCalls = 32
	})
	b := listen(t, "b", nil)
	b.Attach(&stubHandler{})
	address, connections := stuck(t, "s")
	sick, well := a.Connect("s", address), a.Connect("b", b.Addr().String())
	if _, err := vote(t, well, "a", "b", soon()); err != nil {
		t.Fatal(err)
	}
	batch := raft.Batch{Body: make([]byte, 1<<20)}
	var group sync.WaitGroup
	var full atomic.Int64
	for range 100 {
		group.Add(1)
		began := time.Now()
		sick.AppendEntries(&raft.AppendEntriesArgs{Header: header("a", "s"), Batch: batch}, time.Now().Add(200*time.Millisecond),
			func(_ *raft.AppendEntriesReply, err error) {
				if err == nil {
					t.Error("a stuck peer answered")
				}
				if errors.Is(err, ErrQueueFull) {
					full.Add(1)
				}
				group.Done()
			})
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("a call blocked for %v", took)
		}
		if _, err := vote(t, well, "a", "b", soon()); err != nil {
			t.Errorf("a healthy peer: %v", err)
		}
	}
	group.Wait()
	if full.Load() == 0 {
		t.Error("the queue never filled")
	}
	eventually(t, "the stuck connection is given up and dialled again", func() bool { return connections.Load() > 2 })
}

func TestACallEndsOnceAtItsDeadline(t *testing.T) {
	a, b := listen(t, "a", nil), listen(t, "b", nil)
	release := make(chan struct{})
	b.Attach(&stubHandler{vote: func(*raft.RequestVoteArgs) (*raft.RequestVoteReply, error) {
		<-release
		return &raft.RequestVoteReply{Term: 1}, nil
	}})
	p := a.Connect("b", b.Addr().String())
	began := time.Now()
	_, err := vote(t, p, "a", "b", began.Add(50*time.Millisecond))
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrNotSent) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took < 50*time.Millisecond || took > 2*time.Second {
		t.Errorf("the call ended after %v", took)
	}
	close(release) // the late reply must change nothing; the connection still works
	if r, err := vote(t, p, "a", "b", soon()); err != nil || r.Term != 1 {
		t.Errorf("after a late reply: %+v, %v", r, err)
	}
}

func TestReconnectAfterRestart(t *testing.T) {
	a, b := listen(t, "a", nil), listen(t, "b", nil)
	b.Attach(&stubHandler{})
	reports := make(chan raft.DownReason, 10)
	a.Attach(&stubHandler{down: func(id raft.ServerID, r raft.DownReason) {
		if id != "b" {
			t.Errorf("a report about %s", id)
		}
		reports <- r
	}})
	address := b.Addr().String()
	p := a.Connect("b", address)
	if _, err := vote(t, p, "a", "b", soon()); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if r := <-reports; r != raft.DownClosed {
		t.Errorf("first report is %v, want DownClosed", r)
	}
	_, err := vote(t, p, "a", "b", soon())
	if !errors.Is(err, ErrNotConnected) || !strings.Contains(err.Error(), "b at "+address) {
		t.Errorf("while the peer is away: %v", err)
	}
	again := listen(t, "b", func(c *Config) { c.Address, c.BootCounter = address, 2 })
	again.Attach(&stubHandler{})
	eventually(t, "the peer answers again", func() bool {
		_, err := vote(t, p, "a", "b", soon())
		return err == nil
	})
	r := <-reports
	for r == raft.DownClosed { // a connection that was being made when the others closed
		r = <-reports
	}
	if r != raft.DownRestarted {
		t.Errorf("then %v is reported, want DownRestarted", r)
	}
}

func TestConnectToANewAddress(t *testing.T) {
	a, old := listen(t, "a", nil), listen(t, "b", nil)
	old.Attach(&stubHandler{})
	p := a.Connect("b", old.Addr().String())
	if _, err := vote(t, p, "a", "b", soon()); err != nil {
		t.Fatal(err)
	}
	moved := listen(t, "b", func(c *Config) { c.BootCounter = 2 })
	moved.Attach(&stubHandler{vote: func(*raft.RequestVoteArgs) (*raft.RequestVoteReply, error) {
		return &raft.RequestVoteReply{Term: 77}, nil
	}})
	if a.Connect("b", moved.Addr().String()) != p {
		t.Error("a second Connect made a second peer")
	}
	eventually(t, "the new address answers", func() bool {
		r, err := vote(t, p, "a", "b", soon())
		return err == nil && r.Term == 77
	})
}

// TestCrossedClusters (bug M3): two clusters that were given each other's
// addresses never reach each other's Raft.
func TestCrossedClusters(t *testing.T) {
	a := listen(t, "a", nil)
	b := listen(t, "b", func(c *Config) { c.Cluster = "c2" })
	a.Attach(alarmed(t))
	b.Attach(alarmed(t))
	if _, err := vote(t, a.Connect("b", b.Addr().String()), "a", "b", soon()); !errors.Is(err, ErrWrongCluster) {
		t.Errorf("from a: %v", err)
	}
	if _, err := vote(t, b.Connect("a", a.Addr().String()), "b", "a", soon()); !errors.Is(err, ErrWrongCluster) {
		t.Errorf("from b: %v", err)
	}
	// The right cluster at a wrong address.
	c := listen(t, "c", nil)
	c.Attach(alarmed(t))
	if _, err := vote(t, a.Connect("d", c.Addr().String()), "a", "d", soon()); !errors.Is(err, ErrWrongReceiver) {
		t.Errorf("a stale address: %v", err)
	}
	if _, err := vote(t, a.Connect("e", a.Addr().String()), "a", "e", soon()); !errors.Is(err, ErrWrongReceiver) {
		t.Errorf("its own address: %v", err)
	}
}

// TestEntriesDoNotDelayHeartbeats: they have connections of their own.
func TestEntriesDoNotDelayHeartbeats(t *testing.T) {
	a, b := listen(t, "a", nil), listen(t, "b", nil)
	release := make(chan struct{})
	b.Attach(&stubHandler{append: func(args *raft.AppendEntriesArgs, turn raft.Turn) (*raft.AppendEntriesReply, error) {
		if !args.Heartbeat {
			<-release
		}
		turn.Wait()
		return &raft.AppendEntriesReply{}, nil
	}})
	p := a.Connect("b", b.Addr().String())
	send := func(heartbeat bool) chan outcome[raft.AppendEntriesReply] {
		done, ch := later[raft.AppendEntriesReply](t)
		p.AppendEntries(&raft.AppendEntriesArgs{Header: header("a", "b"), Heartbeat: heartbeat}, soon(), done)
		return ch
	}
	entries := send(false)
	for range 10 {
		if o := <-send(true); o.err != nil {
			t.Errorf("a heartbeat behind entries: %v", o.err)
		}
	}
	close(release)
	if o := <-entries; o.err != nil {
		t.Error(o.err)
	}
}
