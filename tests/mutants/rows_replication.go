package main

// The R rows: replication and commit. R5 needs compaction.
var replicationRows = []Mutant{
	{
		Row: "R1", Name: "entries of older terms are committed by counting", File: "sync_log.go",
		Anchor: "if agreed < t.sentinelIndex || agreed <= rf.commitIndex {", Replacement: "if agreed <= rf.commitIndex {",
		Package: ".", Test: "TestR1Figure8", Message: "R1: term 2 is on [2 2] and n1; commitIndex is 2",
	},
	{
		Row: "R1", Name: "the last entry before the sentinel is committed by counting", File: "sync_log.go",
		Anchor: "sentinelIndex: rf.log.end(),", Replacement: "sentinelIndex: rf.log.lastIndex(),",
		Package: ".", Test: "TestR1Figure8", Message: "R1: term 2 is on [2 2] and n1; commitIndex is 2",
	},

	{
		Row: "R2", Name: "the log is cut after the entries of every message", File: "handlers.go",
		Anchor:      "if skip == len(r.terms) {\n",
		Replacement: "if skip == len(r.terms) {\n\t\tif !r.Heartbeat && from <= rf.log.lastIndex() && from > rf.commitIndex {\n\t\t\trf.log.truncateFrom(from)\n\t\t}\n",
		Package:     ".", Test: "TestR2DelayedAppendRemovesNothing/its_first_part", Message: "R2: the log lost what the leader has matched up to index 4",
	},
	{
		Row: "R2", Name: "entries that the log holds are replaced", File: "handlers.go",
		Anchor:      "return index <= rf.commitIndex || index <= rf.log.lastIndex() && rf.log.term(index) == term",
		Replacement: "return index <= rf.commitIndex",
		Package:     ".", Test: "TestR2DelayedAppendRemovesNothing/its_middle", Message: "R2: the log lost what the leader has matched up to index 4",
	},
	{
		Row: "R2", Name: "heartbeats cut the log at prev", File: "handlers.go",
		Anchor:      "agreed, refusal := rf.takeEntriesLocked(r)\n",
		Replacement: "if r.Heartbeat && r.PrevLogIndex > rf.commitIndex {\n\t\trf.log.truncateFrom(r.PrevLogIndex + 1)\n\t}\n\tagreed, refusal := rf.takeEntriesLocked(r)\n",
		Package:     ".", Test: "TestR2DelayedAppendRemovesNothing/a_heartbeat", Message: "R2: the log lost what the leader has matched up to index 4",
	},

	{
		Row: "R3", Name: "the commit point is taken up to the end of the follower's log", File: "handlers.go",
		Anchor: "rf.setCommitLocked(min(r.LeaderCommit, agreed))", Replacement: "rf.setCommitLocked(min(r.LeaderCommit, rf.log.lastIndex()))",
		Package: ".", Test: "TestR3CommitStopsAtWhatTheMessageProves/heartbeat", Message: "R3: commitIndex is 5, the message proves the log up to 2",
	},
	{
		Row: "R3", Name: "a message without news proves the whole log", File: "handlers.go",
		Anchor: "\tif skip == len(r.terms) {\n\t\treturn from - 1, Agreed", Replacement: "\tif skip == len(r.terms) {\n\t\treturn rf.log.lastIndex(), Agreed",
		Package: ".", Test: "TestR3CommitStopsAtWhatTheMessageProves/append_of_entries_held", Message: "R3: commitIndex is 5, the message proves the log up to 3",
	},
	{
		Row: "R3", Name: "the commit point of a read is taken up to the end of the log", File: "verify_authority.go",
		Anchor: "rf.setCommitLocked(min(reply.CommitIndex, rf.agreedIndex))", Replacement: "rf.setCommitLocked(min(reply.CommitIndex, rf.log.lastIndex()))",
		Package: ".", Test: "TestR3CommitPointOfARead/compared_up_to_3", Message: "R3: the answer to a read moved commitIndex to 5",
	},
	{
		Row: "R3", Name: "what an earlier leader proved counts for the next", File: "raft.go",
		Anchor: "\t\trf.agreedIndex = rf.commitIndex\n", Replacement: "",
		Package: ".", Test: "TestR3CommitPointOfARead/compared_by_an_earlier_leader", Message: "R3: the answer to a read moved commitIndex to 3",
	},
	{
		Row: "R3", Name: "what was proved in an earlier term counts for an answer of a later one", File: "verify_authority.go",
		Anchor: "if reply.Term == rf.currentTerm && rf.role == Follower {", Replacement: "if rf.role == Follower {",
		Package: ".", Test: "TestR3CommitPointOfARead/compared_in_an_earlier_term_of_it", Message: "R3: the answer to a read moved commitIndex to 3",
	},
	{
		Row: "R3", Name: "heartbeats carry the whole commit point", File: "verify_authority.go",
		Anchor: "LeaderCommit: min(rf.commitIndex, p.matchIndex), Round: t.round, Heartbeat: true,", Replacement: "LeaderCommit: rf.commitIndex, Round: t.round, Heartbeat: true,",
		Package: ".", Test: "TestR3CarriedCommitIsWithinTheMatch", Message: "R3: heartbeat while probing",
	},

	{
		Row: "R4", Name: "what is committed is acknowledged without a flush", File: "handlers.go",
		Anchor: "if args.Heartbeat && reply.Refusal == Agreed {", Replacement: "if reply.Refusal == Agreed && (args.Heartbeat || reply.CommitIndex >= reply.LastLogIndex) {",
		Package: ".", Test: "TestR4NoAnswerWithoutTheFlush", Message: "before index 2 was durable",
	},
	{
		Row: "R4", Name: "a message that stages nothing is acknowledged before the bytes it repeats", File: "handlers.go",
		Anchor: "\treply := rf.appendLocked(r)\n\treturn reply, rf.staged\n", Replacement: "\tbefore := rf.staged\n\treply := rf.appendLocked(r)\n\tif rf.staged == before {\n\t\treturn reply, 0\n\t}\n\treturn reply, rf.staged\n",
		Package: ".", Test: "TestR4NoAnswerWithoutTheFlush", Message: "before index 2 was durable",
	},
	{
		Row: "R4", Name: "nothing waits for the flush", File: "persister.go",
		Anchor: "\treturn rf.awaitDurable(nil, position)\n", Replacement: "\treturn nil\n",
		Package: ".", Test: "TestR4AppendWaitsForItsFlushAndHeartbeatsDoNot", Message: "before the flush",
	},
	{
		Row: "R4", Name: "a failed flush counts as one that succeeded", File: "persister.go",
		Anchor: "\t\trf.guard.fail(err)\n\t\treturn false\n", Replacement: "\t\tposition = c.position\n",
		Package: ".", Test: "TestR4NoAnswerWithoutTheFlush", Message: "although the flush failed",
	},
	{
		Row: "R4", Name: "a flush covers what was staged while it ran", File: "persister.go",
		Anchor: "rf.durable.Store(uint64(c.position))", Replacement: "rf.durable.Store(uint64(rf.staged))",
		Package: ".", Test: "TestR4FlushCoversWhatWasStagedBeforeIt", Message: "R4: the first flush ended and index 3 is in the second",
	},
	{
		Row: "R4", Name: "a recovered commit hint is believed beyond the log", File: "raft.go",
		Anchor: "max(bootstrapIndex, min(r.CommitIndex, rf.log.lastIndex()))", Replacement: "max(bootstrapIndex, r.CommitIndex)",
		Package: ".", Test: "TestR4CommitHintBeyondTheLog", Message: "R4: recovered commitIndex 9",
	},

	{
		Row: "R6", Name: "the follower's last index is taken for its match", File: "sync_log.go",
		Anchor: "rf.matchedLocked(t, p, call.args.PrevLogIndex+uint64(call.args.Batch.Count))", Replacement: "rf.matchedLocked(t, p, min(reply.LastLogIndex, rf.log.lastIndex()))",
		Package: ".", Test: "TestR6MatchIsWhatTheRequestProves", Message: "R6: the sentinel: matchIndex is 7, the requests prove 4",
	},
	{
		Row: "R6", Name: "the follower's commit point is taken for its match", File: "sync_log.go",
		Anchor: "rf.matchedLocked(t, p, call.args.PrevLogIndex+uint64(call.args.Batch.Count))", Replacement: "rf.matchedLocked(t, p, max(call.args.PrevLogIndex+uint64(call.args.Batch.Count), min(reply.CommitIndex, rf.log.lastIndex())))",
		Package: ".", Test: "TestR6MatchIsWhatTheRequestProves", Message: "R6: the sentinel: matchIndex is 6, the requests prove 4",
	},
	{
		Row: "R6", Name: "the answer to a heartbeat moves the match", File: "verify_authority.go",
		Anchor: "\trf.ackLocked(call)\n\tif p.failures > 0 {", Replacement: "\trf.ackLocked(call)\n\trf.matchedLocked(rf.tenure, p, min(reply.LastLogIndex, rf.log.lastIndex()))\n\tif p.failures > 0 {",
		Package: ".", Test: "TestR6MatchIsWhatTheRequestProves", Message: "R6: a heartbeat: matchIndex is 7, the requests prove 0",
	},
	{
		Row: "R6", Name: "an answer is credited after its tenure", File: "sync_log.go",
		Anchor: "\trf.heardLocked(p.id, err)\n\tif rf.tenure != t {\n\t\treturn nil\n\t}\n", Replacement: "\trf.heardLocked(p.id, err)\n",
		Package: ".", Test: "TestR6AnswersOfAnEarlierTenure", Message: "R6: after its tenure an answer committed index 2",
	},
	{
		Row: "R6", Name: "an answer of an earlier tenure is credited to the next", File: "sync_log.go",
		Anchor: "\tif rf.tenure != t {\n\t\treturn nil\n\t}\n\tif reply != nil && rf.higherTermLocked(p.id, reply.Term) {\n\t\treturn nil\n\t}\n\tif reply != nil && reply.Term != t.term {\n\t\treply = nil // not for me, or older than this tenure: worth as much as none\n\t}\n",
		Replacement: "\tif rf.tenure == nil {\n\t\treturn nil\n\t}\n\tif reply != nil && rf.higherTermLocked(p.id, reply.Term) {\n\t\treturn nil\n\t}\n" +
			"\tt = rf.tenure\n\tcall.p = t.byID[p.id]\n",
		Package: ".", Test: "TestR6AnswersOfAnEarlierTenure", Message: "R6: an answer of term 2 counts in term 4",
	},

	{
		Row: "R7", Name: "a refusal moves nextIndex to where its hint says", File: "sync_log.go",
		Anchor: "p.nextIndex = max(nextIndex, p.matchIndex+1)\n\tp.commitSent", Replacement: "p.nextIndex = nextIndex\n\tp.commitSent",
		Package: ".", Test: "TestR7HintBelowTheMatch", Message: "R7: from the match on: sent",
	},
	{
		Row: "R7", Name: "a late refusal ends the window", File: "sync_log.go",
		Anchor: "if current && (held || p.state == probe) {\n", Replacement: "{\n",
		Package: ".", Test: "TestR7LateRefusals", Message: "R7: a late refusal",
	},
	{
		Row: "R7", Name: "a refusal of an earlier window counts in this one", File: "sync_log.go",
		Anchor: "current := call.epoch == p.epoch", Replacement: "current := true",
		Package: ".", Test: "TestR7RefusalOfAnOldWindowIsStale", Message: "R7: the stale refusal",
	},
	{
		Row: "R7", Name: "a refusal at the match is read as the loss of the follower's log", File: "sync_log.go",
		Anchor: "\tif prev <= p.matchIndex {\n\t\tp.reprobe(p.matchIndex + 1)", Replacement: "\tif prev <= p.matchIndex {\n\t\trf.breachLocked(\"MATCH\", \"%s lost what it acknowledged\", p.id)\n\t\tp.reprobe(p.matchIndex + 1)",
		Package: ".", Test: "TestR7RefusalAtTheMatchIsNoLoss", Message: "R7: after a refusal at what matched",
	},
	{
		Row: "R7", Name: "a busy follower moves nextIndex", File: "sync_log.go",
		Anchor: "case reply != nil && reply.Refusal == RefusedConflict:", Replacement: "case reply != nil && (reply.Refusal == RefusedConflict || reply.Refusal == RefusedBusy):",
		Package: ".", Test: "TestR7OnlyAConflictMovesNextIndex/busy", Message: "R7: a refusal that is no conflict",
	},

	{
		Row: "R8", Name: "a hint beyond prev is followed", File: "sync_log.go",
		Anchor: "next := min(reply.ConflictIndex, prev)", Replacement: "next := reply.ConflictIndex",
		Package: ".", Test: "TestR8HintOutOfRange", Message: "R8: after a refusal at 1 with the hint",
	},
	{
		Row: "R8", Name: "a hint of 0 is followed", File: "sync_log.go",
		Anchor: "return max(1, next, min(reply.CommitIndex+1, prev))", Replacement: "return max(next, min(reply.CommitIndex, prev))",
		Package: ".", Test: "TestR8HintOutOfRange", Message: "the next message begins at 0",
	},
	{
		Row: "R8", Name: "the commit point of a hint is followed beyond prev", File: "sync_log.go",
		Anchor: "min(reply.CommitIndex+1, prev))", Replacement: "reply.CommitIndex)",
		Package: ".", Test: "TestR8HintOutOfRange", Message: "R8: after a refusal at 1 with the hint",
	},
	{
		Row: "R8", Name: "the follower's fallback names the leader's term", File: "handlers.go",
		Anchor: "reply.ConflictTerm = rf.log.term(prev)", Replacement: "reply.ConflictTerm = r.PrevLogTerm",
		Package: ".", Test: "TestR8RepairTakesOneRoundTripATerm", Message: "round trips, want",
	},
	{
		Row: "R8", Name: "the leader's fallback looks for its own term", File: "sync_log.go",
		Anchor: "last := rf.log.lastUpToTerm(prev-1, reply.ConflictTerm)", Replacement: "last := rf.log.lastUpToTerm(prev-1, rf.log.term(prev))",
		Package: ".", Test: "TestR8AfterConflict", Message: "R8: a term the leader has, ending later there: next is 3, want 5",
	},
	{
		Row: "R8", Name: "a hint points into the committed log", File: "handlers.go",
		Anchor: "reply.ConflictIndex = max(rf.log.firstOfTermAt(prev), rf.commitIndex+1)", Replacement: "reply.ConflictIndex = rf.log.firstOfTermAt(prev)",
		Package: ".", Test: "TestAppendRules/R8_a_hint_stays_above_commitIndex", Message: "replied",
	},

	{
		Row: "R9", Name: "the server goes on after a failed flush", File: "persister.go",
		Anchor: "\t\trf.guard.fail(err)\n", Replacement: "",
		Package: ".", Test: "TestR9LeaderWithAFailedFlushStops", Message: "the server still runs",
	},
	{
		Row: "R9", Name: "a leader takes back what it could not write", File: "persister.go",
		Anchor: "\t\trf.guard.fail(err)\n",
		Replacement: "\t\trf.lock()\n\t\tif t := rf.tenure; t != nil {\n\t\t\trf.log.truncateFrom(t.selfMatch + 1)\n\t\t\tfor _, p := range t.followers {\n" +
			"\t\t\t\tp.nextIndex = min(p.nextIndex, rf.log.end())\n\t\t\t\tp.inflight, p.inflightBytes = nil, 0\n\t\t\t}\n\t\t}\n\t\trf.unlock()\n",
		Package: ".", Test: "TestR9IndexIsNotUsedAgain", Message: `R9: index 3 of term 2 was sent as "first" and as "second"`,
	},
	{
		Row: "R9", Name: "a failed flush is tried again", File: "persister.go",
		Anchor: "position, err := rf.config.Store.Flush()\n", Replacement: "position, err := rf.config.Store.Flush()\n\tif err != nil {\n\t\tposition, err = rf.config.Store.Flush()\n\t}\n",
		Package: ".", Test: "TestR9FailedFlushIsNotTriedAgain", Message: "R9: after its flush failed the server flushed 1 times more",
	},

	{
		Row: "R10", Name: "a leader counts itself when it appends", File: "sync_log.go",
		Anchor: "rf.stageLocked(Stage{FirstIndex: first, Batch: b})", Replacement: "rf.stageLocked(Stage{FirstIndex: first, Batch: b})\n\trf.tenure.selfMatch = rf.log.lastIndex()",
		Package: ".", Test: "TestR10LeaderCountsItselfAfterItsFlush", Message: "R10: committed 3",
	},
	{
		Row: "R10", Name: "a leader counts what it appended while it flushed", File: "persister.go",
		Anchor: "t.selfMatch = max(t.selfMatch, c.logEnd)", Replacement: "t.selfMatch = rf.log.lastIndex()",
		Package: ".", Test: "TestR10OwnMatchIsTheEndAtTheCapture", Message: "R10: own match is 5 after a flush captured at 3",
	},
	{
		Row: "R10", Name: "a flush of an earlier tenure counts in the next", File: "persister.go",
		Anchor: "if t := rf.tenure; t != nil && t == c.tenure {", Replacement: "if t := rf.tenure; t != nil {",
		Package: ".", Test: "TestR10OwnMatchIsOfTheSameTenure", Message: "R10: own match went from",
	},

	{
		Row: "R11", Name: "a lost message is not sent again", File: "sync_log.go",
		Anchor: "\t\t\tp.reprobe(rf.resumeLocked(p, call))\n", Replacement: "",
		Package: ".", Test: "TestR11StalledFollowerCatchesUp", Message: "R11: heartbeats flow",
	},
	{
		Row: "R11", Name: "a probe without an answer is never given up", File: "sync_log.go",
		Anchor: "wait > 0 {\n\t\t\t\treturn nil, wait\n\t\t\t}\n\t\t\t// Its answer", Replacement: "wait > -time.Hour {\n\t\t\t\treturn nil, max(wait, 1)\n\t\t\t}\n\t\t\t// Its answer",
		Package: ".", Test: "TestR11LostProbe/no_answer", Message: "R11: from the commit point: sent []",
	},
	{
		Row: "R11", Name: "an answer does not wake the sync loop", File: "sync_log.go",
		Anchor: "\t\t\tp.backOff(time.Now(), rf.config.Heartbeat)\n\t\t}\n\t}\n\tp.wake.Notify()\n", Replacement: "\t\t\tp.backOff(time.Now(), rf.config.Heartbeat)\n\t\t}\n\t}\n",
		Package: ".", Test: "TestR11AnswerLetsTheRestGo", Message: "R11: answered: sent []",
	},
	{
		Row: "R11", Name: "an append does not wake the sync loops", File: "sync_log.go",
		Anchor: "\tfor _, p := range rf.tenure.followers {\n\t\tp.wake.Notify()\n\t}\n", Replacement: "",
		Package: ".", Test: "TestR11AnswerLetsTheRestGo", Message: "R11: appended, nothing outstanding: sent [], want [2+1]",
	},
	{
		Row: "R11", Name: "the pause between tries grows without a limit", File: "sync_log.go",
		Anchor: "min(limit, minBackoff<<min(p.failures, 8))", Replacement: "minBackoff<<min(p.failures, 30)",
		Package: ".", Test: "TestR11Backoff", Message: "R11: after backoff",
	},

	{
		Row: "R12", Name: "a follower discards what its hint names", File: "handlers.go",
		Anchor: "reply.ConflictIndex = max(rf.log.firstOfTermAt(prev), rf.commitIndex+1)\n", Replacement: "reply.ConflictIndex = max(rf.log.firstOfTermAt(prev), rf.commitIndex+1)\n\trf.log.truncateFrom(reply.ConflictIndex)\n",
		Package: ".", Test: "TestR12RepairKeepsWhatAgrees", Message: "R12: after round trip",
	},
	{
		Row: "R12", Name: "a follower discards what it holds at prev", File: "handlers.go",
		Anchor: "reply.ConflictTerm = rf.log.term(prev)\n", Replacement: "reply.ConflictTerm = rf.log.term(prev)\n\tdefer rf.log.truncateFrom(prev)\n",
		Package: ".", Test: "TestR12RepairKeepsWhatAgrees", Message: "R12: a refusal in round trip",
	},

	{
		Row: "R13", Name: "what is not committed has no budget", File: "propose.go",
		Anchor: "used > 0 && used+size > rf.config.MaxUncommittedBytes {", Replacement: "false && used+size > rf.config.MaxUncommittedBytes {",
		Package: ".", Test: "TestR13LogWithoutAQuorumIsBounded", Message: "R13: without a quorum",
	},
	{
		Row: "R13", Name: "each term begins with an empty account", File: "propose.go",
		Anchor: "used := rf.log.bytesBetween(rf.commitIndex, rf.log.lastIndex()); used", Replacement: "used := rf.log.bytesBetween(max(rf.commitIndex, rf.tenure.sentinelIndex), rf.log.lastIndex()); used",
		Package: ".", Test: "TestR13BudgetHoldsAcrossTerms", Message: "R13: after ten terms without a commit",
	},
	{
		Row: "R13", Name: "a commit frees no budget", File: "propose.go",
		Anchor: "used := rf.log.bytesBetween(rf.commitIndex, rf.log.lastIndex()); used", Replacement: "used := rf.log.bytesBetween(0, rf.log.lastIndex()); used",
		Package: ".", Test: "TestR13LogWithoutAQuorumIsBounded", Message: "R13: everything is committed, and the budget is not free again",
	},
	{
		Row: "R13", Name: "the inbox has no limit", File: "propose.go",
		Anchor: "if b.bytes > 0 && b.bytes+size > limit {", Replacement: "if false {",
		Package: ".", Test: "TestR13InboxBudget", Message: "R13: 20 bytes beside 500",
	},
	{
		Row: "R13", Name: "a follower takes on whatever it is sent", File: "handlers.go",
		Anchor: "pending > 0 && pending+uint64(len(batch.Body)) > rf.config.MaxApplyBytes", Replacement: "false && pending+uint64(len(batch.Body)) > rf.config.MaxApplyBytes",
		Package: ".", Test: "TestR13BusyBudgetOfUnflushedBytes", Message: "R13: over the budget",
	},
	{
		Row: "R13", Name: "flushed bytes stay in a follower's budget", File: "persister.go",
		Anchor: "\trf.flushingBytes = 0\n", Replacement: "",
		Package: ".", Test: "TestR13BusyBudgetOfUnflushedBytes", Message: "R13: after the flush",
	},
}
