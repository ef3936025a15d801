package rpc

import (
	"errors"
	"fmt"
	"sync"

	"lockstep.example/raft"
)

// raftService is what net/rpc calls for one connection of a peer: it hands
// requests to the attached handler. An error it returns reaches the other side
// as text, and means there that no answer was given.
type raftService struct {
	s *Server
	c *conn

	mu sync.Mutex
	// turns holds the turn of each AppendEntries that was decoded, until its
	// handler runs; guarded by mu.
	turns map[*raft.AppendEntriesArgs]*turn
}

const raftServiceName = "Raft"

var errNoHandler = errors.New("no Raft is attached to this server yet, or it has stopped")

// stamp gives a request its turn; the codec calls it in the order of arrival.
func (r *raftService) stamp(args *raft.AppendEntriesArgs) {
	t := r.c.order.take()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turns[args] = t
}

func (r *raftService) turnOf(args *raft.AppendEntriesArgs) *turn {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.turns[args]
	delete(r.turns, args)
	return t
}

// handler returns who takes a request, if its sender is who the connection
// belongs to: no server speaks in another's name.
func (r *raftService) handler(from raft.ServerID) (raft.Handler, error) {
	if string(from) != r.c.remote.sender {
		return nil, fmt.Errorf("a request says it is from %q on a connection of %q", from, r.c.remote.sender)
	}
	if h := r.s.handler(); h != nil {
		return h, nil
	}
	return nil, errNoHandler
}

// RequestVote is called by net/rpc.
func (r *raftService) RequestVote(args *raft.RequestVoteArgs, reply *raft.RequestVoteReply) error {
	h, err := r.handler(args.From)
	if err != nil {
		return err
	}
	answer, err := h.HandleRequestVote(args)
	return give(reply, answer, err)
}

// AppendEntries is called by net/rpc. Its turn ends at the latest when the
// handler returns or panics.
func (r *raftService) AppendEntries(args *raft.AppendEntriesArgs, reply *raft.AppendEntriesReply) error {
	t := r.turnOf(args)
	defer t.End()
	h, err := r.handler(args.From)
	if err != nil {
		return err
	}
	answer, err := h.HandleAppendEntries(args, t)
	return give(reply, answer, err)
}

// ReadIndex is called by net/rpc.
func (r *raftService) ReadIndex(args *raft.ReadIndexArgs, reply *raft.ReadIndexReply) error {
	h, err := r.handler(args.From)
	if err != nil {
		return err
	}
	answer, err := h.HandleReadIndex(args)
	return give(reply, answer, err)
}

func give[R any](reply, answer *R, err error) error {
	if err == nil && answer == nil {
		err = errors.New("the handler gave no answer")
	}
	if err == nil {
		*reply = *answer
	}
	return err
}
