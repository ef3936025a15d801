package sim

import "lockstep.example/raft"

// tight tells whether a run has servers with next to no room, as every third one:
// logs travel in many small messages, budgets run out, and segments end all the
// time.
func (s *simulation) tight() bool { return s.options.Seed%3 == 0 }

// limits are the budgets of the servers of a run; the zero value is the default.
func (s *simulation) limits() raft.Config {
	if !s.tight() {
		return raft.Config{}
	}
	pick := func(shift int, of ...int) int { return of[s.options.Seed>>shift%uint64(len(of))] }
	return raft.Config{
		MaxInflight:         pick(3, 1, 2, 3, 128),
		MaxInflightBytes:    uint64(pick(5, 1, 300, 5000)),
		MaxAppendBytes:      uint64(pick(7, 1, 100, 400)),
		MaxUncommittedBytes: uint64(pick(9, 300, 2000, 20000)),
		MaxApplyBytes:       uint64(pick(11, 300, 1000, 100000)),
		MaxInboxBytes:       uint64(pick(13, 200, 4000)),
	}
}

func (s *simulation) segmentBytes() int64 {
	if s.tight() {
		return 4 << 10
	}
	return 32 << 10 // small, so that runs rotate
}
