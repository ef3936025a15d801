package raft_test

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"lockstep.example/raft"
	"lockstep.example/raft/rpc"
)

// counter is the state machine: every command adds one, and the result is the sum.
type counter struct{ n int }

func (c *counter) Apply(batch []raft.Entry, results []raft.Result) {
	for i := range batch {
		c.n++
		if results != nil { // somebody on this server waits
			results[i].Value = strconv.AppendInt(nil, int64(c.n), 10)
		}
	}
}

// A counter on three servers, over net/rpc on loopback. wal.Open in place of
// NewMemoryPersister keeps it on disk.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	addresses := map[raft.ServerID]string{"n1": freeAddress(), "n2": freeAddress(), "n3": freeAddress()}
	cluster := raft.NewConfiguration(addresses)
	servers := map[raft.ServerID]*raft.Raft{}
	for id, address := range addresses {
		store := raft.NewMemoryPersister(nil)
		identity, err := raft.Bootstrap(store, "counter", id, cluster)
		check(err)
		transport, err := rpc.Listen(rpc.Config{
			ID: id, Cluster: identity.Cluster, Incarnation: identity.Incarnation, Address: address,
		})
		check(err)
		defer transport.Close()
		servers[id], err = raft.New(raft.Config{ID: id, Store: store, Transport: transport, StateMachine: &counter{}})
		check(err)
		defer servers[id].Stop(ctx)
	}
	for range 3 {
		leader := awaitLeader(servers["n1"])
		result, err := servers[leader].Propose(ctx, []byte("add one"))
		check(err) // in earnest: on ErrNotLeader ask the one it names; ErrUnknown may have counted
		fmt.Printf("command %d: the counter is %s\n", result.Number, result.Value)
	}
	// Output:
	// command 1: the counter is 1
	// command 2: the counter is 2
	// command 3: the counter is 3
}

// awaitLeader waits until a server hears a leader.
func awaitLeader(rf *raft.Raft) raft.ServerID {
	events, cancel := rf.Observe(16)
	defer cancel()
	for {
		if id, _ := rf.Leader(); id != "" {
			return id
		}
		<-events // something changed: look again
	}
}

func freeAddress() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	defer l.Close()
	return l.Addr().String()
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
