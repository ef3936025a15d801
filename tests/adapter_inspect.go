package tests

import "lockstep.example/raft"

// Inspect implements Inspector.
func (s *lockstepServer) Inspect() Inspection {
	status := s.rf.Status()
	return Inspection{
		Role: status.Role.String(), Term: status.Term, VotedFor: string(status.VotedFor),
		LastIndex: status.LastLogIndex, LastTerm: status.LastLogTerm,
		Commit: status.CommitIndex, Applied: status.LastApplied,
	}
}

// OnRole implements Inspector.
func (s *lockstepServer) OnRole(f func(role string, term uint64)) {
	events, _ := s.rf.Observe(1024) // closed when the server ends
	s.watched.Go(func() {
		for e := range events {
			if changed, ok := e.(raft.RoleChanged); ok {
				f(changed.Role.String(), changed.Term)
			}
		}
	})
}
