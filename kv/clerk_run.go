package kv

import (
	"context"
	"fmt"
	"time"
)

// maxFollows is how many hints in a row are followed without a pause, so that two
// servers that each take the other for the leader are not asked in a tight loop.
const maxFollows = 2

// run sends a request until a server does it or ctx ends. refresh, if not nil,
// brings the request up to date before each attempt.
//
// Each attempt ends in one of three ways. Done: the reply goes to the caller.
// Refused, or certainly not sent: nothing happened, try elsewhere. Anything else:
// it may have happened, or may yet. Then it is sent again all the same, for a read
// does no harm and a command has its session; but if ctx ends before an answer
// comes, the outcome is unknown and not a refusal, whatever the attempts after it
// met.
func (c *Clerk) run(ctx context.Context, r *Request, refresh func(*Request)) (*Reply, error) {
	unknown, follows, pause := false, 0, c.config.BackoffMin
	last := errUnsent
	for ctx.Err() == nil {
		request := *r
		if refresh != nil {
			refresh(&request)
		}
		target := c.targets.pick()
		reply, err := c.attempt(ctx, target, &request)
		if err == nil && reply.Code == CodeOK {
			c.targets.worked(target, reply.Leader)
			return reply, nil
		}
		follow := false
		if err != nil {
			last = err
			unknown = unknown || !notSent(err)
			c.targets.failed(target, false, "")
		} else {
			last = &RefusedError{Server: reply.Server, Code: reply.Code, Message: reply.Message}
			switch {
			case reply.Code == CodeInvalid && !unknown:
				return nil, fmt.Errorf("%v: %w", r.Op, last)
			case reply.Code == CodeOverloaded: // the others are too, by way of the leader
			default:
				unknown = unknown || refusalUnknown(reply.Code)
				follow = c.targets.failed(target, true, reply.Leader)
			}
		}
		if follow && follows < maxFollows {
			follows++
			continue
		}
		follows = 0
		c.pause(ctx, &pause)
	}
	cause := fmt.Errorf("%w; the latest: %w", context.Cause(ctx), last)
	if unknown && !r.Op.reads() && r.Op != OpOpenSession {
		return nil, &UnknownError{Op: r.Op.String(), Cause: cause}
	}
	return nil, unavailable(r.Op.String(), cause)
}

// refusalUnknown tells whether a refusal leaves open what happened. A code of a
// newer server proves nothing.
func refusalUnknown(code Code) bool {
	switch code {
	case CodeNotLeader, CodeOverloaded, CodeRejected, CodeStopped, CodeUnavailable, CodeInvalid:
		return false
	}
	return true
}

// attempt asks one server, for as long as it is worth waiting for.
func (c *Clerk) attempt(ctx context.Context, target string, r *Request) (*Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, c.config.AttemptTimeout)
	defer cancel()
	if deadline, ok := ctx.Deadline(); ok {
		r.Timeout = max(1, time.Until(deadline))
	}
	var reply Reply
	if err := c.config.Caller.Call(ctx, target, MethodDo, r, &reply); err != nil {
		return nil, err
	}
	return &reply, nil
}

// pause waits a while before the next attempt, and makes the next pause longer.
func (c *Clerk) pause(ctx context.Context, next *time.Duration) {
	half := *next / 2
	timer := time.NewTimer(half + time.Duration(c.config.Rand()%uint64(half+1)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	*next = min(2**next, c.config.BackoffMax)
}
