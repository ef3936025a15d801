package kvlab

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// labLock are the labs' scenarios for a lock, on a server alone; labLockCluster
// the same on clusters.
var (
	labLock = []scenario{
		{"OneClientReliable", []int{1}, locking{clients: 1}.run},
		{"ManyClientsReliable", []int{1}, locking{clients: 10}.run},
		{"OneClientUnreliable", []int{1}, locking{clients: 1, unreliable: true}.run},
		{"ManyClientsUnreliable", []int{1}, locking{clients: 10, unreliable: true}.run},
	}
	labLockCluster = []scenario{
		{"ManyClientsReliable-3servers", []int{3}, locking{clients: 10}.run},
		{"ManyClientsUnreliable-3servers", []int{3}, locking{clients: 10, unreliable: true}.run},
		{"ManyClientsUnreliable-5servers", []int{5}, locking{clients: 10, unreliable: true}.run},
		{"ManyClientsUnreliable-7servers", []int{7}, locking{clients: 10, unreliable: true}.run},
	}
)

// locking is clients that take turns at a lock for two seconds.
type locking struct {
	clients    int
	unreliable bool
}

const (
	lockTime = 2 * time.Second
	holdTime = 10 * time.Millisecond
)

// critical is what the lock protects: who is in there, and how often anyone was.
type critical struct {
	mu    sync.Mutex // a leaf
	who   int
	turns int
}

func (c *critical) enter(client int) (other int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if other = c.who; other == 0 {
		c.who = client
		c.turns++
	}
	return other
}

func (c *critical) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.who = 0
}

func (l locking) run(w *world) {
	first := w.client()
	for range 2 { // there is a leader, and the lock of each client can be had
		w.turn(first, w.lock(first, "warm", w.random), &critical{})
	}
	if l.unreliable {
		w.unreliable()
	}
	var protected critical
	ctx, end := context.WithCancel(w.ctx)
	var working sync.WaitGroup
	for range l.clients {
		c := w.client()
		w.run(&working, func() {
			lock := w.lock(c, "lock", w.random)
			for ctx.Err() == nil && w.turn(c, lock, &protected) {
			}
		})
	}
	w.Sleep(lockTime)
	end()
	w.within(30*time.Second, "the clients", ended(&working))
	w.stopIfFailed()
	if enough := 5; protected.turns < enough {
		w.fatal("the lock was taken %d times in %v, expected %d at least", protected.turns, lockTime, enough)
	}
	w.Note("the lock was taken %d times", protected.turns)
}

// turn takes the lock, stays a while, alone, and gives it back. False if
// something went wrong.
func (w *world) turn(c *client, lock Locker, protected *critical) bool {
	if err := lock.Acquire(); err != nil {
		w.Fail(fmt.Errorf("client %d: acquire: %w", c.name, err))
		return false
	}
	if other := protected.enter(c.name); other != 0 {
		w.Fail(fmt.Errorf("client %d has the lock while client %d has it", c.name, other))
		return false
	}
	time.Sleep(holdTime)
	protected.leave()
	if err := lock.Release(); err != nil {
		w.Fail(fmt.Errorf("client %d: release: %w", c.name, err))
		return false
	}
	return true
}
