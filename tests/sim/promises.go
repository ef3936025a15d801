package sim

import (
	"fmt"

	"lockstep.example/raft"
	"lockstep.example/raft/labrpc"
	"lockstep.example/raft/tests"
)

// promises looks at every reply when a server sends it: a vote and an
// acknowledgement of entries are promises, and what is promised must be durable
// by then. Without it a promise that came too early would be seen only if a power
// loss took it back and somebody had relied on it. It is called with the
// network's lock held.
func (d *durability) promises(m *labrpc.Message, fate labrpc.Fate) {
	if fate != labrpc.Sent || m.Kind != labrpc.Reply {
		return
	}
	var err error
	switch m.Method {
	case tests.MethodVote:
		err = d.promisedVote(m)
	case tests.MethodAppend:
		err = d.promisedEntries(m)
	}
	if err != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.fail(err)
	}
}

func (d *durability) promisedVote(m *labrpc.Message) error {
	var reply raft.RequestVoteReply
	var args raft.RequestVoteArgs
	if err := m.Decode(&reply); err != nil || !reply.Granted {
		return err
	}
	if err := m.Request.Decode(&args); err != nil || args.PreVote {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.votes[ballot{m.From, args.Term}] != args.From {
		return fmt.Errorf("%s tells %s that it has its vote in term %d, which is not durable", m.From, args.From, args.Term)
	}
	return nil
}

// promisedEntries looks at the last entry alone: a disk keeps what was staged in
// its order.
func (d *durability) promisedEntries(m *labrpc.Message) error {
	var reply raft.AppendEntriesReply
	var args raft.AppendEntriesArgs
	if err := m.Decode(&reply); err != nil || reply.Refusal != raft.Agreed {
		return err
	}
	if err := m.Request.Decode(&args); err != nil || args.Batch.Count == 0 {
		return err
	}
	entries, err := args.Batch.Entries(args.PrevLogIndex + 1)
	if err != nil {
		return err
	}
	last := entries[len(entries)-1]
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.held[[2]uint64{last.Index, last.Term}].durable&d.bit(m.From) == 0 {
		return fmt.Errorf("%s tells %s that it holds index %d of term %d, which is not durable", m.From, args.From, last.Index, last.Term)
	}
	return nil
}
