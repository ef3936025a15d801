package main

// Rows E1 to E15: terms, votes, campaigns and the election timer.
var electionRows = append(append(termRows, campaignRows...), timerRows...)

// termRows: what a server must remember of terms and votes.
var termRows = []Mutant{
	{
		Row: "E1", Name: "vote and term are two writes (hashicorp/raft#661)",
		File: "raft.go",
		Anchor: `	rf.currentTerm, rf.votedFor = term, vote
	rf.stageLocked(`,
		Replacement: `	rf.stageLocked(Stage{HardState: &HardState{Term: rf.currentTerm, VotedFor: vote.id, VotedForIncarnation: vote.incarnation}})
	rf.currentTerm, rf.votedFor = term, vote
	rf.stageLocked(`,
		Package: ".", Test: "TestE1TermAndVoteAreOneWrite", Message: "voted for n3 and for n2 in term 5: the crash kept 1 of 2 writes",
	},
	{
		Row: "E2", Name: "a term raised by a leader keeps the old vote (willemt/raft#47)",
		File:        "raft.go",
		Anchor:      "rf.setTermLocked(term, candidate{})",
		Replacement: "rf.setTermLocked(term, rf.votedFor)",
		Package:     ".", Test: "TestE2NewTermHasNoOldVote", Message: "the vote of term 5 lives on",
	},
	{
		Row: "E2", Name: "a term raised by a candidate that is refused keeps the old vote",
		File:        "handlers.go",
		Anchor:      "\t\tvote := candidate{}\n",
		Replacement: "\t\tvote := rf.votedFor\n",
		Package:     ".", Test: "TestE2NewTermHasNoOldVote", Message: "the vote of term 5 lives on",
	},
	{
		Row: "E2", Name: "the vote is cleared on disk in a second write (DAOS-333)",
		File: "raft.go",
		Anchor: `	rf.currentTerm, rf.votedFor = term, vote
	rf.stageLocked(`,
		Replacement: `	rf.stageLocked(Stage{HardState: &HardState{Term: term, VotedFor: rf.votedFor.id, VotedForIncarnation: rf.votedFor.incarnation}})
	rf.currentTerm, rf.votedFor = term, vote
	rf.stageLocked(`,
		Package: ".", Test: "TestE2NewTermHasNoOldVote", Message: `of 2 writes left term 6 with a vote for "n3"`,
	},
	{
		Row: "E2", Name: "a new term without a vote is not written",
		File: "raft.go",
		Anchor: `	rf.currentTerm, rf.votedFor = term, vote
	rf.stageLocked(`,
		Replacement: `	rf.currentTerm, rf.votedFor = term, vote
	if vote.id == "" {
		return
	}
	rf.stageLocked(`,
		Package: ".", Test: "TestE2NewTermHasNoOldVote", Message: "the disk was never told of term 6",
	},
	{
		Row: "E3", Name: "a vote in the current term is kept in memory alone (seaweedfs/raft#9)",
		File:        "handlers.go",
		Anchor:      "\t\trf.setTermLocked(args.Term, asking)\n",
		Replacement: "\t\trf.votedFor = asking\n",
		Package:     ".", Test: "TestE3VoteBindsTheNextLife", Message: "voted for n2 in term 5 and, after a restart, for n3",
	},
	{
		Row: "E3", Name: "the vote on disk is not read at the start (raft-java#57)",
		File:        "raft.go",
		Anchor:      "\trf.votedFor = candidate{r.HardState.VotedFor, r.HardState.VotedForIncarnation}\n",
		Replacement: "",
		Package:     ".", Test: "TestE3VoteBindsTheNextLife", Message: "and, after a restart, for n3",
	},
	{
		Row: "E3", Name: "a vote is spoken before it is durable",
		File: "handlers.go",
		Anchor: `		reply, position = rf.takeVote(args)
		err = rf.promise(position)
`,
		Replacement: `		reply, position = rf.takeVote(args)
		err = rf.promise(min(position, 0))
`,
		Package: ".", Test: "TestE3VoteWaitsForItsFlush", Message: "votes spoken before the flush",
	},
	{
		Row: "E3", Name: "a candidate asks for votes before its own is durable",
		File:        "election.go",
		Anchor:      "if !ok || rf.awaitDurable(ctx.Done(), position) != nil {",
		Replacement: "if _ = position; !ok {",
		Package:     ".", Test: "TestE3CandidateAsksOnceItsOwnVoteIsDurable", Message: "would forget its own vote",
	},
	{
		Row: "E3", Name: "the log on disk takes a write for durable that was not synced",
		File: "wal/flush.go",
		Anchor: `	if err := w.tail.file.SyncData(); err != nil {
		return failed("sync", w.tail.path, err)
	}
	w.durable = w.written
`,
		Replacement: "\tw.durable = w.written\n",
		Package:     ".", Test: "TestE3VoteSurvivesAPowerLoss", Message: "voted for n2 in term 6 and, after the restart, for n3",
	},
	{
		Row: "E5", Name: "a candidate that steps down in its term forgets its vote (akka-raft#56)",
		File: "raft.go",
		Anchor: `	rf.setRoleLocked(Follower)
}

// higherTermLocked`,
		Replacement: `	if rf.role == Candidate {
		rf.votedFor = candidate{}
	}
	rf.setRoleLocked(Follower)
}

// higherTermLocked`,
		Package: ".", Test: "TestE5CandidateThatStepsDownKeepsItsVote", Message: "voted for itself in term 6 and, after stepping down, for n3",
	},
	{
		Row: "E6", Name: "entries of an old leader are taken (camunda#5356)",
		File:        "handlers.go",
		Anchor:      "\tif r.Term < rf.currentTerm {\n",
		Replacement: "\tif r.Term < rf.currentTerm && rf.role == Leader {\n",
		Package:     ".", Test: "TestE6OldMessagesDoNotLowerTheVote", Message: "in term 6, entries of the leader of term 4 were answered",
	},
	{
		Row: "E6", Name: "a vote request of an old term is heard (nebula#2405)",
		File:        "handlers.go",
		Anchor:      "\tcase args.Term < rf.currentTerm:\n\t\treturn RefusedStaleTerm\n",
		Replacement: "",
		Package:     ".", Test: "TestE6OldMessagesDoNotLowerTheVote", Message: "in term 6, a vote request of term 5 was answered",
	},
	{
		Row: "E7", Name: "a second vote is given in a term, unless the first was for itself (canonical/raft#386)",
		File:        "handlers.go",
		Anchor:      `args.Term == rf.currentTerm && rf.votedFor.id != "" && rf.votedFor != asking`,
		Replacement: `args.Term == rf.currentTerm && rf.votedFor.id == rf.config.ID`,
		Package:     ".", Test: "TestE7OneVoteATerm", Message: "asked for a second vote in term 6",
	},
}

// campaignRows: who may become leader, and who must give it up.
var campaignRows = []Mutant{
	{
		Row: "E4", Name: "answers are counted, not voters (akka-raft#45)",
		File: "election.go",
		Anchor: `	for quorum.Agreed(voters, old, granted) == 0 {
		if quorum.Agreed(voters, old, possible) == 0 {
			return false
		}
		select {
		case b := <-ballots:
			answer, answered := rf.countBallot(role, term, b)
`,
		Replacement: `	votes := uint64(1)
	for quorum.Agreed(voters, old, granted) == 0 && 2*votes <= uint64(len(voters)) {
		if quorum.Agreed(voters, old, possible) == 0 {
			return false
		}
		select {
		case b := <-ballots:
			answer, answered := rf.countBallot(role, term, b)
			votes += answer
`,
		Package: ".", Test: "TestE4OneVoterCountsOnce", Message: "after one of five granted a pre-vote three times",
	},
	{
		Row: "E6", Name: "a vote of an old term counts",
		File:        "election.go",
		Anchor:      "case b.reply.Granted && (role == PreCandidate || b.reply.Term == term):",
		Replacement: "case b.reply.Granted:",
		Package:     ".", Test: "TestE6VotesOfAnotherTermDoNotCount", Message: "became leader by votes of term 5",
	},
	{
		Row: "E6", Name: "a reply of an old term makes a candidate step down",
		File:        "raft.go",
		Anchor:      "\tif term <= rf.currentTerm || term > maxIndex {\n",
		Replacement: "\tif term == rf.currentTerm || term > maxIndex {\n",
		Package:     ".", Test: "TestE6RefusalOfAnOldTermIsNotFollowed", Message: "a refusal of term 4 made the candidate of term 6",
	},
	{
		Row: "E7", Name: "half of an even number of servers is a quorum",
		File:        "internal/quorum/quorum.go",
		Anchor:      "return values[(len(values)-1)/2]",
		Replacement: "return values[len(values)/2]",
		Package:     ".", Test: "TestE7QuorumOfVotes", Message: "4 servers: candidate with 1 votes and its own",
	},
	{
		Row: "E8", Name: "a grant by a server of a lower term is ignored (etcd#8243)",
		File:        "election.go",
		Anchor:      "case b.reply.Granted && (role == PreCandidate || b.reply.Term == term):",
		Replacement: "case b.reply.Granted && b.reply.Term == term:",
		Package:     ".", Test: "TestE8PreVoteOfALowerTermCounts", Message: "the pre-vote of a server in term 2 was ignored",
	},
	{
		Row: "E9", Name: "a candidate does not adopt the higher term of a refusal (openraft#1796)",
		File:        "election.go",
		Anchor:      "\trf.higherTermLocked(b.voter, b.reply.Term)\n\treturn 0, true\n",
		Replacement: "\treturn 0, true\n",
		Package:     "./tests", Test: "TestElections/E9LongOldLog", Message: "the longer log and the higher term wait for each other",
	},
	{
		Row: "E9", Name: "a candidate of an old term is not told the new one (canonical/raft#142)",
		File:   "handlers.go",
		Anchor: "\treturn &RequestVoteReply{Term: rf.currentTerm, Granted",
		Replacement: `	if refusal == RefusedStaleTerm {
		return &RequestVoteReply{Refusal: refusal}, rf.staged
	}
	return &RequestVoteReply{Term: rf.currentTerm, Granted`,
		Package: "./tests", Test: "TestElections/E9LongOldLog", Message: "the longer log and the higher term wait for each other",
	},
	{
		Row: "E11", Name: "a leader without a quorum leads on (cockroach#27772)",
		File:        "verify_authority.go",
		Anchor:      "silent > rf.config.ElectionTimeoutMax {",
		Replacement: "silent > 1000*rf.config.ElectionTimeoutMax {",
		Package:     "./tests", Test: "TestElections/E11CutOffLeader", Message: "and still accepts proposals",
	},
	{
		Row: "E14", Name: "campaigns have no pre-vote: alone, a server raises its term for ever (logcabin#56)",
		File:        "election.go",
		Anchor:      "\tif !rf.collect(ctx, PreCandidate, term, term+1) {\n\t\treturn\n\t}\n",
		Replacement: "",
		Package:     "./tests", Test: "TestElections/E14LongAbsence", Message: ", alone, went from term",
	},
	{
		Row: "E14", Name: "a pre-vote request raises the term of who is asked (hashicorp/raft#524)",
		File:        "handlers.go",
		Anchor:      "\tif args.PreVote {\n",
		Replacement: "\tif args.PreVote {\n\t\trf.higherTermLocked(args.From, args.Term)\n",
		Package:     ".", Test: "TestE14PreVoteRules", Message: "a pre-vote changed",
	},
	{
		Row: "E15", Name: "a follower that hears its leader backs another (Cloudflare, 2 November 2020)",
		File:        "handlers.go",
		Anchor:      "\tcase rf.hasLeaderLocked():\n\t\treturn RefusedHasLeader\n",
		Replacement: "",
		Package:     "./tests", Test: "TestElections/E15OneLinkCut", Message: "led term",
	},
	{
		Row: "E15", Name: "a leader stays as long as any follower answers",
		File: "verify_authority.go",
		Anchor: `	return now.Add(-time.Duration(day - agreed))
`,
		Replacement: `	for _, p := range t.followers {
		agreed = max(agreed, day-min(day, uint64(max(0, now.Sub(p.ackAt)))))
	}
	return now.Add(-time.Duration(day - agreed))
`,
		Package: "./tests", Test: "TestElections/E15DisruptiveLiveness", Message: "no new leader after",
	},
}

// timerRows: what moves the election timer.
var timerRows = []Mutant{
	{
		Row: "E12", Name: "entries that are refused do not reset the timer (redpanda#30817)",
		File: "handlers.go",
		Anchor: `	rf.timer.reset()
	// 3. The log must hold prev. Up to commitIndex it does (Leader Completeness).
	reply.Refusal = rf.checkPrevLocked(r, reply)
	if reply.Refusal != Agreed {
		return reply
	}
`,
		Replacement: `	reply.Refusal = rf.checkPrevLocked(r, reply)
	if reply.Refusal != Agreed {
		return reply
	}
	rf.timer.reset()
`,
		Package: ".", Test: "TestE12RefusedEntriesAreASignOfLife", Message: "campaigned against its live leader",
	},
	{
		Row: "E12", Name: "entries that are refused are no recent contact of the leader",
		File: "handlers.go",
		Anchor: `	rf.leaderContact = time.Now()
	rf.timer.reset()
	// 3. The log must hold prev. Up to commitIndex it does (Leader Completeness).
	reply.Refusal = rf.checkPrevLocked(r, reply)
	if reply.Refusal != Agreed {
		return reply
	}
`,
		Replacement: `	rf.timer.reset()
	reply.Refusal = rf.checkPrevLocked(r, reply)
	if reply.Refusal != Agreed {
		return reply
	}
	rf.leaderContact = time.Now()
`,
		Package: ".", Test: "TestE12RefusedEntriesAreASignOfLife", Message: "would back n3 against the leader it just heard",
	},
	{
		Row: "E13", Name: "a message of an old leader resets the timer (miniraft#28)",
		File:        "handlers.go",
		Anchor:      "\tif r.Term < rf.currentTerm {\n\t\treturn reply\n",
		Replacement: "\tif r.Term < rf.currentTerm {\n\t\trf.timer.reset()\n\t\treturn reply\n",
		Package:     ".", Test: "TestE13WhatMovesTheTimer", Message: "heartbeat of an old term: the timer moved: true, want false",
	},
	{
		Row: "E13", Name: "granting a vote does not reset the timer (akka-raft#43, jgroups-raft#45)",
		File:        "handlers.go",
		Anchor:      "gives up\n\t\trf.timer.reset()\n",
		Replacement: "gives up\n",
		Package:     ".", Test: "TestE13WhatMovesTheTimer", Message: "vote granted in the same term: the timer moved: false, want true",
	},
	{
		Row: "E13", Name: "refusing a vote for the candidate's log resets the timer",
		File:        "handlers.go",
		Anchor:      "\t\trefusal = RefusedLogBehind\n",
		Replacement: "\t\trefusal = RefusedLogBehind\n\t\trf.timer.reset()\n",
		Package:     ".", Test: "TestE13WhatMovesTheTimer", Message: "vote refused, log behind: the timer moved: true, want false",
	},
	{
		Row: "E13", Name: "refusing a vote that was given to another resets the timer",
		File:        "handlers.go",
		Anchor:      "\t\trefusal = RefusedVoted\n",
		Replacement: "\t\trefusal = RefusedVoted\n\t\trf.timer.reset()\n",
		Package:     ".", Test: "TestE13VoteRefusedForAnotherDoesNotMoveTheTimer", Message: "given to another moved the timer",
	},
	{
		Row: "E13", Name: "any pre-vote request resets the timer",
		File:        "handlers.go",
		Anchor:      "\t\trefusal = rf.preVoteLocked(args)\n",
		Replacement: "\t\trefusal = rf.preVoteLocked(args)\n\t\trf.timer.reset()\n",
		Package:     ".", Test: "TestE13WhatMovesTheTimer", Message: "pre-vote of a much higher term: the timer moved: true, want false",
	},
	{
		Row: "E13", Name: "a candidate that learns a higher term resets its timer",
		File: "raft.go",
		Anchor: `	rf.setRoleLocked(Follower)
}

// higherTermLocked`,
		Replacement: `	rf.setRoleLocked(Follower)
	rf.timer.reset()
}

// higherTermLocked`,
		Package: ".", Test: "TestE13VoteForSelfAndRaisedTermDoNotMoveTheTimer", Message: "a raised term moved the timer",
	},
	{
		Row: "E13", Name: "a leader that steps down has no timer",
		File:        "raft.go",
		Anchor:      "\t\trf.timer.reset()\n\t\trf.logLocked(slog.LevelInfo, \"stepped down\"",
		Replacement: "\t\trf.logLocked(slog.LevelInfo, \"stepped down\"",
		Package:     ".", Test: "TestE13LeaderHasNoTimerAndStepDownSetsIt", Message: "and no timer",
	},
	{
		Row: "E13", Name: "a heartbeat between the firing and the campaign does not stop it",
		File:        "election.go",
		Anchor:      "\tif t.version != version {\n\t\treturn 0, false\n\t}\n",
		Replacement: "",
		Package:     ".", Test: "TestE13TimerComparesBeforeReset", Message: "a campaign started although a heartbeat came first",
	},
}

// absent are rows that this code cannot express.
var absent = []struct{ Row, Why string }{
	{"E10", "servers with and without pre-vote in one cluster wedge (etcd#8501): pre-vote cannot be switched off here"},
	{"E16", "a campaign with a configuration that is committed and not applied (etcd-io/raft#234): there are no membership changes yet"},
}
