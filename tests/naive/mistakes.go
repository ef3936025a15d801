// Package naive is a small Raft made for the lab kit, with mistakes that can be
// switched on: a worked example of how one's own Raft is run in the harness, and
// a proof that the harness sees what it should. Without mistakes it passes every
// scenario of the lab; Maker has some of them and fails for the right reasons.
//
// Read adapter.go to adapt a Raft of your own, and docs/lab.md beside it.
// Election is in election.go, replication in append.go: about as much as a
// student writes. It is no library: its disk is a variable, it has no pre-vote
// and no reads, and its log only grows.
package naive

// Mistake is one that has been made before, many times.
type Mistake uint

const (
	// ForgetsAll keeps term, vote and log in memory alone. Figure 2: they are
	// updated on stable storage before responding to RPCs.
	ForgetsAll Mistake = 1 << iota
	// TrustsHeartbeats takes an AppendEntries without entries for a sign of life
	// that needs no check, and moves commitIndex by it. Figure 2, AppendEntries,
	// rules 2 and 5: nothing counts that does not agree at prevLogIndex, and
	// commitIndex goes no further than the last entry known to agree.
	TrustsHeartbeats
	// SendsTwice sends entries two times, in case one is lost. §5.3: they are sent
	// again when no answer has come, not before.
	SendsTwice
	// BeatsTooOften sends a heartbeat every 10 ms. The labs ask for an interval
	// that lets a follower miss a few, and for no more than tens of RPCs a second.
	BeatsTooOften
	// CountsHalf commits what half of the servers hold. Figure 2, leaders: a
	// majority.
	CountsHalf
	// VotesForAnyLog grants its vote to a log that lacks entries. §5.4.1: the
	// candidate's log must be at least as up to date as the voter's.
	VotesForAnyLog
	// SameTimeouts lets all election timeouts be equal. §5.2: they are drawn at
	// random, again for each election, or votes split for ever.
	SameTimeouts
)

// has tells whether a mistake is among those made.
func (m Mistake) has(one Mistake) bool { return m&one != 0 }
