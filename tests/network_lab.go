package tests

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lockstep.example/raft/labrpc"
)

// LabRPC are the labs' twelve tests of their simulated network. The limits are
// theirs, but where a comment says why not: their sockets are calls of another
// program's scheduler, ours are timers, so ours can be exact.
var LabRPC = []NetworkScenario{
	{"Basic", labrpc.Reliable(), labrpcBasic},
	{"Types", labrpc.Reliable(), labrpcTypes},
	{"Disconnect", labrpc.Reliable(), labrpcDisconnect},
	{"Counts", labrpc.Reliable(), labrpcCounts},
	{"Bytes", labrpc.Reliable(), labrpcBytes},
	{"ConcurrentMany", labrpc.Reliable(), labrpcConcurrentMany},
	{"Unreliable", labrpc.Unreliable(), labrpcUnreliable},
	{"ConcurrentOne", labrpc.Reliable(), labrpcConcurrentOne},
	{"Regression1", labrpc.Reliable(), labrpcRegression1},
	{"Killed", labrpc.Reliable(), labrpcKilled},
	{"Benchmark", labrpc.Reliable(), labrpcBenchmark},
	{"LongDelayRace", labrpc.Unreliable().LongReordering().LongDelays(), labrpcLongDelayRace},
}

// labrpcBasic: calls of two methods are answered, each by its own.
func labrpcBasic(n *Junk) {
	client := n.Net.Endpoint("client")
	n.must(client, 111)
	if got, err := askServer[Number](client, "Log", Text{"9099"}); err != nil || got.N != 1 || n.logged[0] != "9099" {
		n.Fatal("Log(9099) = %d, %v; the server saw %q", got.N, err, n.logged)
	}
	if _, err := askServer[Text](client, "Nothing", Number{1}); !errors.Is(err, labrpc.ErrUnreachable) {
		n.Fatal("a method that is not there: %v", err)
	}
}

// labrpcTypes: pointers, maps, lists and bytes arrive, as copies of their own.
func labrpcTypes(n *Junk) {
	client := n.Net.Endpoint("client")
	sent := &Nested{P: &Inner{[]byte{0, 0xff}}, M: map[string]uint64{"x": 1 << 63}, L: []string{"é", ""}, F: true}
	got, err := askServer[Nested](client, "Echo", sent)
	if err != nil || got.P == nil || !bytes.Equal(got.P.B, sent.P.B) || got.M["x"] != 1<<63 || len(got.L) != 2 || got.L[0] != "é" || !got.F {
		n.Fatal("%+v came back as %+v, %v", sent, got, err)
	}
	if got, err := askServer[Nested](client, "Echo", *sent); err != nil || got.P == nil || got.M["x"] != 1<<63 {
		n.Fatal("by value %+v came back as %+v, %v", sent, got, err)
	}
	got.P.B[0], got.M["x"] = 7, 7
	if sent.P.B[0] != 0 || sent.M["x"] != 1<<63 {
		n.Fatal("caller and server share memory")
	}
}

// labrpcDisconnect: a call of an endpoint that is cut off fails, soon, and leaves the
// reply alone; once connected it is answered.
func labrpcDisconnect(n *Junk) {
	client := n.Net.Endpoint("client")
	n.Net.Disconnect("client")
	began := time.Now()
	if got, err := askServer[Text](client, "Name", Number{111}); !errors.Is(err, labrpc.ErrUnreachable) || got.S != "" {
		n.Fatal("cut off, the call gave %q, %v", got.S, err)
	}
	if took := time.Since(began); took > 100*time.Millisecond {
		n.Fatal("cut off, the call took %v to fail; the limit is 100 ms", took)
	}
	if got := n.Net.Traffic("", "server", "").Replies; got != 0 {
		n.Fatal("%d requests got through the cut", got)
	}
	n.Net.Connect("client")
	n.must(client, 111)
}

// labrpcCounts: 17 calls are 17.
func labrpcCounts(n *Junk) {
	client := n.Net.Endpoint("client")
	for i := range 17 {
		n.must(client, i)
	}
	if got := n.Net.Traffic("client", "server", "Name"); got.Requests != 17 || got.Replies != 17 {
		n.Fatal("17 calls were counted as %+v", got)
	}
}

// labrpcBytes: the lab sends 17 texts of 256 bytes, then asks for 17 of 107, and
// allows 4,828 to 6,000 bytes and 1,800 to 2,500. Those limits are of an encoding
// that describes each type before its first value, and include the method's name.
// Traffic counts the encoded arguments and replies alone: never less than the
// text, and at most 16 bytes a call beside it (a length, and the number that goes
// the other way), 4,352 to 4,624 and 1,819 to 2,091.
func labrpcBytes(n *Junk) {
	const calls, beside = 17, 16
	client := n.Net.Endpoint("client")
	between := func(what string, got labrpc.Traffic, size int) {
		n.T.Helper()
		if low, high := calls*size, calls*(size+beside); got.Bytes() < low || got.Bytes() > high {
			n.Fatal("%d %s of %d bytes cost %d; the limits are %d and %d", calls, what, size, got.Bytes(), low, high)
		}
	}
	for range calls {
		if got, err := askServer[Number](client, "Length", Text{strings.Repeat("x", 256)}); err != nil || got.N != 256 {
			n.Fatal("the text arrived with %d of 256 bytes, %v", got.N, err)
		}
	}
	first := n.Net.Traffic("", "", "")
	between("arguments", first, 256)
	for range calls {
		if got, err := askServer[Text](client, "Repeat", Number{107}); err != nil || len(got.S) != 107 {
			n.Fatal("the reply arrived with %d of 107 bytes, %v", len(got.S), err)
		}
	}
	between("replies", n.Net.Traffic("", "", "").Sub(first), 107)
}

// labrpcConcurrentMany: 20 clients at once make 10 calls each; all 200 are answered.
func labrpcConcurrentMany(n *Junk) {
	var clients sync.WaitGroup
	var answered atomic.Int32
	for i := range 20 {
		client := n.Net.Endpoint(fmt.Sprint("client", i))
		clients.Go(func() {
			for j := range 10 {
				if n.name(client, i*100+j) {
					answered.Add(1)
				}
			}
		})
	}
	clients.Wait()
	if got := answered.Load(); got != 200 || n.requests() != 200 {
		n.Fatal("%d of 200 calls were answered, %d requests counted", got, n.requests())
	}
}

// labrpcUnreliable: of 300 calls on a network that loses a tenth each way, some are
// answered and some are not. The lab asks for no more; about 243 are to be
// expected, and less than 180 or more than 295 are nine deviations off.
func labrpcUnreliable(n *Junk) {
	var clients sync.WaitGroup
	var answered atomic.Int32
	for i := range 300 {
		client := n.Net.Endpoint(fmt.Sprint("client", i))
		clients.Go(func() {
			if n.name(client, i) {
				answered.Add(1)
			}
		})
	}
	clients.Wait()
	if got := answered.Load(); got < 180 || got > 295 {
		n.Fatal("%d of 300 calls were answered on an unreliable network; 243 are to be expected", got)
	}
	if n.requests() != 300 {
		n.Fatal("300 calls were counted as %d requests", n.requests())
	}
}

// labrpcConcurrentOne: 20 calls at once by one client are all answered, and none
// waits for another: together they take no longer than the slowest may.
func labrpcConcurrentOne(n *Junk) {
	client := n.Net.Endpoint("client")
	var calls sync.WaitGroup
	var answered atomic.Int32
	began := time.Now()
	for i := range 20 {
		calls.Go(func() {
			if n.name(client, i) {
				answered.Add(1)
			}
		})
	}
	calls.Wait()
	if got := answered.Load(); got != 20 || n.requests() != 20 {
		n.Fatal("%d of 20 calls were answered, %d requests counted", got, n.requests())
	}
	if took := time.Since(began); took > 2*500*time.Microsecond {
		n.Fatal("20 calls at once took %v; each takes 1 ms at most", took)
	}
}

// labrpcRegression1: calls made while a client was cut off, which have not failed
// yet, neither delay one made after the repair beyond 30 ms nor reach the server.
func labrpcRegression1(n *Junk) {
	client := n.Net.Endpoint("client")
	n.Net.Disconnect("client")
	var calls sync.WaitGroup
	var answered, ended atomic.Int32
	for i := range 20 {
		calls.Go(func() {
			if n.name(client, i) {
				answered.Add(1)
			}
			ended.Add(1)
		})
	}
	time.Sleep(50 * time.Millisecond)
	if ended.Load() == 20 {
		n.Fatal("all calls had failed before the repair: nothing was in the way of the next")
	}
	n.Net.Connect("client")
	began := time.Now()
	n.must(client, 99)
	if took := time.Since(began); took > 30*time.Millisecond {
		n.Fatal("a call after the repair took %v; the limit is 30 ms", took)
	}
	calls.Wait()
	if got := answered.Load(); got != 0 {
		n.Fatal("%d of 20 calls made while cut off were answered", got)
	}
	if got := n.Net.Traffic("client", "server", "").Replies; got != 1 {
		n.Fatal("the server handled %d requests; only the one after the repair was to reach it", got)
	}
}

// labrpcKilled: a call that hangs in its server does not end by itself, and fails
// within 100 ms of the server's death.
func labrpcKilled(n *Junk) {
	client := n.Net.Endpoint("client")
	server := n.Serve()
	done := make(chan error, 1)
	client.Call("server", "Hang", Number{99}, &Text{}, time.Time{}, func(err error) { done <- err })
	time.Sleep(time.Second)
	select {
	case err := <-done:
		n.Fatal("a call that hangs ended by itself: %v", err)
	default:
	}
	server.Close()
	select {
	case err := <-done:
		if !errors.Is(err, labrpc.ErrUnreachable) {
			n.Fatal("the server died, and the call ended with %v", err)
		}
	case <-time.After(100 * time.Millisecond):
		n.Fatal("100 ms after the death of its server a call still hangs")
	}
}

// labrpcBenchmark: the lab makes 100,000 calls and prints what one took, 22 µs in
// 2016. Here time is virtual, so what can be held to is that each takes what the
// network says, and that none is lost. What a call costs the machine is measured
// by BenchmarkCall of package labrpc.
func labrpcBenchmark(n *Junk) {
	calls := 100_000
	if testing.Short() {
		calls = 10_000
	}
	client := n.Net.Endpoint("client")
	began := time.Now()
	for i := range calls {
		n.must(client, i)
	}
	each := time.Since(began) / time.Duration(calls)
	if n.requests() != calls || each < 500*time.Microsecond || each > 600*time.Microsecond {
		n.Fatal("%d calls were counted as %d and took %v each; two messages of 50 to 500 µs are to be expected", calls, n.requests(), each)
	}
	n.T.Logf("%d calls, %v of virtual time each", calls, each)
}

// labrpcLongDelayRace: on a network that delays replies by seconds and takes seconds
// to tell that a server is gone, the server dies and comes back again and again
// under 20 clients. No call hangs, no client gets what another asked for, and
// what a dead server still had to say reaches nobody once its successor is there.
func labrpcLongDelayRace(n *Junk) {
	// The longest a call may take: a request, a late reply, and 7 s to find out
	// that it cannot arrive.
	const longest = 26*time.Millisecond + 2226*time.Millisecond + 7*time.Second
	var clients sync.WaitGroup
	var answered, failed atomic.Int32
	for i := range 20 {
		client := n.Net.Endpoint(fmt.Sprint("client", i))
		clients.Go(func() {
			for j := range 20 {
				began := time.Now()
				if n.name(client, i*100+j) {
					answered.Add(1)
				} else {
					failed.Add(1)
				}
				if took := time.Since(began); took > longest {
					n.T.Errorf("LOCKSTEP_SEED=%d: a call of %s took %v; the limit is %v", n.seed, client.Name(), took, longest)
				}
				if from, err := askServer[Number](client, "Life", Number{}); err == nil && from.N != n.lives() {
					n.T.Errorf("LOCKSTEP_SEED=%d: %s heard of server number %d in the days of number %d", n.seed, client.Name(), from.N, n.lives())
				}
			}
		})
	}
	for range 30 {
		server := n.Serve()
		time.Sleep(time.Second)
		server.Close()
		time.Sleep(300 * time.Millisecond)
	}
	n.Serve()
	clients.Wait()
	if answered.Load() == 0 || failed.Load() == 0 {
		n.Fatal("%d calls were answered, %d failed: both are to be expected", answered.Load(), failed.Load())
	}
	if n.requests() != 800 {
		n.Fatal("800 calls were counted as %d requests", n.requests())
	}
}
