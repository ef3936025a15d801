package rpc

import (
	"context"
	"fmt"
	"sync"
	"time"

	"lockstep.example/raft"
)

// peer is the way to one other server: two lines, so that entries never delay
// what keeps a leader in office. It implements raft.Peer.
type peer struct {
	id            raft.ServerID
	control, data *line

	mu      sync.Mutex
	address string // guarded by mu
}

// callOverhead is added to the bytes of a batch for the queue's bound.
const callOverhead = 256

// newPeer makes a peer; its lines are not started yet.
func (s *Server) newPeer(id raft.ServerID, address string) *peer {
	p := &peer{id: id, address: address}
	rules := policy{
		calls: s.limits.QueueCalls, bytes: s.limits.QueueBytes,
		maxBackoff: time.Second, keepAlive: s.limits.IdleTimeout / 3,
	}
	open := func(kind class) *line {
		name := func() string { return fmt.Sprintf("%s at %s (%v)", id, p.where(), kind) }
		return newLine(rules, name, func(ctx context.Context) (*conn, error) { return s.dialPeer(ctx, p, kind) })
	}
	p.control, p.data = open(classControl), open(classData)
	return p
}

func (p *peer) where() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.address
}

// move gives the peer an address; a new one is dialled at once.
func (p *peer) move(address string) {
	p.mu.Lock()
	same := p.address == address
	p.address = address
	p.mu.Unlock()
	if same {
		return
	}
	for _, l := range []*line{p.control, p.data} {
		l.kick()
		l.hangUp(fmt.Errorf("%s moved to %s", p.id, address))
	}
}

// seen has the lines stop waiting to dial: the peer has just dialled us.
func (p *peer) seen() {
	p.control.kick()
	p.data.kick()
}

func (p *peer) stop() {
	p.control.stop()
	p.data.stop()
}

func (p *peer) RequestVote(args *raft.RequestVoteArgs, deadline time.Time, done func(*raft.RequestVoteReply, error)) {
	enqueue(p.control, "RequestVote", args, 0, deadline, done)
}

func (p *peer) AppendEntries(args *raft.AppendEntriesArgs, deadline time.Time, done func(*raft.AppendEntriesReply, error)) {
	l := p.data
	if args.Heartbeat {
		l = p.control
	}
	enqueue(l, "AppendEntries", args, len(args.Batch.Body), deadline, done)
}

func (p *peer) ReadIndex(args *raft.ReadIndexArgs, deadline time.Time, done func(*raft.ReadIndexReply, error)) {
	enqueue(p.control, "ReadIndex", args, 0, deadline, done)
}

// enqueue puts a call of Raft's service on a line.
func enqueue[R any](l *line, method string, args any, size int, deadline time.Time, done func(*R, error)) {
	reply := new(R)
	l.enqueue(&call{
		method: raftServiceName + "." + method, size: size + callOverhead, deadline: deadline, args: args, reply: reply,
		done: func(err error) {
			if err != nil {
				reply = nil
			}
			done(reply, err)
		},
	})
}
