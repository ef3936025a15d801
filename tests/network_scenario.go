package tests

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep.example/raft/labrpc"
)

// NetworkScenario is one story about the simulated network itself: a server with
// a few silly methods, and clients that call them. No Raft is involved. What the
// other scenarios of this package say of a Raft is worth as much as the network
// they say it on.
type NetworkScenario struct {
	Name       string
	Conditions labrpc.Conditions
	Run        func(n *Junk)
}

// RunNetwork runs scenarios of the network as parallel subtests, each on a
// network of its own in a bubble of its own: what it leaves running fails it.
func RunNetwork(t *testing.T, scenarios []NetworkScenario) {
	for _, s := range scenarios {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			seed := seed(t)
			synctest.Test(t, func(t *testing.T) {
				n := &Junk{T: attributed{t}, Net: labrpc.New(rand.NewPCG(seed, 3), s.Conditions), seed: seed, hung: make(chan struct{})}
				defer n.Net.Close()
				defer close(n.hung) // first: Close waits for the handlers
				n.Serve()
				s.Run(n)
			})
		})
	}
}

// Junk is a network with a server named "server" on it. Its methods, and those of
// its clients, may be called by any goroutine of a scenario, but for Fatal.
type Junk struct {
	T    T
	Net  *labrpc.Network
	seed uint64
	hung chan struct{} // closed at the end: lets go of the handlers that hang

	mu sync.Mutex
	// guarded by mu
	logged []string // the arguments of Log
	served int      // how many servers there have been
}

// The messages of the silly methods.
type (
	Text   struct{ S string }
	Number struct{ N int }
	// Inner and Nested are all that an argument may be made of.
	Inner  struct{ B []byte }
	Nested struct {
		P *Inner
		M map[string]uint64
		L []string
		F bool
	}
)

// Serve puts a server on the network, in the place of the one before it.
func (n *Junk) Serve() *labrpc.Endpoint {
	e := n.Net.Endpoint("server")
	n.mu.Lock()
	n.served++
	life := n.served
	n.mu.Unlock()
	labrpc.Handle(e, "Log", func(_ string, a *Text) (*Number, error) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.logged = append(n.logged, a.S)
		return &Number{len(n.logged)}, nil
	})
	labrpc.Handle(e, "Name", func(_ string, a *Number) (*Text, error) { return &Text{fmt.Sprint("name-", a.N)}, nil })
	labrpc.Handle(e, "Life", func(string, *Number) (*Number, error) { return &Number{life}, nil })
	labrpc.Handle(e, "Length", func(_ string, a *Text) (*Number, error) { return &Number{len(a.S)}, nil })
	labrpc.Handle(e, "Repeat", func(_ string, a *Number) (*Text, error) { return &Text{strings.Repeat("y", a.N)}, nil })
	labrpc.Handle(e, "Echo", func(_ string, a *Nested) (*Nested, error) { return a, nil })
	labrpc.Handle(e, "Hang", func(string, *Number) (*Text, error) {
		<-n.hung
		return &Text{"too late"}, nil
	})
	return e
}

// Fatal ends the scenario.
func (n *Junk) Fatal(format string, args ...any) {
	n.T.Helper()
	n.T.Errorf("LOCKSTEP_SEED=%d: %s", n.seed, fmt.Sprintf(format, args...))
	n.T.FailNow()
}

// callPatience ends a call that nothing else ends, far beyond what any may take.
const callPatience = time.Minute

// askServer calls a method of the server and waits.
func askServer[R any](from *labrpc.Endpoint, method string, args any) (R, error) {
	var reply R
	done := make(chan error, 1)
	from.Call("server", method, args, &reply, time.Now().Add(callPatience), func(err error) { done <- err })
	return reply, <-done
}

// name calls Name and tells whether it was answered; an answer must be the right
// one, and what is no answer one of the network's errors, in time.
func (n *Junk) name(from *labrpc.Endpoint, i int) bool {
	n.T.Helper()
	began := time.Now()
	reply, err := askServer[Text](from, "Name", Number{i})
	switch {
	case err == nil && reply.S != fmt.Sprint("name-", i):
		n.T.Errorf("LOCKSTEP_SEED=%d: %s asked for name %d and got %q", n.seed, from.Name(), i, reply.S)
	case errors.Is(err, labrpc.ErrDeadline):
		n.T.Errorf("LOCKSTEP_SEED=%d: the call of %s for name %d hung for %v", n.seed, from.Name(), i, time.Since(began))
	case err != nil && !errors.Is(err, labrpc.ErrLost) && !errors.Is(err, labrpc.ErrUnreachable) && !errors.Is(err, labrpc.ErrClosed):
		n.T.Errorf("LOCKSTEP_SEED=%d: the call of %s for name %d ended with %v", n.seed, from.Name(), i, err)
	}
	return err == nil
}

// must calls Name on a network that loses nothing.
func (n *Junk) must(from *labrpc.Endpoint, i int) {
	n.T.Helper()
	if !n.name(from, i) {
		n.Fatal("the call of %s for name %d was not answered", from.Name(), i)
	}
}

// lives is the number of the latest server.
func (n *Junk) lives() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.served
}

// requests is how many requests the server was sent.
func (n *Junk) requests() int { return n.Net.Traffic("", "server", "").Requests }
