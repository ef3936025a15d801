package tests

import "testing"

// TestLab runs the labs' scenarios: go test -run Lab/3B/Backup.
func TestLab(t *testing.T) {
	t.Run("3A", func(t *testing.T) { Run(t, Lockstep, Lab3A) })
	t.Run("3B", func(t *testing.T) { Run(t, Lockstep, Lab3B) })
	t.Run("3C", func(t *testing.T) { Run(t, Lockstep, Lab3C) })
}

func TestElections(t *testing.T) { Run(t, Lockstep, Elections) }
func TestProposals(t *testing.T) { Run(t, Lockstep, Proposals) }
func TestReads(t *testing.T)     { Run(t, Lockstep, Reads) }
func TestStorms(t *testing.T)    { Run(t, Lockstep, Storms) }
