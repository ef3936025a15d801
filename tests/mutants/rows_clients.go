package main

// The C rows: commands that clients send twice, and replays.
var clientRows = []Mutant{
	{
		Row: "C1", Name: "a retry takes a new number", File: "kv/clerk_session.go",
		Anchor: "func(r *Request) { r.Floor = s.currentFloor() }", Replacement: "func(r *Request) { r.Seq, _ = s.begin(ctx); r.Floor = s.currentFloor() }",
		Package: "./kv", Test: "TestC1RetryKeepsItsNumber", Message: `C1: one append whose answer was lost twice left "xxx"`,
	},
	{
		Row: "C1", Name: "numbers do not advance", File: "kv/clerk_session.go",
		Anchor: "\t\t\ts.last++\n", Replacement: "\t\t\ts.last = max(s.last, s.floor+1)\n",
		Package: "./kv", Test: "TestC1EachCommandHasItsNumber", Message: "is acknowledged and there 0 times",
	},
	{
		Row: "C1", Name: "what a lost session left open is sent again in a new one", File: "kv/clerk_session.go",
		Anchor: "\t\treturn WriteResult{}, &SessionError{Op: op, Client: s.id}\n", Replacement: "\t\treturn c.write(context.Background(), command)\n",
		Package: "./kv", Test: "TestC1LostSessionIsNotRetried", Message: `C1: an append whose session was evicted left "xx"`,
	},
	{
		Row: "C1", Name: "an unknown outcome is told as a refusal", File: "kv/clerk_run.go",
		Anchor: "if unknown && !r.Op.reads()", Replacement: "if false && !r.Op.reads()",
		Package: "./kv", Test: "TestC1UnknownStaysUnknown/no_leader", Message: "C1: an append that may have been executed ended with",
	},
	{
		Row: "C1", Name: "a refused connection makes the attempt before it forgotten", File: "kv/clerk_run.go",
		Anchor: "unknown = unknown || !notSent(err)", Replacement: "unknown = !notSent(err)",
		Package: "./kv", Test: "TestC1UnknownStaysUnknown/connection_refused", Message: "C1: an append that may have been executed ended with",
	},
	{
		Row: "C1", Name: "a refusal makes the attempt before it forgotten", File: "kv/clerk_run.go",
		Anchor: "unknown = unknown || refusalUnknown(reply.Code)", Replacement: "unknown = refusalUnknown(reply.Code)",
		Package: "./kv", Test: "TestC1UnknownStaysUnknown/rejected", Message: "C1: an append that may have been executed ended with",
	},
	{
		Row: "C1", Name: "a refusal for good makes the attempts before it forgotten", File: "kv/clerk_run.go",
		Anchor: "case reply.Code == CodeInvalid && !unknown:", Replacement: "case reply.Code == CodeInvalid:",
		Package: "./kv", Test: "TestC1UnknownStaysUnknown/invalid", Message: "C1: an append that may have been executed ended with",
	},
	{
		Row: "C1", Name: "a lost answer to a forwarded command is told as a refusal", File: "kv/propose.go",
		Anchor: "reply.Code, reply.Leader = CodeUnknown, leader", Replacement: "reply.Code, reply.Leader = CodeNotLeader, leader",
		Package: "./kv", Test: "TestC1ForwardLost", Message: "C1: the leader executed a forwarded command and its answer was lost",
	},
	{
		Row: "C1", Name: "the cause of an unknown outcome is told in its place", File: "kv/server.go",
		Anchor: "\tcase errors.Is(err, raft.ErrUnknown):\n\t\treturn CodeUnknown\n", Replacement: "",
		Package: "./kv", Test: "TestC1StoppedAfterTheAppend", Message: "C1: the server stopped with the command in its log",
	},
	{
		Row: "C1", Name: "the command is executed before the table is asked", File: "session/sessions.go",
		Anchor: "\tat, done := client.lookup(e.Seq)\n", Replacement: "\tat, done := client.lookup(e.Seq)\n\tif done {\n\t\ts.machine.Execute(index, e.Command, nil)\n\t}\n",
		Package: "./session", Test: "TestC1DuplicateIsExecutedOnce/at_once", Message: `C1: executed ["a" "a" "b"]`,
	},
	{
		Row: "C1", Name: "results are not kept", File: "session/sessions.go",
		Anchor: "\ts.table.keep(client, at, e.Seq, answer)\n", Replacement: "\t_ = at\n",
		Package: "./session", Test: "TestC1DuplicateIsExecutedOnce/after_others", Message: `C1: executed ["a" "b" "a" "b"]`,
	},
	{
		Row: "C1", Name: "the floor does not refuse", File: "session/sessions.go",
		Anchor:      "\tif e.Seq <= client.floor {\n\t\treturn appendAnswer(nil, statusGone, e.Client, e.Seq, client.floor)\n\t}\n\tif e.Seq-client.floor > s.table.limits.Window {",
		Replacement: "\tif e.Seq > client.floor && e.Seq-client.floor > s.table.limits.Window {",
		Package:     "./session", Test: "TestC1DuplicateIsExecutedOnce/below_the_floor", Message: `C1: executed ["a" "b" "a"]`,
	},
	{
		Row: "C1", Name: "an old copy lowers the floor", File: "session/table.go",
		Anchor: "\tif floor <= s.floor {\n\t\treturn\n\t}\n\ts.floor = floor\n", Replacement: "\ts.floor = floor\n",
		Package: "./session", Test: "TestC1DuplicateIsExecutedOnce/below_the_floor", Message: `C1: executed ["a" "b" "a"]`,
	},
	{
		Row: "C1", Name: "a session that is not known is opened on the fly", File: "session/sessions.go",
		Anchor: "\t\treturn appendAnswer(nil, statusUnknown, e.Client)\n", Replacement: "\t\tclient = s.table.open(e.Client)\n",
		Package: "./session", Test: "TestC1DuplicateIsExecutedOnce/after_an_eviction", Message: `C1: executed ["a" "b" "a"]`,
	},
	{
		Row: "C1", Name: "clients share one table of numbers", File: "session/sessions.go",
		Anchor: "\tclient := s.table.byID[e.Client]\n\tif client == nil {\n", Replacement: "\tclient := s.table.last\n\tif client == nil {\n",
		Package: "./session", Test: "TestC1DuplicateIsExecutedOnce/of_another_session", Message: "C1: executed [",
	},
	{
		Row: "C1", Name: "whatever is applied at its index is taken for the command", File: "propose.go",
		Anchor: "\tif w.winner != w.term {\n", Replacement: "\tif false {\n",
		Package: ".", Test: "TestC1ProposalSettledByAnotherTerm", Message: "C1: another term has its index",
	},
	{
		Row: "C1", Name: "a withdrawn command is appended", File: "propose.go",
		Anchor: "\t\tif !w.state.CompareAndSwap(waiterQueued, waiterTaken) {\n\t\t\tcontinue\n\t\t}\n", Replacement: "",
		Package: ".", Test: "TestC1ContextEndsWhileQueued", Message: "C1: one command was refused as withdrawn",
	},
	{
		Row: "C1", Name: "an appended command is told as withdrawn", File: "propose.go",
		Anchor: "\tif w.state.CompareAndSwap(waiterQueued, waiterWithdrawn) {\n", Replacement: "\tif true {\n",
		Package: ".", Test: "TestC1ContextEndsWhileAppended", Message: "C1: a command that is in the log ended with",
	},

	{
		Row: "C2", Name: "the clock of the log is the local one", File: "session/sessions.go",
		Anchor: "s.clock.advance(entry.Term, e.Elapsed)", Replacement: "s.clock.advance(entry.Term, time.Duration(time.Now().UnixNano()))",
		Package: "./session", Test: "TestC2ReplayAtAnotherTime", Message: "C2: a replay at another time leads to",
	},
	{
		Row: "C2", Name: "client ids are drawn from the local clock", File: "session/sessions.go",
		Anchor: "s.table.open(entry.Index)", Replacement: "s.table.open(uint64(time.Now().UnixNano()))",
		Package: "./session", Test: "TestC2ReplayAtAnotherTime", Message: "C2: a replay at another time leads to",
	},
	{
		Row: "C2", Name: "the last use of a session is a time of the local clock", File: "session/sessions.go",
		Anchor: "s.table.touch(client, index)", Replacement: "s.table.touch(client, uint64(time.Now().Unix()))",
		Package: "./session", Test: "TestC2ReplayAtAnotherTime", Message: "C2: a replay at another time leads to",
	},
	{
		Row: "C2", Name: "a leader's clock moves that of the log by any amount", File: "session/clock.go",
		Anchor: "c.now += min(MaxStep, max(0, t-c.mark))", Replacement: "c.now += max(0, t-c.mark)",
		Package: "./session", Test: "TestC2JumpOfALeadersClock", Message: "C2: five entries moved the clock of the log by",
	},
	{
		Row: "C2", Name: "commands that the local clock takes for expired are passed over", File: "kv/server.go",
		Anchor: "\ts.sessions.Apply(batch, results)\n",
		Replacement: "\tfor i := range batch {\n\t\tif e, err := session.Decode(batch[i].Data); err == nil && e.Elapsed > time.Since(s.office.Load().from) {\n\t\t\tbatch[i].Data = nil\n\t\t}\n\t}\n" +
			"\ts.sessions.Apply(batch, results)\n",
		Package: "./kv", Test: "TestC2ReplayAtAnotherTime", Message: "C2: replayed in an instant the log leads to",
	},
	{
		Row: "C2", Name: "a forwarded command is forwarded again", File: "kv/propose.go",
		Anchor: "\t\t!args.Forwarded && s.config.Caller != nil {", Replacement: "\t\ts.config.Caller != nil {",
		Package: "./kv", Test: "TestC2ForwardEndsAfterOneHop", Message: "C2: a command was passed on 20 times",
	},
	{
		Row: "C2", Name: "a forwarded command does not say that it is", File: "kv/propose.go",
		Anchor: "passed.Forwarded = true", Replacement: "passed.Forwarded = false",
		Package: "./kv", Test: "TestC2ForwardEndsAfterOneHop", Message: "C2: a command was passed on 20 times",
	},
}
