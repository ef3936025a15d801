package labrpc

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// counting serves a method that counts how often it ran.
func counting(n *Network, name string) (*Endpoint, func() int) {
	var mu sync.Mutex
	ran := 0
	e := n.Endpoint(name)
	Handle(e, "Add", func(string, *number) (*number, error) {
		mu.Lock()
		defer mu.Unlock()
		ran++
		return &number{ran}, nil
	})
	return e, func() int {
		mu.Lock()
		defer mu.Unlock()
		return ran
	}
}

// list is what callbacks noted, in order.
type list[T any] struct {
	mu sync.Mutex
	of []T
}

func (l *list[T]) add(v T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of = append(l.of, v)
}

// take returns what was noted since the last take.
func (l *list[T]) take() []T {
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.of
	l.of = nil
	return of
}

// TestCutOneWay: the request arrives, its reply does not; the other way round
// not even the request does.
func TestCutOneWay(t *testing.T) {
	bubble(t, Reliable(), func(t *testing.T, n *Network) {
		a, ranA := counting(n, "a")
		b, ranB := counting(n, "b")
		n.Cut("b", "a")
		if _, err := ask[number](a, "b", "Add", number{}, time.Second); err == nil || ranB() != 1 {
			t.Errorf("request over a cut way back: %v, ran %d times", err, ranB())
		}
		if _, err := ask[number](b, "a", "Add", number{}, time.Second); err == nil || ranA() != 0 {
			t.Errorf("request over a cut: %v, ran %d times", err, ranA())
		}
		n.Restore("b", "a")
		if _, err := ask[number](b, "a", "Add", number{}, time.Second); err != nil {
			t.Error(err)
		}
	})
}

func TestPartition(t *testing.T) {
	bubble(t, Reliable(), func(t *testing.T, n *Network) {
		names := []string{"a", "b", "c", "d", "e"}
		ends := map[string]*Endpoint{}
		for _, name := range names {
			ends[name] = double(n, name)
		}
		check := func(groups ...string) {
			t.Helper()
			for _, from := range names {
				for _, to := range names {
					want := from == to
					for _, g := range groups {
						want = want || slices.Contains([]byte(g), from[0]) && slices.Contains([]byte(g), to[0])
					}
					if _, err := ask[number](ends[from], to, "Double", number{1}, time.Second); (err == nil) != want {
						t.Errorf("%s to %s in %v: %v", from, to, groups, err)
					}
				}
			}
		}
		n.Partition([]string{"a", "b"}, []string{"c", "d"}) // e is alone
		check("ab", "cd")
		n.Partition([]string{"a", "b", "c", "d"}, []string{"e"})
		check("abcd")
		n.Heal()
		check("abcde")
	})
}

// TestCutInFlight: what is on its way when the link is cut is lost.
func TestCutInFlight(t *testing.T) {
	c := Reliable()
	c.Latency = Range{10 * time.Millisecond, 10 * time.Millisecond}
	bubble(t, c, func(t *testing.T, n *Network) {
		a := n.Endpoint("a")
		_, ran := counting(n, "b")
		done := make(chan error, 1)
		a.Call("b", "Add", number{}, &number{}, time.Now().Add(time.Second), func(err error) { done <- err })
		time.Sleep(5 * time.Millisecond)
		n.Cut("a", "b")
		if err := <-done; !errors.Is(err, ErrUnreachable) || ran() != 0 {
			t.Errorf("%v, ran %d times", err, ran())
		}
	})
}

func TestDuplicate(t *testing.T) {
	c := Reliable()
	c.Duplicate = 1
	bubble(t, c, func(t *testing.T, n *Network) {
		a := n.Endpoint("a")
		_, ran := counting(n, "b")
		var ends list[error]
		a.Call("b", "Add", number{}, &number{}, time.Time{}, ends.add)
		time.Sleep(time.Second)
		if ended := len(ends.take()); ran() != 2 || ended != 1 {
			t.Errorf("a duplicated request ran %d times and ended %d times, expected 2 and 1", ran(), ended)
		}
		if got := n.Traffic("", "", "").Requests; got != 1 {
			t.Errorf("it was counted %d times", got)
		}
	})
}

// TestHiddenLoss: a caller that cannot see the loss waits for its deadline.
func TestHiddenLoss(t *testing.T) {
	c := Reliable()
	c.LoseRequest, c.LossSeen = 1, Hidden
	bubble(t, c, func(t *testing.T, n *Network) {
		a := double(n, "a")
		start := time.Now()
		_, err := ask[number](a, "a", "Double", number{1}, 700*time.Millisecond)
		if !errors.Is(err, ErrDeadline) || time.Since(start) != 700*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// TestWatch: a crash and a start are told to those whose links work.
func TestWatch(t *testing.T) {
	bubble(t, Reliable(), func(t *testing.T, n *Network) {
		var events list[string]
		watch := func(name string) *Endpoint {
			e := n.Endpoint(name)
			e.Watch(func(peer string, up bool) { events.add(fmt.Sprint(name, " ", peer, " ", up)) })
			return e
		}
		a := watch("a")
		watch("b")
		watch("c")
		time.Sleep(time.Second)
		events.take()
		n.Cut("c", "a")
		a.Close()
		time.Sleep(time.Second)
		if told := events.take(); !slices.Equal(told, []string{"b a false"}) {
			t.Errorf("after the crash of a: %v", told)
		}
		n.Heal()
		n.Endpoint("a")
		time.Sleep(time.Second)
		told := events.take()
		slices.Sort(told)
		if !slices.Equal(told, []string{"b a true", "c a true"}) {
			t.Errorf("after the start of a: %v", told)
		}
		n.Disconnect("b")
		time.Sleep(time.Second)
		if told := events.take(); told != nil {
			t.Errorf("a cut is silent, yet %v", told)
		}
	})
}

func TestHoldNth(t *testing.T) {
	bubble(t, Reliable(), func(t *testing.T, n *Network) {
		a := double(n, "a")
		double(n, "b")
		h := n.Hold(Match{Kind: Request, From: "a", To: "b", Method: "Double", Nth: 2})
		mustDouble(t, a, "b", 1)
		done := make(chan error, 1)
		var reply number
		a.Call("b", "Double", number{21}, &reply, time.Time{}, func(err error) { done <- err })
		mustDouble(t, a, "b", 3)
		held := h.Held()
		var args number
		if len(held) != 1 || held[0].Decode(&args) != nil || args.N != 21 || len(done) != 0 {
			t.Fatalf("held: %v, arguments %+v", held, args)
		}
		if h.ReleaseOne(); <-done != nil || reply.N != 42 {
			t.Errorf("the released call returned %d", reply.N)
		}
		if h.ReleaseOne() {
			t.Error("released a message that is not there")
		}
	})
}

func TestHoldReply(t *testing.T) {
	bubble(t, Reliable(), func(t *testing.T, n *Network) {
		a := n.Endpoint("a")
		_, ran := counting(n, "b")
		h := n.Hold(Match{Kind: Reply, From: "b", To: "a", Where: func(m *Message) bool {
			var r number
			return m.Decode(&r) == nil && r.N <= 2
		}})
		var ends list[error]
		add := func(within time.Duration) {
			a.Call("b", "Add", number{}, &number{}, time.Now().Add(within), ends.add)
		}
		add(time.Second)
		if !h.Wait(1, time.Second) || ran() != 1 {
			t.Fatal("the first reply is not held")
		}
		add(time.Minute)
		if !h.Wait(2, time.Second) || h.Wait(3, time.Second) {
			t.Fatal("expected two held replies")
		}
		if ended := ends.take(); len(ended) != 1 || !errors.Is(ended[0], ErrDeadline) {
			t.Fatalf("by now the first call has passed its deadline; ended: %v", ended)
		}
		h.Release()
		time.Sleep(time.Second)
		if ended := ends.take(); len(ended) != 1 || ended[0] != nil {
			t.Errorf("after the release: %v", ended)
		}
		add(time.Minute) // the third reply is not matched, and the hold is over
		time.Sleep(time.Second)
		if ended := ends.take(); len(ended) != 1 || ended[0] != nil {
			t.Errorf("after the hold: %v", ended)
		}
	})
}

// TestHoldDrop: a dropped request fails; one released after its deadline is
// still delivered, and its reply reaches nobody.
func TestHoldDrop(t *testing.T) {
	bubble(t, Reliable(), func(t *testing.T, n *Network) {
		a := n.Endpoint("a")
		_, ran := counting(n, "b")
		h := n.Hold(Match{Kind: Request})
		var ends list[error]
		a.Call("b", "Add", number{}, &number{}, time.Time{}, ends.add)
		h.Drop()
		time.Sleep(time.Second)
		if ended := ends.take(); len(ended) != 1 || !errors.Is(ended[0], ErrLost) || ran() != 0 {
			t.Errorf("dropped: %v, ran %d times", ended, ran())
		}
		h = n.Hold(Match{Kind: Request})
		a.Call("b", "Add", number{}, &number{}, time.Now().Add(time.Second), ends.add)
		time.Sleep(2 * time.Second)
		h.Release()
		time.Sleep(time.Second)
		if ended := ends.take(); len(ended) != 1 || !errors.Is(ended[0], ErrDeadline) || ran() != 1 {
			t.Errorf("released after the deadline: %v, ran %d times", ended, ran())
		}
	})
}

// TestClose: every call ends, also those made after it; nothing runs any more.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(rand.NewPCG(1, 2), Reliable())
		a := double(n, "a")
		b := double(n, "b")
		n.Hold(Match{To: "b"})
		n.Disconnect("c")
		var ends list[error]
		a.Call("b", "Double", number{1}, &number{}, time.Time{}, ends.add)
		b.Call("a", "Double", number{1}, &number{}, time.Time{}, ends.add)
		a.Call("c", "Double", number{1}, &number{}, time.Time{}, ends.add)
		b.Close()
		n.Close()
		a.Call("b", "Double", number{1}, &number{}, time.Time{}, ends.add)
		n.Endpoint("d").Call("a", "Double", number{1}, &number{}, time.Time{}, ends.add)
		time.Sleep(soon)
		synctest.Wait()
		ended := ends.take()
		for _, err := range ended {
			if !errors.Is(err, ErrClosed) {
				t.Errorf("ended with %v", err)
			}
		}
		if len(ended) != 5 {
			t.Errorf("%d of 5 calls ended", len(ended))
		}
	})
}

// TestSeed: the same seed draws the same losses.
func TestSeed(t *testing.T) {
	run := func(seed uint64) (answered string) {
		synctest.Test(t, func(t *testing.T) {
			n := New(rand.NewPCG(seed, 0), Unreliable())
			defer n.Close()
			a := double(n, "a")
			for i := range 100 {
				if _, err := ask[number](a, "a", "Double", number{i}, time.Second); err == nil {
					answered += fmt.Sprint(i, " ")
				}
			}
		})
		return answered
	}
	if first := run(1); first != run(1) || first == run(2) {
		t.Error("the seed does not decide what is lost")
	}
}

// TestReplay: every request arrives once more, as late as the conditions say, and
// nobody waits for the second answer.
func TestReplay(t *testing.T) {
	c := Reliable()
	c.Replay, c.Late = 1, Range{time.Minute, time.Minute}
	bubble(t, c, func(t *testing.T, n *Network) {
		a, _ := counting(n, "a")
		_, ran := counting(n, "b")
		if _, err := ask[number](a, "b", "Add", number{}, time.Second); err != nil || ran() != 1 {
			t.Fatalf("error %v, handled %d times; one request was answered", err, ran())
		}
		time.Sleep(time.Minute + time.Second)
		if ran() != 2 {
			t.Fatalf("handled %d times; the request was to arrive again", ran())
		}
	})
}

// TestLateRequest: a late request is overtaken by the next one.
func TestLateRequest(t *testing.T) {
	c := Reliable()
	c.LateRequest, c.Late = 1, Range{time.Second, time.Second}
	bubble(t, c, func(t *testing.T, n *Network) {
		a, _ := counting(n, "a")
		_, ran := counting(n, "b")
		began := time.Now()
		if _, err := ask[number](a, "b", "Add", number{}, time.Minute); err != nil || ran() != 1 || time.Since(began) < time.Second {
			t.Fatalf("error %v, handled %d times, after %v; the request was to take a second", err, ran(), time.Since(began))
		}
	})
}

// TestHandleOnceOfAServerThatStarts: requests are on their way, and on their way
// again, before the server says that they arrive once.
func TestHandleOnceOfAServerThatStarts(t *testing.T) {
	for name, change := range map[string]func(*Conditions){
		"duplicated": func(c *Conditions) { c.Duplicate = 1 },
		"replayed":   func(c *Conditions) { c.Replay = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			c := Reliable()
			c.LateRequest, c.Late = 1, Range{time.Second, time.Second}
			change(&c)
			bubble(t, c, func(t *testing.T, n *Network) {
				a, _ := counting(n, "a")
				b, ran := n.Endpoint("b"), 0
				time.AfterFunc(time.Second/2, func() {
					HandleOnce(b, "Add", func(string, *number) (*number, error) {
						ran++
						return &number{}, nil
					})
				})
				if _, err := ask[number](a, "b", "Add", number{}, time.Minute); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				if ran != 1 {
					t.Fatalf("handled %d times", ran)
				}
			})
		})
	}
}

// TestHandleOnce: conditions that double every request leave some methods alone.
func TestHandleOnce(t *testing.T) {
	c := Reliable()
	c.Duplicate, c.Replay = 1, 1
	bubble(t, c, func(t *testing.T, n *Network) {
		a, _ := counting(n, "a")
		ran := 0
		HandleOnce(n.Endpoint("b"), "Add", func(string, *number) (*number, error) {
			ran++
			return &number{}, nil
		})
		if _, err := ask[number](a, "b", "Add", number{}, time.Second); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if ran != 1 {
			t.Fatalf("handled %d times", ran)
		}
	})
}
