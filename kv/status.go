package kv

// Status says what this server is doing. It waits for neither disk nor network;
// the error is always nil.
func (s *Server) Status(_ *StatusRequest, reply *StatusReply) error {
	rf := s.raft()
	st, health := rf.Status(), rf.Health()
	_, address := rf.Leader()
	*reply = StatusReply{
		ID: string(s.config.ID), Role: st.Role.String(), Term: st.Term, Leader: string(st.Leader), LeaderAddress: address,
		CommitIndex: st.CommitIndex, LastApplied: st.LastApplied, LastLogIndex: st.LastLogIndex, Lag: st.LastLogIndex - st.LastApplied,
		Why: rf.Why(), Live: health.Live, Ready: health.Ready, InFlight: uint64(s.flight.count()),
	}
	for _, f := range st.Followers {
		reply.Followers = append(reply.Followers, FollowerStatus{
			ID: string(f.ID), State: f.State, MatchIndex: f.MatchIndex, Lag: f.Lag, LastError: f.LastError,
		})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	reply.Revision, reply.Keys, reply.Sessions = s.store.Revision(), uint64(s.store.Len()), uint64(s.sessions.Len())
	reply.Hash, reply.HashIndex = combine(s.store.Hash(), s.sessions.Digest()), s.applied
	return nil
}
