package main

// What the microscope says of a stale read, and of one that was forgotten.
const (
	stale     = "STALE: read"
	forgotten = "waits on although server 0"
)

// readRows: linearizable reads.
var readRows = []Mutant{
	{
		Row: "L1", Name: "a new leader's commit point counts before its sentinel is committed (etcd#7331)",
		File:        "verify_authority.go",
		Anchor:      "t.round, max(commitIndex, t.sentinelIndex)",
		Replacement: "t.round, commitIndex",
		Package:     "./tests/microscope", Test: "TestMicroscope/L1Sentinel", Message: stale,
	},
	{
		Row: "L1", Name: "a follower that asks a new leader is told its commit point (tikv#9239)",
		File:        "handlers.go",
		Anchor:      "reply = &ReadIndexReply{Index: index, Leader: rf.leader}",
		Replacement: "reply = &ReadIndexReply{Index: min(index, rf.commitIndex), Leader: rf.leader}",
		Package:     ".", Test: "TestL1FollowerIsToldToWaitForTheSentinel", Message: "was told &{Term:3 Refusal:0 Index:2",
	},
	{
		Row: "L2", Name: "an answer counts for the round that is open when it arrives (etcd#20418)",
		File:        "verify_authority.go",
		Anchor:      "\tp.ackRound = max(p.ackRound, call.args.Round)\n",
		Replacement: "\tp.ackRound = max(p.ackRound, rf.tenure.round)\n",
		Package:     "./tests/microscope", Test: "TestMicroscope/L2OldBeats", Message: stale,
	},
	{
		Row: "L2", Name: "reads that wait for the next round are released with the open one",
		File:        "verify_authority.go",
		Anchor:      "\tt.openRound(r, rf.commitIndex)\n\tcalls := rf.heartbeatsLocked(t, time.Now())\n\t// A single",
		Replacement: "\tr.end(max(rf.commitIndex, t.sentinelIndex), nil)\n\tt.openRound(nil, rf.commitIndex)\n\tcalls := rf.heartbeatsLocked(t, time.Now())\n\t// A single",
		Package:     "./tests/microscope", Test: "TestMicroscope/L2OldBeats", Message: stale,
	},
	{
		Row: "L2", Name: "a read uses the number of the round before it again",
		File:        "verify_authority.go",
		Anchor:      "\tt.round++\n\tif r != nil {\n",
		Replacement: "\tif r == nil || t.round == 0 {\n\t\tt.round++\n\t}\n\tif r != nil {\n",
		Package:     "./tests/microscope", Test: "TestMicroscope/L2OldBeats", Message: "is used twice",
	},
	{
		Row: "L2", Name: "a message says it was built in the round after the one it was built in",
		File:        "sync_log.go",
		Anchor:      "LeaderCommit: min(rf.commitIndex, upTo), Round: t.round, Batch: batch,",
		Replacement: "LeaderCommit: min(rf.commitIndex, upTo), Round: t.round + 1, Batch: batch,",
		Package:     ".", Test: "TestL2OldAcksVerifyNothingNew", Message: "the read opened a second round beside the open one",
	},
	{
		Row: "L2", Name: "one server's answer verifies a round",
		File: "verify_authority.go",
		Anchor: `		if p := t.byID[id]; p != nil {
			return p.ackRound
		}
		return t.round // this server itself
	})
`,
		Replacement: `		if p := t.byID[id]; p != nil {
			return p.ackRound
		}
		return t.round // this server itself
	})
	for _, p := range t.followers {
		verified = max(verified, p.ackRound)
	}
`,
		Package: "./tests/microscope", Test: "TestMicroscope/L2OldBeatsOfFive", Message: stale,
	},
	{
		Row: "L2", Name: "an answer of another term counts for the round",
		File:        "sync_log.go",
		Anchor:      "\tif reply != nil && reply.Term != t.term {\n\t\treply = nil",
		Replacement: "\tif reply != nil && reply.Term > t.term {\n\t\treply = nil",
		Package:     ".", Test: "TestL2WhichAnswersCountForTheRound", Message: "verified: true",
	},
	{
		Row: "L2", Name: "reads of a lost leadership are carried into the next one",
		File: "verify_authority.go",
		Anchor: `		t.open = append(t.open, r)
	}
}

// failReads ends the reads of rounds that were never verified. Raft.mu must be
// held.
func (t *tenure) failReads(err error) {
	for _, r := range t.open {
		r.end(0, err)
	}
	t.open = nil
}
`,
		Replacement: `		t.open = append(t.open, r)
	}
	for _, lost := range lostReads {
		lost.number = t.round
		t.open = append(t.open, lost)
	}
	lostReads = nil
}

var lostReads []*readRound

func (t *tenure) failReads(error) { lostReads, t.open = t.open, nil }
`,
		Package: ".", Test: "TestL2NoRoundOutlivesItsTerm", Message: "the read of the open round of term 2 ended in term 10",
	},
	{
		Row: "L2", Name: "a read joins the request to the leader that is out",
		File: "verify_authority.go",
		Anchor: `		peer, args, gone := rf.askLeader()
		if gone != nil {
			r.end(0, gone)
			continue
		}
		peer.ReadIndex(args, time.Now().Add(rf.config.ElectionTimeoutMax), func(reply *ReadIndexReply, err error) {
			ran := rf.guard.run("read reply", func() {
`,
		Replacement: `		peer, args, gone := rf.askLeader()
		if gone != nil {
			r.end(0, gone)
			continue
		}
		rf.remoteReads.mu.Lock()
		rf.remoteReads.joining = r
		rf.remoteReads.mu.Unlock()
		peer.ReadIndex(args, time.Now().Add(rf.config.ElectionTimeoutMax), func(reply *ReadIndexReply, err error) {
			rf.remoteReads.take(true)
			ran := rf.guard.run("read reply", func() {
`,
		Package: "./tests/microscope", Test: "TestMicroscope/L2LateAsk", Message: stale,
	},
	{
		Row: "L2", Name: "a read shares the round that is open",
		File: "verify_authority.go",
		Anchor: `// joinRound waits for the round that the caller joins, opening it if need be.
func (rf *Raft) joinRound(cancelled <-chan struct{}, gate *readGate, open func()) (uint64, error) {
	r, opens := gate.join()
`,
		Replacement: `func (rf *Raft) openFor(gate *readGate) *readRound {
	rf.lock()
	defer rf.unlock()
	if t := rf.tenure; t != nil && gate == &rf.reads && len(t.open) > 0 {
		return t.open[len(t.open)-1]
	}
	return nil
}

// joinRound waits for the round that the caller joins, opening it if need be.
func (rf *Raft) joinRound(cancelled <-chan struct{}, gate *readGate, open func()) (uint64, error) {
	r, opens := rf.openFor(gate), false
	if r == nil {
		r, opens = gate.join()
	}
`,
		Package: "./tests/microscope", Test: "TestMicroscope/L2LateJoin", Message: stale,
	},
	{
		Row: "L2", Name: "the index of a round is fixed when the round before it opens",
		File: "verify_authority.go",
		Anchor: `func (t *tenure) openRound(r *readRound, commitIndex uint64) {
	t.round++
`,
		Replacement: `var commitBefore sync.Map // by tenure

func (t *tenure) openRound(r *readRound, commitIndex uint64) {
	if before, ok := commitBefore.Swap(t, commitIndex); ok {
		commitIndex = before.(uint64)
	}
	t.round++
`,
		Package: "./tests/microscope", Test: "TestMicroscope/L2LateJoin", Message: stale,
	},
	{
		Row: "L3", Name: "a delayed acknowledgement of entries counts for the open round (ruaft)",
		File:        "sync_log.go",
		Anchor:      "\tcase reply != nil && reply.Refusal == Agreed:\n\t\trf.ackLocked(call)\n",
		Replacement: "\tcase reply != nil && reply.Refusal == Agreed:\n\t\tcall.args.Round = t.round\n\t\trf.ackLocked(call)\n",
		Package:     "./tests/microscope", Test: "TestMicroscope/L3DelayedCommit", Message: stale,
	},
	{
		Row: "L3", Name: "a leader whose commit point moves lets its reads go",
		File:        "sync_log.go",
		Anchor:      "\trf.setCommitLocked(agreed)\n\tfor _, p := range t.followers {\n",
		Replacement: "\trf.setCommitLocked(agreed)\n\tif r := rf.reads.take(true); r != nil {\n\t\tr.end(agreed, nil)\n\t}\n\tfor _, p := range t.followers {\n",
		Package:     "./tests/microscope", Test: "TestMicroscope/L3DelayedCommit", Message: stale,
	},
	{
		Row: "L4", Name: "no round while a quorum has answered within an election timeout",
		File:        "verify_authority.go",
		Anchor:      "\tindex, err := rf.joinRound(ctx.Done(), gate, open)\n\tif err == nil {\n",
		Replacement: leaseByMessage,
		Package:     "./tests/microscope", Test: "TestMicroscope/L4LateAcks", Message: stale,
	},
	{
		Row: "L4", Name: "a lease runs from when answers arrive (consul#54)",
		File:        "verify_authority.go",
		Anchor:      "\tindex, err := rf.joinRound(ctx.Done(), gate, open)\n\tif err == nil {\n",
		Replacement: leaseByArrival,
		Package:     "./tests/microscope", Test: "TestMicroscope/L4LateAcks", Message: stale,
	},
	{
		Row: "L4", Name: "a lease runs from when answers arrive, and the process stood still (sofa-jraft#25)",
		File:        "verify_authority.go",
		Anchor:      "\tindex, err := rf.joinRound(ctx.Done(), gate, open)\n\tif err == nil {\n",
		Replacement: leaseByArrival,
		Package:     "./tests/microscope", Test: "TestMicroscope/L4Frozen", Message: stale, Tags: "raftsim",
	},
	{
		Row: "L5", Name: "asking the leader counts as hearing it (openraft#1747)",
		File:        "verify_authority.go",
		Anchor:      "\treturn peer, &ReadIndexArgs{",
		Replacement: "\trf.timer.reset()\n\treturn peer, &ReadIndexArgs{",
		Package:     "./tests", Test: "TestReads/L5ReadTraffic", Message: "read traffic blocked the election",
	},
	{
		Row: "L6", Name: "a read does not wait for the state machine (etcd#3879)",
		File:        "verify_authority.go",
		Anchor:      "\t\terr = rf.awaitApplied(ctx.Done(), index)\n",
		Replacement: "",
		Package:     "./tests/microscope", Test: "TestMicroscope/L6Behind", Message: stale,
	},
	{
		Row: "L6", Name: "a server that comes back serves reads at its own commit point (redisraft#316)",
		File:        "verify_authority.go",
		Anchor:      "\treturn reply.Index, nil\n",
		Replacement: "\treturn min(reply.Index, rf.commitIndex), nil\n",
		Package:     "./tests/microscope", Test: "TestMicroscope/L6Restart", Message: stale,
	},
	{
		Row: "L6", Name: "entries count as applied once they are on their way to the state machine",
		File:        "apply.go",
		Anchor:      "\tfrom, upTo = rf.lastApplied+1, rf.applyEndLocked()\n",
		Replacement: "\tfrom, upTo = rf.lastApplied+1, rf.applyEndLocked()\n\trf.applied.Store(upTo)\n",
		Package:     ".", Test: "TestL6ReadWaitsForApply", Message: "answered before Apply returned",
	},
	{
		Row: "L6", Name: "a server that replays its log counts what it recovered as applied",
		File:        "raft.go",
		Anchor:      "\trf.stagedLast, rf.recoveredLast = rf.log.lastIndex(), rf.log.lastIndex()\n",
		Replacement: "\trf.stagedLast, rf.recoveredLast = rf.log.lastIndex(), rf.log.lastIndex()\n\trf.applied.Store(rf.recoveredLast)\n",
		Package:     "./tests", Test: "TestReads/L6Replay", Message: "answered a read having applied number",
	},
	{
		Row: "L7", Name: "reads of the open round are dropped at a step-down (restate#2950)",
		File:        "raft.go",
		Anchor:      "\t\tt.failReads(gone)\n",
		Replacement: "",
		Package:     "./tests/microscope", Test: "TestMicroscope/L7StepDown", Message: forgotten,
	},
	{
		Row: "L7", Name: "reads that wait for a round are dropped at a step-down",
		File:        "raft.go",
		Anchor:      "\t\trf.reads.fail(gone)\n",
		Replacement: "",
		Package:     "./tests/microscope", Test: "TestMicroscope/L7StepDown", Message: forgotten,
	},
	{
		Row: "L7", Name: "a follower that knows no leader lets its reads wait",
		File:        "verify_authority.go",
		Anchor:      "\t\tif gone != nil {\n\t\t\tr.end(0, gone)\n",
		Replacement: "\t\tif gone != nil {\n",
		Package:     ".", Test: "TestL7ReadWithoutALeader", Message: "the read was not refused",
	},
	{
		Row: "L7", Name: "reads that came while a request was out are never asked for",
		File:        "verify_authority.go",
		Anchor:      "\t\t\t\tr.end(rf.remoteIndex(args.To, reply, err))\n\t\t\t\trf.openRemoteRound()\n",
		Replacement: "\t\t\t\tr.end(rf.remoteIndex(args.To, reply, err))\n\t\t\t\tif err == nil {\n\t\t\t\t\trf.openRemoteRound()\n\t\t\t\t}\n",
		Package:     ".", Test: "TestL7RemoteReadsThatFail", Message: "0 requests for the read",
	},
}

// Leases: a leader answers without a round if it heard from a quorum lately, by
// the time at which what they answered was built, or by the time at which the
// answers came.
const (
	leaseByMessage = `	index, err := func() (uint64, error) {
		rf.lock()
		if t := rf.tenure; t != nil && time.Since(rf.quorumContactLocked(t)) < rf.config.ElectionTimeoutMax {
			defer rf.unlock()
			return max(rf.commitIndex, t.sentinelIndex), nil
		}
		rf.unlock()
		return rf.joinRound(ctx.Done(), gate, open)
	}()
	if err == nil {
`
	leaseByArrival = `	index, err := func() (uint64, error) {
		rf.lock()
		if t := rf.tenure; t != nil {
			heard := 1
			for _, p := range t.followers {
				if c := rf.contacts[p.id]; c.err == nil && time.Since(c.at) < rf.config.ElectionTimeoutMin {
					heard++
				}
			}
			if 2*heard > len(rf.configuration.Voters) {
				defer rf.unlock()
				return max(rf.commitIndex, t.sentinelIndex), nil
			}
		}
		rf.unlock()
		return rf.joinRound(ctx.Done(), gate, open)
	}()
	if err == nil {
`
)
