//go:build raftsim

package tests

// Freeze holds the server still, as a signal would stop its process.
func (s *lockstepServer) Freeze() (thaw func()) { return s.rf.Freeze() }
