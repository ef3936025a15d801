package tests

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep.example/raft/labrpc"
)

// fake is the least that satisfies the harness: its first server always leads,
// all apply what it sends in the order of numbers, and nothing is ever lost. It
// can be made to misbehave in one way.
type fake struct {
	env   Env
	fault string

	mu      sync.Mutex
	next    uint64            // leader: the next number
	early   map[uint64][]byte // what arrived before its turn
	applied uint64
}

type fakeEntry struct {
	Number  uint64
	Command []byte
}
type fakeReply struct{}

func fakes(fault string) Maker {
	return func(env Env) (Server, error) {
		f := &fake{env: env, fault: fault, next: 1, early: map[uint64][]byte{}}
		labrpc.Handle(env.Endpoint, "Add", func(_ string, e *fakeEntry) (*fakeReply, error) {
			f.add(*e)
			return &fakeReply{}, nil
		})
		return f, nil
	}
}

func (f *fake) add(e fakeEntry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.early[e.Number] = e.Command
	for {
		n := f.applied + 1
		command, ok := f.early[n]
		if !ok {
			return
		}
		f.applied = n
		a := Applied{Number: n, Index: n + 1, Term: 1, Command: command}
		switch {
		case f.fault == "skips" && n == 2:
			continue
		case f.fault == "differs" && f.env.ID == "s1":
			a.Command = []byte("another")
		}
		f.env.Apply(a)
	}
}

func (f *fake) leads() bool { return f.env.ID == f.env.Peers[0] || f.fault == "all lead" }

func (f *fake) Start(command []byte) (number, term uint64, leads bool) {
	if !f.leads() {
		return 0, 0, false
	}
	f.mu.Lock()
	e := fakeEntry{f.next, command}
	f.next++
	f.mu.Unlock()
	for _, peer := range f.env.Peers {
		if f.fault != "never commits" && (f.fault != "follower misses" || peer != "s1") {
			f.env.Endpoint.Call(peer, "Add", e, &fakeReply{}, time.Now().Add(time.Second), func(error) {})
		}
	}
	return e.Number, 1, true
}

func (f *fake) State() (term uint64, leads bool) { return 1, f.leads() }
func (f *fake) Kill() error {
	if f.fault == "does not end" {
		return fmt.Errorf("something still runs")
	}
	return nil
}

// Read answers with whatever was applied here.
func (f *fake) Read(context.Context) error { return nil }

// TestHarness: servers that behave pass, each fault is found.
func TestHarness(t *testing.T) {
	behind := func(c *Cluster) {
		c.Agree(c.Command(0), 3, false)
		if err := c.Read(1, time.Second); err != nil {
			c.fatal("%v", err)
		}
		c.Net.Cut("s0", "s1")
		c.Agree(c.Command(0), 2, false)
		_ = c.Read(1, time.Second)
		c.stopIfFailed()
	}
	for _, test := range []struct {
		fault  string
		run    func(c *Cluster)
		breach string
	}{
		{"", basicAgree, ""},
		{"", failAgree, "no agreement on"}, // its followers cannot catch up
		{"", concurrentStarts, ""},
		{"", reElection, "no leader after 10 looks"},
		{"", behind, "s1 answered a read having applied number 1; 2 was applied"},
		{"all lead", initialElection, "two leaders in term 1"},
		{"skips", concurrentStarts, "applies number 3 after number 1"},
		{"differs", basicAgree, `"another" (index 2, term 1)`},
		{"never commits", basicAgree, "0 servers have applied"},
		{"never commits", rejoin, "no agreement on"},
		{"follower misses", persist1, "no agreement on"},
		{"does not end", basicAgree, "kill s0: something still runs"},
	} {
		got := Try(t, fakes(test.fault), Scenario{"fake", 3, test.run})
		if test.breach == "" && got != "" || !strings.Contains(got, test.breach) {
			t.Errorf("fault %q: the harness says %q, expected %q", test.fault, got, test.breach)
		}
	}
}
