package script

import (
	"fmt"
	"strings"

	"lockstep.example/raft"
	"lockstep.example/raft/labrpc"
	"lockstep.example/raft/tests"
)

// Lockstep plugs in this module's own Raft.
var Lockstep = Adapter{
	Maker: tests.Lockstep, ElectionTimeoutMin: tests.ElectionTimeout / 2,
	Describe: describe, Compose: compose,
}

// describe reads a message of our own Raft. Entries and ends of logs are written
// as index/term.
func describe(m *labrpc.Message) (kind, text string) {
	if m.Kind == labrpc.Reply {
		return describeReply(m)
	}
	switch m.Method {
	case tests.MethodVote:
		args := decode[raft.RequestVoteArgs](m)
		kind = "vote"
		if args.PreVote {
			kind = "prevote"
		}
		return kind, fmt.Sprintf("term %d log %d/%d", args.Term, args.LastLogIndex, args.LastLogTerm)
	case tests.MethodAppend, tests.MethodHeartbeat:
		args := decode[raft.AppendEntriesArgs](m)
		text = fmt.Sprintf("term %d prev %d/%d commit %d", args.Term, args.PrevLogIndex, args.PrevLogTerm, args.LeaderCommit)
		if args.Heartbeat {
			return "heartbeat", text
		}
		return "append", text + entriesText(args)
	case tests.MethodRead:
		return "read", fmt.Sprintf("term %d", decode[raft.ReadIndexArgs](m).Term)
	}
	return m.Method, ""
}

func describeReply(m *labrpc.Message) (kind, text string) {
	kind, _ = describe(m.Request)
	switch m.Method {
	case tests.MethodVote:
		reply := decode[raft.RequestVoteReply](m)
		text = "granted"
		if !reply.Granted {
			text = "refused: " + refusals[reply.Refusal]
		}
		return kind, fmt.Sprintf("term %d %s", reply.Term, text)
	case tests.MethodAppend, tests.MethodHeartbeat:
		reply, args := decode[raft.AppendEntriesReply](m), decode[raft.AppendEntriesArgs](m.Request)
		switch reply.Refusal {
		case raft.Agreed:
			text = "agreed"
			if !args.Heartbeat {
				text += fmt.Sprintf(" up to %d", args.PrevLogIndex+uint64(args.Batch.Count))
			}
		case raft.RefusedConflict:
			text = fmt.Sprintf("refused: conflict, log to %d", reply.LastLogIndex)
			if reply.ConflictTerm > 0 {
				text = fmt.Sprintf("refused: conflict, term %d from %d on", reply.ConflictTerm, reply.ConflictIndex)
			}
		default:
			text = "refused: " + refusals[reply.Refusal]
		}
		return kind, fmt.Sprintf("term %d %s", reply.Term, text)
	case tests.MethodRead:
		reply := decode[raft.ReadIndexReply](m)
		if reply.Refusal != raft.Agreed {
			return kind, "refused: " + refusals[reply.Refusal]
		}
		return kind, fmt.Sprintf("term %d index %d", reply.Term, reply.Index)
	}
	return kind, ""
}

var refusals = map[raft.Refusal]string{
	raft.RefusedStaleTerm: "old term",
	raft.RefusedBusy:      "busy",
	raft.RefusedNotForMe:  "not for me",
	raft.RefusedLogBehind: "your log is behind",
	raft.RefusedVoted:     "voted for another",
	raft.RefusedHasLeader: "has a leader",
	raft.RefusedBlank:     "never admitted",
	raft.RefusedNotLeader: "does not lead",
}

func decode[T any](m *labrpc.Message) *T {
	into := new(T)
	if err := m.Decode(into); err != nil {
		panic(fmt.Sprintf("%s of %s to %s: %v", m.Method, m.From, m.To, err)) // we sent it ourselves
	}
	return into
}

// entriesText lists the entries of a request: " [3/2 x, 4/2 sentinel]".
func entriesText(args *raft.AppendEntriesArgs) string {
	entries, err := args.Batch.Entries(args.PrevLogIndex + 1)
	if err != nil {
		return " [unreadable]"
	}
	if len(entries) == 0 {
		return ""
	}
	var words []string
	for _, e := range entries {
		content := e.Kind.String()
		if e.Kind == raft.EntryCommand {
			content = short(e.Data)
		}
		words = append(words, fmt.Sprintf("%d/%d %s", e.Index, e.Term, content))
	}
	return " [" + strings.Join(words, ", ") + "]"
}

// compose builds a request that a script forges.
func compose(kind, from, to string, fields Fields) (method string, args, reply any, err error) {
	header := raft.Header{
		From: raft.ServerID(from), FromIncarnation: 1, To: raft.ServerID(to), ToIncarnation: 1, Term: fields.Number("term"),
	}
	switch kind {
	case "vote", "prevote":
		lastIndex, lastTerm := fields.Place("log")
		return tests.MethodVote, &raft.RequestVoteArgs{
			Header: header, PreVote: kind == "prevote", LastLogIndex: lastIndex, LastLogTerm: lastTerm,
		}, &raft.RequestVoteReply{}, fields.Err()
	case "append", "heartbeat":
		prev, prevTerm := fields.Place("prev")
		commit := fields.Number("commit")
		var body []byte
		terms := fields.Numbers("entries")
		for i, term := range terms {
			body = raft.AppendEntry(body, raft.EntryCommand, term, fmt.Appendf(nil, "c%d.%d", prev+1+uint64(i), term))
		}
		method = tests.MethodAppend
		if kind == "heartbeat" {
			method = tests.MethodHeartbeat
		}
		return method, &raft.AppendEntriesArgs{
			Header: header, PrevLogIndex: prev, PrevLogTerm: prevTerm, LeaderCommit: commit,
			Batch: raft.NewBatch(body, len(terms)), Heartbeat: kind == "heartbeat",
		}, &raft.AppendEntriesReply{}, fields.Err()
	case "read":
		return tests.MethodRead, &raft.ReadIndexArgs{Header: header}, &raft.ReadIndexReply{}, fields.Err()
	}
	return "", nil, nil, fmt.Errorf("a message is a prevote, vote, append, heartbeat or read, not %q", kind)
}
