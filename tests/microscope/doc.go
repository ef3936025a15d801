// Package microscope looks at linearizable reads around the deposition of a
// leader, one message at a time.
//
// Three servers run in a bubble of virtual time on a network that holds every
// message. Server 0 leads and one write is applied by all; from then on nothing
// moves but by a step: a held message arrives or is lost, a client begins to read
// or write at a server, an election timeout or a heartbeat interval passes, a
// server crashes and starts again, or (under the build tag raftsim) the old leader
// is held still as if by a signal. After each step everything settles before the
// next, so that a list of steps is a schedule that can be run again.
//
// A story is a schedule known to have broken some Raft: a new leader is asked
// before its sentinel is committed; answers to heartbeats older than a read arrive
// after the deposition. The search runs every schedule that leaves a story at one
// place for another step that is possible there, then every one that leaves it at
// two places, and so on. Schedules that differ only in the order of steps which do
// not concern one another count once: trace.go says why that loses nothing. With
// five servers there are too many to enumerate; they are sampled.
//
// In each schedule
//   - a read must see all that any server had applied when it began: it may have
//     been acknowledged, or seen by an earlier read;
//   - a read ends by its deadline, with an answer or an error of a known kind, and
//     at once if the leader it asked steps down;
//   - no leader uses the number of a round twice;
//   - the monitors of package tests hold.
//
// To use it:
//
//	go test ./tests/microscope -v                                    a few thousand schedules
//	LOCKSTEP_SCHEDULES=1000000 go test ./tests/microscope -v -timeout 0
//	LOCKSTEP_FOR=10m go test -tags raftsim ./tests/microscope -v -timeout 0
//	LOCKSTEP_SCHEDULE='L2OldBeats; 4 read 1' go test ./tests/microscope -run TestSchedule -v
//
// What is not enumerated: the order of goroutines within one step, which is the
// scheduler's own. A step is one message, so little is left to it; yet a schedule
// that failed may pass when it is run again, and is then tried a few times more.
package microscope
