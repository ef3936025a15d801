package labrpc

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

type number struct{ N int }
type text struct{ S string }

// perfect has the smallest latency there is.
var perfect = Conditions{}

// bubble runs a test in virtual time on a network that is closed at its end.
func bubble(t *testing.T, c Conditions, f func(t *testing.T, n *Network)) {
	synctest.Test(t, func(t *testing.T) {
		n := New(rand.NewPCG(1, 2), c)
		defer n.Close()
		f(t, n)
	})
}

// double serves a method that answers twice its argument.
func double(n *Network, name string) *Endpoint {
	e := n.Endpoint(name)
	Handle(e, "Double", func(_ string, a *number) (*number, error) { return &number{2 * a.N}, nil })
	return e
}

// ask waits for the end of a call; within is the time until its deadline.
func ask[R any](e *Endpoint, to, method string, args any, within time.Duration) (R, error) {
	var reply R
	done := make(chan error, 1)
	e.Call(to, method, args, &reply, time.Now().Add(within), func(err error) { done <- err })
	err := <-done
	return reply, err
}

func mustDouble(t *testing.T, e *Endpoint, to string, n int) {
	t.Helper()
	if got, err := ask[number](e, to, "Double", number{n}, time.Second); err != nil || got.N != 2*n {
		t.Fatalf("Double(%d) of %s = %d, %v", n, to, got.N, err)
	}
}

func TestBasic(t *testing.T) {
	bubble(t, Reliable(), func(t *testing.T, n *Network) {
		double(n, "a")
		b := double(n, "b")
		start := time.Now()
		for i := range 20 {
			mustDouble(t, b, "a", i)
			mustDouble(t, b, "b", i)
		}
		if took := time.Since(start); took < 40*2*50*time.Microsecond || took > 40*2*500*time.Microsecond {
			t.Errorf("40 calls took %v; each message takes 50 to 500 µs", took)
		}
		if _, err := ask[number](b, "a", "Halve", number{1}, time.Second); !errors.Is(err, ErrUnreachable) {
			t.Errorf("call of an unknown method: %v", err)
		}
		if _, err := ask[number](b, "nobody", "Double", number{1}, time.Second); !errors.Is(err, ErrUnreachable) {
			t.Errorf("call of an unknown endpoint: %v", err)
		}
	})
}

// TestTypes: what arrives is a copy, with pointers, slices and maps of its own.
func TestTypes(t *testing.T) {
	type inner struct{ B []byte }
	type all struct {
		P *inner
		M map[string]uint64
		S []string
		T string
		B bool
	}
	bubble(t, perfect, func(t *testing.T, n *Network) {
		a, b := n.Endpoint("a"), n.Endpoint("b")
		var seen *all
		kept := &all{P: &inner{[]byte("reply")}, M: map[string]uint64{"x": 1 << 63}}
		Handle(a, "Swap", func(from string, v *all) (*all, error) {
			seen = v
			return kept, nil
		})
		sent := &all{P: &inner{[]byte("args")}, M: map[string]uint64{"y": 7}, S: []string{"é", ""}, T: "t", B: true}
		got, err := ask[all](b, "a", "Swap", sent, time.Second)
		if err != nil || string(got.P.B) != "reply" || got.M["x"] != 1<<63 {
			t.Fatalf("reply %+v, %v", got, err)
		}
		if string(seen.P.B) != "args" || seen.M["y"] != 7 || len(seen.S) != 2 || seen.S[0] != "é" || seen.T != "t" || !seen.B {
			t.Fatalf("arguments arrived as %+v", seen)
		}
		sent.P.B[0], got.P.B[0], got.M["x"] = 'X', 'X', 0
		if string(seen.P.B) != "args" || string(kept.P.B) != "reply" || kept.M["x"] != 1<<63 {
			t.Error("the two ends share memory")
		}
	})
}

func TestDisconnect(t *testing.T) {
	bubble(t, Reliable(), func(t *testing.T, n *Network) {
		a := double(n, "a")
		double(n, "b")
		n.Disconnect("b")
		if n.Connected("b") {
			t.Error("b is connected")
		}
		start := time.Now()
		if _, err := ask[number](a, "b", "Double", number{1}, time.Second); !errors.Is(err, ErrUnreachable) {
			t.Fatalf("call of a disconnected endpoint: %v", err)
		}
		if took := time.Since(start); took > 100*time.Millisecond {
			t.Errorf("it took %v to fail", took)
		}
		n.Connect("b")
		mustDouble(t, a, "b", 3)
	})
}

// TestDeadline: long delays are cut short by the deadline of the call.
func TestDeadline(t *testing.T) {
	bubble(t, Reliable().LongDelays(), func(t *testing.T, n *Network) {
		a := double(n, "a")
		double(n, "b")
		n.Disconnect("b")
		var longest time.Duration
		for range 20 {
			start := time.Now()
			if _, err := ask[number](a, "b", "Double", number{1}, 3*time.Second); err == nil {
				t.Fatal("a disconnected endpoint answered")
			}
			longest = max(longest, time.Since(start))
		}
		if longest != 3*time.Second {
			t.Errorf("the longest of 20 calls took %v, expected the deadline of 3 s", longest)
		}
	})
}

func TestCounts(t *testing.T) {
	bubble(t, perfect, func(t *testing.T, n *Network) {
		a := double(n, "a")
		double(n, "b")
		for i := range 17 {
			mustDouble(t, a, "b", i)
		}
		if got := n.Traffic("", "b", ""); got.Requests != 17 || got.Replies != 17 {
			t.Errorf("17 calls were counted as %+v", got)
		}
		if got := n.Traffic("b", "", ""); got.Requests != 0 {
			t.Errorf("b called nobody, counted %+v", got)
		}
	})
}

// TestBytes: the lab's test sends 17 strings of 256 bytes, then asks for 17 of
// 107; its limits are 4,828 to 6,000 and 1,800 to 2,500 bytes for an encoding
// with more overhead than ours.
func TestBytes(t *testing.T) {
	bubble(t, perfect, func(t *testing.T, n *Network) {
		a, b := n.Endpoint("a"), n.Endpoint("b")
		Handle(b, "Length", func(_ string, a *text) (*number, error) { return &number{len(a.S)}, nil })
		Handle(b, "Repeat", func(_ string, a *number) (*text, error) { return &text{strings.Repeat("y", a.N)}, nil })
		for range 17 {
			if got, err := ask[number](a, "b", "Length", text{strings.Repeat("x", 256)}, time.Second); err != nil || got.N != 256 {
				t.Fatal(got, err)
			}
		}
		first := n.Traffic("", "", "")
		if first.Bytes() < 17*256 || first.Bytes() > 6000 {
			t.Errorf("17 strings of 256 bytes cost %d bytes", first.Bytes())
		}
		for range 17 {
			if got, err := ask[text](a, "b", "Repeat", number{107}, time.Second); err != nil || len(got.S) != 107 {
				t.Fatal(got, err)
			}
		}
		if second := n.Traffic("", "", "").Sub(first); second.Bytes() < 17*107 || second.Bytes() > 2500 {
			t.Errorf("17 strings of 107 bytes cost %d bytes", second.Bytes())
		}
	})
}

func TestConcurrentMany(t *testing.T) {
	bubble(t, Reliable(), func(t *testing.T, n *Network) {
		double(n, "server")
		var clients sync.WaitGroup
		for i := range 20 {
			e := n.Endpoint(string(rune('A' + i)))
			clients.Go(func() {
				for j := range 10 {
					if got, err := ask[number](e, "server", "Double", number{i*100 + j}, time.Second); err != nil || got.N != 2*(i*100+j) {
						t.Errorf("client %d call %d: %d, %v", i, j, got.N, err)
					}
				}
			})
		}
		clients.Wait()
		if got := n.Traffic("", "server", "Double").Requests; got != 200 {
			t.Errorf("200 calls were counted as %d", got)
		}
	})
}

func TestUnreliable(t *testing.T) {
	bubble(t, Unreliable(), func(t *testing.T, n *Network) {
		double(n, "server")
		var answered atomic.Int32
		var clients sync.WaitGroup
		for i := range 300 {
			e := n.Endpoint("client" + string(rune('A'+i)))
			clients.Go(func() {
				got, err := ask[number](e, "server", "Double", number{i}, time.Second)
				if err == nil && got.N == 2*i {
					answered.Add(1)
				} else if !errors.Is(err, ErrLost) {
					t.Errorf("call %d: %d, %v", i, got.N, err)
				}
			})
		}
		clients.Wait()
		// Four in five are expected; 0.9² x 300 = 243, five deviations are 34.
		if got := answered.Load(); got < 243-34 || got > 243+34 {
			t.Errorf("%d of 300 calls were answered, expected about 243", got)
		}
	})
}

// TestConcurrentOne: calls from one endpoint do not wait for one another.
func TestConcurrentOne(t *testing.T) {
	bubble(t, perfect, func(t *testing.T, n *Network) {
		a, b := n.Endpoint("a"), n.Endpoint("b")
		Handle(b, "Slow", func(_ string, a *number) (*number, error) {
			time.Sleep(time.Second)
			return &number{2 * a.N}, nil
		})
		var calls sync.WaitGroup
		start := time.Now()
		for i := range 20 {
			calls.Go(func() {
				if got, err := ask[number](a, "b", "Slow", number{i}, 2*time.Second); err != nil || got.N != 2*i {
					t.Errorf("call %d: %d, %v", i, got.N, err)
				}
			})
		}
		calls.Wait()
		if took := time.Since(start); took > 1010*time.Millisecond {
			t.Errorf("20 concurrent calls of a second each took %v", took)
		}
	})
}

// TestRegression1: calls that were made while disconnected and have not failed
// yet do not slow down one made after the repair.
func TestRegression1(t *testing.T) {
	bubble(t, Reliable(), func(t *testing.T, n *Network) {
		a := double(n, "a")
		double(n, "b")
		n.Disconnect("a")
		var failed atomic.Int32
		var calls sync.WaitGroup
		for range 20 {
			calls.Go(func() {
				if _, err := ask[number](a, "b", "Double", number{1}, time.Second); err != nil {
					failed.Add(1)
				}
			})
		}
		time.Sleep(10 * time.Millisecond)
		before := failed.Load()
		n.Connect("a")
		start := time.Now()
		mustDouble(t, a, "b", 7)
		if took := time.Since(start); took > 30*time.Millisecond {
			t.Errorf("a call after the repair took %v", took)
		}
		calls.Wait()
		if before == 20 || failed.Load() != 20 {
			t.Errorf("%d calls had failed before the repair, %d in the end; expected fewer than 20, then 20", before, failed.Load())
		}
		if got := n.Traffic("a", "b", "").Replies; got != 1 {
			t.Errorf("%d requests were answered, expected the last one alone", got)
		}
	})
}

// TestKilled: a call whose handler hangs is freed when the server goes.
func TestKilled(t *testing.T) {
	bubble(t, Reliable(), func(t *testing.T, n *Network) {
		a, b := n.Endpoint("a"), n.Endpoint("b")
		stop := make(chan struct{})
		defer close(stop)
		Handle(b, "Hang", func(string, *number) (*number, error) { <-stop; return &number{}, nil })
		done := make(chan error, 1)
		a.Call("b", "Hang", number{}, &number{}, time.Time{}, func(err error) { done <- err })
		time.Sleep(time.Second)
		if len(done) != 0 {
			t.Fatal("the call ended by itself")
		}
		b.Close()
		start := time.Now()
		if err := <-done; !errors.Is(err, ErrUnreachable) || time.Since(start) > 100*time.Millisecond {
			t.Errorf("the call ended after %v with %v", time.Since(start), err)
		}
	})
}

// TestLongDelayRace: late replies overtake one another and, once their caller is
// gone, reach nobody, least of all its successor.
func TestLongDelayRace(t *testing.T) {
	bubble(t, Reliable().LongReordering(), func(t *testing.T, n *Network) {
		double(n, "server")
		old := n.Endpoint("client")
		var arrived list[int]
		calls := func(e *Endpoint, from, to int) {
			for i := from; i < to; i++ {
				e.Call("server", "Double", number{i}, &number{}, time.Time{}, func(err error) {
					if err == nil {
						arrived.add(i)
					}
				})
			}
		}
		calls(old, 0, 30)
		time.Sleep(3 * time.Second)
		if order := arrived.take(); len(order) != 30 || slices.IsSorted(order) {
			t.Errorf("30 replies arrived in the order %v", order)
		}
		calls(old, 30, 60)
		time.Sleep(100 * time.Millisecond) // the quick third has arrived
		next := n.Endpoint("client")
		if early := arrived.take(); len(early) == 0 || len(early) == 30 {
			t.Errorf("%d of 30 replies came at once, expected about 10", len(early))
		}
		time.Sleep(3 * time.Second)
		if late := arrived.take(); late != nil {
			t.Errorf("replies %v reached a closed endpoint", late)
		}
		calls(next, 60, 70)
		time.Sleep(3 * time.Second)
		if got := len(arrived.take()); got != 10 {
			t.Errorf("its successor got %d of 10 replies", got)
		}
	})
}

// BenchmarkCall: the lab measured 22 µs a call in 2016. Many callers at once, so
// that not the latency of the network is measured but the work.
func BenchmarkCall(b *testing.B) {
	n := New(nil, perfect)
	defer n.Close()
	double(n, "a")
	b.SetParallelism(256)
	b.RunParallel(func(pb *testing.PB) {
		e := n.Endpoint(fmt.Sprint("client ", rand.Uint64()))
		for pb.Next() {
			if _, err := ask[number](e, "a", "Double", number{1}, time.Minute); err != nil {
				b.Fatal(err)
			}
		}
	})
}
