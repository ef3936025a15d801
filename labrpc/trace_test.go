package labrpc

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestTrace: the fate of every message is told, and a reply knows its request.
func TestTrace(t *testing.T) {
	bubble(t, perfect, func(t *testing.T, n *Network) {
		a := double(n, "a")
		double(n, "b")
		var told list[string]
		n.Trace(func(m *Message, fate Fate) {
			var args number
			if m.Kind == Reply {
				if err := m.Request.Decode(&args); err != nil || args.N != 7 {
					t.Errorf("the reply answers %+v, %v", args, err)
				}
			}
			told.add(fmt.Sprint(m.Kind, " ", fate))
		})
		expect := func(what string, fates ...string) {
			t.Helper()
			time.Sleep(time.Second)
			if got := told.take(); !slices.Equal(got, fates) {
				t.Errorf("%s: %v, expected %v", what, got, fates)
			}
		}
		call := func() { a.Call("b", "Double", number{7}, &number{}, time.Time{}, func(error) {}) }
		call()
		expect("a call", "request 1", "reply 1")
		h := n.Hold(Match{Kind: Request})
		call()
		expect("a held call", "request 2")
		h.Release()
		expect("released", "request 1", "reply 1")
		n.Cut("b", "a")
		call()
		expect("a reply cut off", "request 1", "reply 3")
		h = n.Hold(Match{Kind: Request})
		call()
		h.Drop()
		expect("a dropped call", "request 2", "request 3")
		n.Cut("a", "b")
		call()
		expect("a call cut off", "request 3")
	})
}

// TestDelay: whoever sets delays decides when a message arrives.
func TestDelay(t *testing.T) {
	bubble(t, Reliable(), func(t *testing.T, n *Network) {
		a := double(n, "a")
		double(n, "b")
		n.SetDelay(func(m *Message) time.Duration {
			if m.Kind == Reply {
				return 3 * time.Second
			}
			return 2 * time.Second
		})
		began := time.Now()
		if _, err := ask[number](a, "b", "Double", number{1}, time.Minute); err != nil || time.Since(began) != 5*time.Second {
			t.Errorf("%v after %v, expected 5 s", err, time.Since(began))
		}
	})
}

// TestReleaseThis: any held message can go first; the others stay.
func TestReleaseThis(t *testing.T) {
	bubble(t, perfect, func(t *testing.T, n *Network) {
		a := double(n, "a")
		double(n, "b")
		h := n.Hold(Match{Kind: Request})
		var replies [2]number
		for i := range replies {
			a.Call("b", "Double", number{i + 1}, &replies[i], time.Time{}, func(error) {})
		}
		held := h.Held()
		if !h.ReleaseThis(held[1]) || h.ReleaseThis(held[1]) {
			t.Error("the second message went out not at all, or twice")
		}
		time.Sleep(time.Second)
		synctest.Wait() // the callback has returned: the replies may be read
		if replies != [2]number{{0}, {4}} || len(h.Held()) != 1 {
			t.Errorf("after the release of the second of two: %v, %d held", replies, len(h.Held()))
		}
	})
}
