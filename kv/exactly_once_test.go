package kv

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep.example/raft/session"
)

// TestExactlyOnce: many appends of distinct tokens, by several clerks with many in
// flight each, while requests and replies get lost, arrive twice and late, and the
// leader moves. In the end each acknowledged token is there once, one of unknown
// outcome at most once, and a refused one not at all (but for a request that the
// network delivers twice, since the refusal of one copy says nothing of the other).
func TestExactlyOnce(t *testing.T) {
	for seed := range uint64(6) {
		f := allFaults
		if seed%2 == 0 {
			f.duplicate = 0
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { exactlyOnce(t, seed, f) })
		})
	}
}

// What a worker was told of an append.
const (
	acked = iota
	unknown
	refused
)

// tokens is what was appended, and what was said of each.
type tokens struct {
	t *testing.T

	mu      sync.Mutex
	outcome map[string]int
	count   [3]int
}

// append adds n distinct tokens to one key, one after the other.
func (k *tokens) append(clerk *Clerk, name string, worker, n int) {
	for i := range n {
		token := fmt.Sprintf("<%s.%d.%d>", name, worker, i)
		_, err := clerk.Append(within(4*time.Second), fmt.Appendf(nil, "key%d", worker), []byte(token))
		o := acked
		switch {
		case errors.Is(err, ErrUnknown):
			o = unknown
		case errors.Is(err, ErrUnavailable):
			o = refused
		case err != nil:
			k.t.Errorf("append: %v", err)
		}
		k.mu.Lock()
		k.outcome[token] = o
		k.count[o]++
		k.mu.Unlock()
	}
}

// check compares with what the keys of so many workers hold.
func (k *tokens) check(clerk *Clerk, workers int, duplicates bool) {
	found := map[string]int{}
	for w := range workers {
		r, err := clerk.Get(k.t.Context(), fmt.Appendf(nil, "key%d", w))
		if err != nil {
			k.t.Fatal(err)
		}
		for token := range strings.SplitSeq(string(r.Value), ">") {
			found[token+">"]++
		}
	}
	for token, o := range k.outcome {
		switch n := found[token]; {
		case n > 1, o == acked && n == 0, o == refused && n > 0 && !duplicates:
			k.t.Errorf("%s (outcome %d) is there %d times", token, o, n)
		}
	}
	if k.count[acked] < 300 || k.count[unknown] == 0 {
		k.t.Errorf("%d acknowledged, %d unknown, %d refused: it tests too little", k.count[acked], k.count[unknown], k.count[refused])
	}
}

func exactlyOnce(t *testing.T, seed uint64, f faults) {
	const clerks, workersEach = 3, 5
	limits := session.DefaultLimits()
	limits.Window = 6
	c := newFakeCluster(t, 3, seed, limits)
	c.faults = f
	stop, cancel := context.WithCancel(t.Context())
	var chaos, workers sync.WaitGroup
	chaos.Go(func() {
		random := rand.New(rand.NewPCG(seed, 6))
		for sleep(stop, time.Duration(random.IntN(2000))*time.Millisecond) {
			c.lead(random.IntN(4) - 1)
			c.set(func() { clear(c.down); c.down[random.IntN(3)] = random.IntN(2) == 0 })
		}
	})
	written := &tokens{t: t, outcome: map[string]int{}}
	for i := range uint64(clerks) {
		clerk := newTestClerk(t, c, seed*10+i)
		defer clerk.Close()
		for w := range workersEach {
			workers.Go(func() { written.append(clerk, fmt.Sprint(i), w, 40) })
		}
	}
	workers.Wait()
	cancel()
	chaos.Wait()
	c.set(func() { c.faults = faults{}; clear(c.down) })
	c.lead(0)
	c.late.Wait()
	reader := newTestClerk(t, c, seed)
	written.check(reader, workersEach, f.duplicate > 0)
	reader.Close()
	var first StatusReply
	for i, s := range c.servers {
		c.set(func() { c.catchUp(i) })
		var st StatusReply
		if s.Status(&StatusRequest{}, &st); i == 0 {
			first = st
		}
		if st.Hash != first.Hash || st.HashIndex != first.HashIndex {
			t.Errorf("%s has hash %x at %d, n1 %x at %d", st.ID, st.Hash, st.HashIndex, first.Hash, first.HashIndex)
		}
	}
}
