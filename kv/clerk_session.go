package kv

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"lockstep.example/raft/internal/wake"
	"lockstep.example/raft/session"
)

// clerkSession numbers the commands of one session. The floor is the highest
// number up to which every operation has ended, whether its outcome was learned
// or not: an operation that gave up will not ask again. A number is handed out
// only within the window above the floor, so the servers never refuse one.
type clerkSession struct {
	id, window uint64     // immutable
	moved      wake.Batch // the floor rose

	mu sync.Mutex
	// guarded by mu
	last  uint64          // the highest number handed out
	floor uint64          // every number up to it has ended
	ended map[uint64]bool // numbers above the floor that have
}

// begin hands out the next number, once it is within the window.
func (s *clerkSession) begin(ctx context.Context) (uint64, error) {
	for {
		moved := s.moved.Join()
		s.mu.Lock()
		if s.last-s.floor < s.window {
			s.last++
			seq := s.last
			s.mu.Unlock()
			return seq, nil
		}
		s.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return 0, fmt.Errorf("%w while %d earlier commands were under way, the most a session allows", context.Cause(ctx), s.window)
		}
	}
}

// end says that nobody will ask for seq again.
func (s *clerkSession) end(seq uint64) {
	s.mu.Lock()
	s.ended[seq] = true
	before := s.floor
	for s.ended[s.floor+1] {
		s.floor++
		delete(s.ended, s.floor)
	}
	rose := s.floor != before
	s.mu.Unlock()
	if rose {
		s.moved.Release()
	}
}

func (s *clerkSession) currentFloor() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.floor
}

// write runs a command through the session, opening one if need be.
func (c *Clerk) write(ctx context.Context, command *Command) (WriteResult, error) {
	op := command.Op.String()
	if err := command.check(); err != nil {
		return WriteResult{}, fmt.Errorf("%s: %w", op, err)
	}
	ctx, leave, err := c.enter(ctx)
	if err != nil {
		return WriteResult{}, fmt.Errorf("%s: %w", op, err)
	}
	defer leave()
	s, err := c.session(ctx)
	if err != nil {
		return WriteResult{}, fmt.Errorf("%s: %w", op, err)
	}
	seq, err := s.begin(ctx)
	if err != nil {
		return WriteResult{}, unavailable(op, err)
	}
	defer s.end(seq)
	r := &Request{Op: command.Op, Key: command.Key, Value: command.Value, Revision: command.Revision, Client: s.id, Seq: seq}
	reply, err := c.run(ctx, r, func(r *Request) { r.Floor = s.currentFloor() })
	if err != nil {
		return WriteResult{}, err
	}
	return c.outcome(s, command, reply)
}

// outcome reads what became of a command that was applied.
func (c *Clerk) outcome(s *clerkSession, command *Command, reply *Reply) (WriteResult, error) {
	op := command.Op.String()
	answer, err := session.ParseAnswer(reply.Answer)
	switch {
	case err == nil:
		result, err := ParseResult(answer.Result, command)
		if err != nil {
			err = fmt.Errorf("%s: %w", op, err)
		}
		return result, err
	case errors.Is(err, session.ErrUnknownSession):
		c.drop(s)
		return WriteResult{}, &SessionError{Op: op, Client: s.id}
	case errors.Is(err, session.ErrAhead):
		return WriteResult{}, unavailable(op, err)
	}
	// Gone, or an answer this program cannot read: it proves nothing.
	return WriteResult{}, &UnknownError{Op: op, Cause: err}
}

// session returns the open session. One caller opens it, the others wait; if that
// fails the next one tries, within its own deadline.
func (c *Clerk) session(ctx context.Context) (*clerkSession, error) {
	for {
		c.mu.Lock()
		if s := c.current; s != nil {
			c.mu.Unlock()
			return s, nil
		}
		if c.opening == nil {
			done := make(chan struct{})
			c.opening = done
			c.mu.Unlock()
			s, err := c.open(ctx)
			c.mu.Lock()
			c.current, c.opening = s, nil
			c.mu.Unlock()
			close(done)
			return s, err
		}
		done := c.opening
		c.mu.Unlock()
		select {
		case <-done:
		case <-ctx.Done():
			return nil, unavailable(OpOpenSession.String(), context.Cause(ctx))
		}
	}
}

// open opens a session. A retry may open a second one; the first is then never
// used.
func (c *Clerk) open(ctx context.Context) (*clerkSession, error) {
	reply, err := c.run(ctx, &Request{Op: OpOpenSession}, nil)
	if err != nil {
		return nil, err
	}
	answer, err := session.ParseAnswer(reply.Answer)
	if err != nil {
		return nil, unavailable(OpOpenSession.String(), err)
	}
	return &clerkSession{id: answer.Client, window: answer.Window, ended: map[uint64]bool{}}, nil
}

// drop forgets a session that the servers do not know.
func (c *Clerk) drop(s *clerkSession) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current == s {
		c.current = nil
	}
}
