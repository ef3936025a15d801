package sim

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lockstep.example/raft/labrpc"
)

// TestFaultsOfOneKind: the end of one cut or of one weather leaves another as it is.
func TestFaultsOfOneKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := labrpc.New(nil, labrpc.Reliable())
		defer net.Close()
		a, b := net.Endpoint("a"), net.Endpoint("b")
		labrpc.Handle(b, "Ask", func(string, *int) (*int, error) { return new(int), nil })
		answered := func() bool {
			done := make(chan error)
			a.Call("b", "Ask", new(int), new(int), time.Now().Add(time.Second), func(err error) { done <- err })
			return <-done == nil
		}
		expect := func(after string, want bool) {
			t.Helper()
			if got := answered(); got != want {
				t.Errorf("after %s: answered %v, want %v", after, got, want)
			}
		}
		n := newNetwork(net)
		ab, ba := cut{"a", "b"}, cut{"b", "a"}
		first, second := n.sever(ab), n.sever(ab, ba)
		first()
		expect("the end of the first of two cuts", false)
		second()
		expect("the end of both", true)
		third := n.sever(ba)
		n.heal()
		expect("a heal", true)
		fourth := n.sever(ba)
		third()
		expect("the end of a cut that was healed, with another since", false)
		fourth()

		lossy := labrpc.Reliable()
		lossy.LoseRequest = 1
		slow := labrpc.Reliable()
		slow.Latency.Max = 300 * time.Millisecond
		endLoss, endSlow := n.begin(lossy), n.begin(slow)
		expect("loss and slow links", false)
		endSlow()
		expect("the end of slow links", false)
		endLoss()
		expect("the end of the loss", true)
	})
}

// TestSettle: when old requests have stopped being sent again, those that were come
// for a while yet; after settle none does, also if the first of them was late itself.
func TestSettle(t *testing.T) {
	for _, late := range []float64{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			net := labrpc.New(nil, labrpc.Reliable())
			defer net.Close()
			a, b := net.Endpoint("a"), net.Endpoint("b")
			var arrived atomic.Int32
			labrpc.Handle(b, "Ask", func(string, *int) (*int, error) {
				arrived.Add(1)
				return new(int), nil
			})
			n := newNetwork(net)
			n.apply()
			again := labrpc.Reliable()
			again.Replay, again.LateRequest, again.Late = 1, late, labrpc.Range{Min: time.Second, Max: 10 * time.Second}
			end := n.begin(again)
			for range 100 {
				a.Call("b", "Ask", new(int), new(int), time.Now().Add(time.Second), func(error) {})
			}
			end()
			time.Sleep(time.Second / 2)
			if n, want := arrived.Load(), int32(100*(1-late)); n != want {
				t.Fatalf("late %v: %d of 100 arrived at first, want %d", late, n, want)
			}
			n.settle()
			if n := arrived.Load(); n != 200 {
				t.Errorf("late %v: %d arrived before settle returned", late, n)
			}
			time.Sleep(time.Minute)
			if n := arrived.Load(); n != 200 {
				t.Errorf("late %v: %d arrived in all", late, n)
			}
		})
	}
}
