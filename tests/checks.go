package tests

import (
	"bytes"
	"context"
	"fmt"
	"time"
)

// The figures of the labs.
const (
	ElectionTimeout = time.Second            // "the election timeout" of a bound
	submitPatience  = 2 * time.Second        // for one proposal to be applied
	agreePatience   = 10 * time.Second       // for any of them
	retryPause      = 50 * time.Millisecond  // before asking every server again who leads
	pollMin         = 450 * time.Millisecond // between two looks for a leader
	pollSpread      = 100 * time.Millisecond
	polls           = 10
)

// await returns true once cond holds, false if that takes longer than d. cond is
// evaluated with c.mu held, at first and after each Apply.
func (c *Cluster) await(d time.Duration, cond func() bool) bool {
	timeout := time.After(d)
	for {
		c.mu.Lock()
		if cond() {
			c.mu.Unlock()
			return true
		}
		if c.changed == nil {
			c.changed = make(chan struct{})
		}
		changed := c.changed
		c.mu.Unlock()
		select {
		case <-changed:
		case <-timeout:
			return false
		}
	}
}

// state asks a server; down ones lead nothing.
func (c *Cluster) state(i int) (term uint64, leads bool) {
	s := c.Server(i)
	if s == nil {
		return 0, false
	}
	if term, leads = s.State(); leads {
		c.trace(Event{Kind: Leads, Server: c.ID(i), Term: term})
	}
	return term, leads
}

// Leader waits until some connected server leads and returns the leader of the
// highest term; it fails the test if there is none after ten looks about half a
// second apart. Two leaders in one term are found by the monitor.
func (c *Cluster) Leader() int {
	c.T.Helper()
	for range polls {
		c.Sleep(pollMin + time.Duration(c.Random(int(pollSpread))))
		if leader, _, ok := c.leaderNow(); ok {
			return leader
		}
	}
	c.fatal("no leader after %d looks: %s", polls, c.why())
	return -1
}

// leaderNow looks once.
func (c *Cluster) leaderNow() (leader int, highest uint64, ok bool) {
	for i := range c.N {
		if !c.Connected(i) {
			continue
		}
		if term, leads := c.state(i); leads && term > highest {
			leader, highest, ok = i, term, true
		}
	}
	return leader, highest, ok
}

// AgreedTerm returns the term that all connected servers are in; it fails the
// test if they differ.
func (c *Cluster) AgreedTerm() uint64 {
	c.T.Helper()
	var agreed uint64
	for i := range c.N {
		if !c.Connected(i) {
			continue
		}
		term, _ := c.state(i)
		if agreed != 0 && term != agreed {
			c.fatal("%s is in term %d, others are in term %d", c.ID(i), term, agreed)
		}
		agreed = term
	}
	return agreed
}

// NoLeader fails the test if a connected server believes to lead.
func (c *Cluster) NoLeader() {
	c.T.Helper()
	for i := range c.N {
		if term, leads := c.state(i); leads && c.Connected(i) {
			c.fatal("%s leads term %d; nobody can", c.ID(i), term)
		}
	}
}

// AppliedBy returns how many servers that run have applied a number, and the
// command. Where they differ the agreement monitor fails the test.
func (c *Cluster) AppliedBy(number uint64) (servers int, command []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.appliedByLocked(number)
}

func (c *Cluster) appliedByLocked(number uint64) (servers int, command []byte) {
	for _, m := range c.members {
		if m.life != nil && number > 0 && number <= uint64(len(m.life.applied)) {
			servers++
			command = m.life.applied[number-1].Command
		}
	}
	return servers, command
}

// Propose has one server start a command. ok is false if it is down or does not
// lead.
func (c *Cluster) Propose(i int, command []byte) (number, term uint64, ok bool) {
	s := c.Server(i)
	if s == nil {
		return 0, 0, false
	}
	return s.Start(command)
}

// MustPropose fails the test if the server does not lead.
func (c *Cluster) MustPropose(i int, command []byte) (number, term uint64) {
	c.T.Helper()
	number, term, ok := c.Propose(i, command)
	if !ok {
		c.fatal("%s rejected a proposal: it does not lead", c.ID(i))
	}
	return number, term
}

// Agree proposes a command to whoever leads and waits until at least expected
// servers have applied it; it returns the number. Leaders may change: it tries
// again for ten seconds, unless retry is false, and then fails the test.
func (c *Cluster) Agree(command []byte, expected int, retry bool) uint64 {
	c.T.Helper()
	number, err := c.agree(command, expected, retry)
	c.stopIfFailed() // by a monitor: then it gave up at once
	if err != nil {
		c.fatal("%v", err)
	}
	return number
}

// agree is Agree for any goroutine.
func (c *Cluster) agree(command []byte, expected int, retry bool) (uint64, error) {
	first := c.Random(c.N)
	for began := time.Now(); time.Since(began) < agreePatience && !c.T.Failed(); time.Sleep(retryPause) {
		number, ok := uint64(0), false
		for k := 0; k < c.N && !ok; k++ {
			if i := first + k; c.Connected(i) {
				number, _, ok = c.Propose(i, command)
			}
		}
		if !ok {
			continue
		}
		applied := c.await(submitPatience, func() bool {
			n, is := c.appliedByLocked(number)
			return n >= expected && bytes.Equal(is, command)
		})
		if applied {
			c.trace(Event{Kind: Acknowledges, Number: number, Content: string(command)})
			return number, nil
		}
		if !retry {
			n, is := c.AppliedBy(number)
			return 0, fmt.Errorf("%.40q was proposed at number %d; after %v %d servers have applied %.40q there, expected %d: %s",
				command, number, submitPatience, n, is, expected, c.why())
		}
	}
	return 0, fmt.Errorf("no agreement on %.40q by %d servers within %v: %s", command, expected, agreePatience, c.why())
}

// AgreeAs is Agree without retry, and the number must be the given one.
func (c *Cluster) AgreeAs(number uint64, command []byte, expected int) {
	c.T.Helper()
	if got := c.Agree(command, expected, false); got != number {
		c.fatal("%.40q has number %d, expected %d", command, got, number)
	}
}

// AwaitApplied waits until at least expected servers have applied a number and
// returns the command. If term is not 0 it gives up, without failing the test,
// when a server has left that term.
func (c *Cluster) AwaitApplied(number uint64, expected int, term uint64) (command []byte, ok bool) {
	c.T.Helper()
	for pause := 10 * time.Millisecond; pause < 3*time.Second; pause *= 2 {
		done := c.await(pause, func() bool {
			n := 0
			n, command = c.appliedByLocked(number)
			return n >= expected
		})
		c.stopIfFailed()
		if done {
			return command, true
		}
		for i := range c.N {
			if now, _ := c.state(i); term != 0 && now > term {
				return nil, false
			}
		}
	}
	n, _ := c.AppliedBy(number)
	c.fatal("%d servers have applied number %d, expected %d: %s", n, number, expected, c.why())
	return nil, false
}

// NotApplied fails the test if anyone has applied a number.
func (c *Cluster) NotApplied(number uint64) {
	c.T.Helper()
	if n, command := c.AppliedBy(number); n > 0 {
		c.fatal("%d servers have applied %.40q at number %d; it cannot be committed", n, command, number)
	}
}

// StaleError tells of a read that was answered and must not have been.
type StaleError struct {
	Server             string
	Applied, Committed uint64
}

func (e *StaleError) Error() string {
	return fmt.Sprintf("%s answered a read having applied number %d; %d was applied somewhere before the read began",
		e.Server, e.Applied, e.Committed)
}

// Read has one server serve a linearizable read and fails the test if it is
// answered stale. A nil error means that it was answered.
func (c *Cluster) Read(i int, patience time.Duration) error {
	c.mu.Lock()
	l := c.members[i%c.N].life
	before := c.top
	c.mu.Unlock()
	if l == nil {
		return fmt.Errorf("%s is down", c.ID(i))
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := l.server.(Reader).Read(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := uint64(len(l.applied)); n < before && !l.over {
		c.failLocked(&StaleError{c.ID(i), n, before})
	}
	return nil
}

// why collects what the servers say of themselves.
func (c *Cluster) why() string {
	var b bytes.Buffer
	for i := range c.N {
		s := c.Server(i)
		if s == nil {
			fmt.Fprintf(&b, "\n  %s is down", c.ID(i))
			continue
		}
		term, leads := s.State()
		fmt.Fprintf(&b, "\n  %s: term %d, leads %v", c.ID(i), term, leads)
		if e, ok := s.(Explainer); ok {
			fmt.Fprintf(&b, "; %s", e.Why())
		}
	}
	return b.String()
}
