package kv

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lockstep.example/raft"
	"lockstep.example/raft/session"
)

// propose brings a command into the log: through this server's Raft if it leads,
// else through the leader's. A forwarded command goes no further, so servers that
// disagree about who leads cannot pass it round. Nobody here retries: the Clerk
// does, for it has the session.
func (s *Server) propose(ctx context.Context, args *Request, reply *Reply) {
	result, err := s.raft().Propose(ctx, s.encode(args))
	if err == nil {
		reply.Answer = result.Value
		return
	}
	var elsewhere *raft.NotLeaderError
	if !errors.Is(err, raft.ErrUnknown) && errors.As(err, &elsewhere) && elsewhere.Address != "" &&
		!args.Forwarded && s.config.Caller != nil {
		s.forward(ctx, elsewhere.Address, args, reply)
		return
	}
	s.refuse(reply, args.Op, err)
}

// forward sends a command to the leader and hands its answer back. If the answer
// is lost the outcome is unknown: neither done nor refused.
func (s *Server) forward(ctx context.Context, leader string, args *Request, reply *Reply) {
	passed := *args
	passed.Forwarded = true
	if deadline, ok := ctx.Deadline(); ok {
		passed.Timeout = max(1, time.Until(deadline))
	}
	var answer Reply
	err := s.config.Caller.Call(ctx, leader, MethodDo, &passed, &answer)
	switch {
	case err == nil:
		*reply = answer
		if reply.Leader == "" && reply.Code == CodeOK {
			reply.Leader = leader
		}
	case notSent(err):
		reply.Code, reply.Leader = CodeNotLeader, leader
		reply.Message = fmt.Sprintf("the leader at %s cannot be reached from here: %v", leader, err)
	default:
		reply.Code, reply.Leader = CodeUnknown, leader
		reply.Message = fmt.Sprintf("forwarded to the leader at %s, which did not answer: %v", leader, err)
	}
}

// encode makes the log entry of a command: the envelope, stamped with this
// server's time, around the command.
func (s *Server) encode(args *Request) []byte {
	e := session.Envelope{Kind: session.KindCommand, Elapsed: s.elapsed(), Client: args.Client, Seq: args.Seq, Floor: args.Floor}
	if args.Op == OpOpenSession {
		return session.AppendHeader(nil, &session.Envelope{Kind: session.KindOpen, Elapsed: e.Elapsed})
	}
	entry := make([]byte, 0, session.HeaderBytes+12+len(args.Key)+len(args.Value))
	return args.command().Append(session.AppendHeader(entry, &e))
}

// elapsed is the time to stamp on a command. Should this server not lead any
// more, or lead in a later term than it knows, the command is refused or the
// session clock sees the jump and passes over it.
func (s *Server) elapsed() time.Duration {
	if o := s.office.Load(); o != nil {
		return time.Since(o.from)
	}
	return 0
}
