package microscope

import (
	"errors"
	"time"

	"lockstep.example/raft"
)

// checkReads looks at the reads that ended since the last time, and at those that
// should have.
func (w *world) checkReads() {
	term, leads := w.state(0)
	for i, r := range w.reads {
		if r.told {
			continue
		}
		if !r.over() {
			if r.term != 0 && w.thaw == nil && (!leads || term != r.term) {
				w.fail("read %d waits on although server 0, which it asked as the leader of term %d, stepped down", i+1, r.term)
			}
			if time.Since(r.began) > readTimeout+lateness && !r.excused && !(w.thaw != nil && r.server == 0) {
				w.fail("read %d did not end by its deadline", i+1)
			}
			continue
		}
		r.told = true
		switch {
		case r.took > readTimeout+lateness && !r.excused:
			w.fail("read %d took %v; its deadline was %v", i+1, r.took, readTimeout)
		case r.err == nil && r.value < r.floor:
			w.fail("STALE: read %d of server %d sees %d writes; %d were applied before it began", i+1, r.server, r.value, r.floor)
		case r.err != nil && !typed(r.err):
			w.fail("read %d ended with an error of no known kind: %v", i+1, r.err)
		}
	}
}

func typed(err error) bool {
	for _, kind := range []error{raft.ErrNotLeader, raft.ErrNoAuthority, raft.ErrStopped} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

type beatKey struct {
	channel     channel
	term, round uint64
}

// checkBeats looks at new heartbeats: a leader uses no round twice.
func (w *world) checkBeats(sent []*message) {
	for _, m := range sent {
		if m.method != "beat" || m.reply {
			continue
		}
		var args raft.AppendEntriesArgs
		if err := m.held.Decode(&args); err != nil {
			w.fail("%s cannot be read: %v", m.label(), err)
			continue
		}
		key := beatKey{m.channel, args.Term, args.Round}
		if w.beatsSeen[key] {
			w.fail("round %d of term %d is used twice by server %d", args.Round, args.Term, m.from)
		}
		w.beatsSeen[key] = true
	}
}
