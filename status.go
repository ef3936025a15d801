package raft

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Status is a consistent picture of one server, taken under one lock.
type Status struct {
	ID            ServerID
	Role          Role
	Term          uint64
	VotedFor      ServerID
	Leader        ServerID // of Term; empty if not known
	CommitIndex   uint64
	LastApplied   uint64
	LastLogIndex  uint64
	LastLogTerm   uint64
	LastNumber    uint64 // commands in the log
	Staged        Position
	Durable       Position
	FlushTime     time.Duration    // smoothed
	LeaderContact time.Duration    // since a message of the leader arrived; 0 on a leader; -1 if none ever did
	Followers     []FollowerStatus // on a leader, by ID
	Configuration Configuration
}

// FollowerStatus is what a leader knows of a follower.
type FollowerStatus struct {
	ID         ServerID
	State      string // probe or replicate
	MatchIndex uint64
	NextIndex  uint64
	Inflight   int
	Lag        uint64        // entries it is behind the leader's log
	Contact    time.Duration // since the latest message it answered was sent
	LastError  string        // of the latest call, empty if it succeeded
}

// contact is what this server last met when it called another.
type contact struct {
	err    error
	at     time.Time
	down   DownReason
	downAt time.Time
}

// heardLocked records how a call to another server ended. A reply proves a
// process, so it ends what the transport told before. rf.mu must be held.
func (rf *Raft) heardLocked(id ServerID, err error) {
	if c := rf.contacts[id]; c != nil {
		c.err, c.at = err, time.Now()
		if err == nil {
			c.down = 0
		}
	}
}

// Status may be called at any time, also after Done.
func (rf *Raft) Status() Status {
	rf.lock()
	defer rf.unlock()
	s := Status{
		ID: rf.config.ID, Role: rf.role, Term: rf.currentTerm, VotedFor: rf.votedFor.id, Leader: rf.leader,
		CommitIndex: rf.commitIndex, LastApplied: rf.lastApplied,
		LastLogIndex: rf.log.lastIndex(), LastLogTerm: rf.log.lastTerm(), LastNumber: rf.log.at(rf.log.lastIndex()).number,
		Staged: rf.staged, Durable: Position(rf.durable.Load()), FlushTime: rf.flushTime, LeaderContact: -1,
		Configuration: Configuration{
			slices.Clone(rf.configuration.Servers), slices.Clone(rf.configuration.Voters),
			slices.Clone(rf.configuration.OldVoters), rf.configuration.FeatureLevel,
		},
	}
	if !rf.leaderContact.IsZero() {
		s.LeaderContact = time.Since(rf.leaderContact)
	}
	if t := rf.tenure; t != nil {
		s.LeaderContact = 0
		for _, p := range t.followers {
			f := FollowerStatus{
				ID: p.id, State: p.state.String(), MatchIndex: p.matchIndex, NextIndex: p.nextIndex,
				Inflight: len(p.inflight), Lag: rf.log.lastIndex() - p.matchIndex, Contact: time.Since(p.ackAt),
			}
			if c := rf.contacts[p.id]; c.err != nil {
				f.LastError = c.err.Error()
			}
			s.Followers = append(s.Followers, f)
		}
	}
	return s
}

// Leader returns the leader this server last heard, and its address; empty if it
// knows of none.
func (rf *Raft) Leader() (id ServerID, address string) {
	rf.lock()
	defer rf.unlock()
	return rf.leader, rf.address[rf.leader]
}

// Health is the short answer for a load balancer or an operator.
type Health struct {
	Live   bool   // the server runs and its disk answers
	Ready  bool   // it leads with a quorum, or hears a leader
	Reason string // empty if Ready, else Why
}

// Health never waits for disk or network.
func (rf *Raft) Health() Health {
	if rf.stopped() {
		return Health{Reason: rf.Why()}
	}
	h := Health{Live: !rf.flushOverdue()}
	h.Ready = h.Live && rf.trouble() == ""
	if !h.Ready {
		h.Reason = rf.Why()
	}
	return h
}

func (rf *Raft) trouble() string {
	rf.lock()
	defer rf.unlock()
	return rf.troubleLocked()
}

// Why says in one line what this server is doing and, if writes would fail here,
// what is missing: "no leader for 3s: 1 of 3 reachable; n2 refuses: my log is
// behind".
func (rf *Raft) Why() string {
	if rf.stopped() {
		if err := rf.Err(); err != nil {
			line, _, _ := strings.Cut(err.Error(), "\n")
			return "stopped: " + line
		}
		return "stopped on request"
	}
	rf.lock()
	defer rf.unlock()
	if trouble := rf.troubleLocked(); trouble != "" {
		return trouble
	}
	if rf.role == Leader {
		return fmt.Sprintf("leading term %d with a quorum", rf.currentTerm)
	}
	return fmt.Sprintf("following %s in term %d", rf.leader, rf.currentTerm)
}

// troubleLocked returns what keeps this server from serving; empty if nothing.
// rf.mu must be held.
func (rf *Raft) troubleLocked() string {
	var parts []string
	if rf.flushOverdue() {
		parts = append(parts, "own disk is stalled: a flush is overdue")
	}
	switch {
	case rf.tenure != nil:
		if silent := time.Since(rf.quorumContactLocked(rf.tenure)); silent > rf.config.ElectionTimeoutMin {
			parts = append(parts, fmt.Sprintf("leading, but no quorum answered for %v", silent.Round(time.Millisecond)))
		}
	case rf.leader == "" || time.Since(rf.leaderContact) > rf.config.ElectionTimeoutMax:
		parts = append(parts, rf.noLeaderLocked())
	}
	return strings.Join(parts, "; ")
}

var refusalReason = map[Refusal]string{
	RefusedStaleTerm: "my term was behind",
	RefusedNotForMe:  "it is not the server I take it for",
	RefusedLogBehind: "my log is behind",
	RefusedVoted:     "it voted for another",
	RefusedHasLeader: "it hears a leader",
	RefusedBlank:     "it was never admitted",
}

// noLeaderLocked explains the lack of a leader by what the last campaign met.
// rf.mu must be held.
func (rf *Raft) noLeaderLocked() string {
	since := rf.born
	for _, t := range []time.Time{rf.leaderContact, rf.ledUntil} {
		if t.After(since) {
			since = t
		}
	}
	reachable := 1
	var notes []string
	for _, s := range rf.configuration.Servers {
		c := rf.contacts[s.ID]
		if s.ID == rf.config.ID || rf.lastCampaign.began.IsZero() {
			continue
		}
		refusal, refused := rf.lastCampaign.refusals[s.ID]
		switch {
		case c.down != 0 && c.downAt.After(rf.lastCampaign.began), c.err != nil, c.at.Before(rf.lastCampaign.began):
			note := string(s.ID) + " does not answer"
			if c.err != nil {
				note += ": " + innermost(c.err)
			}
			notes = append(notes, note)
			continue
		case refused:
			notes = append(notes, fmt.Sprintf("%s refuses: %s", s.ID, refusalReason[refusal]))
		}
		reachable++
	}
	text := fmt.Sprintf("no leader for %v", time.Since(since).Round(time.Millisecond))
	if rf.lastCampaign.began.IsZero() {
		return text + ": no campaign yet"
	}
	text += fmt.Sprintf(": %d of %d reachable", reachable, len(rf.configuration.Servers))
	if len(notes) > 0 {
		text += "; " + strings.Join(notes, "; ")
	}
	return text
}

// innermost returns the cause at the end of a chain of errors: short enough for
// one line that tells of several servers.
func innermost(err error) string {
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return err.Error()
}

// Down implements Handler: the transport tells what it saw of another server.
func (rf *Raft) Down(id ServerID, reason DownReason) {
	rf.guard.run("down", func() {
		rf.lock()
		defer rf.unlock()
		if c := rf.contacts[id]; c != nil {
			c.down, c.downAt = reason, time.Now()
		}
	})
}
