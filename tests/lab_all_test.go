package tests_test

import (
	"testing"

	"lockstep.example/raft/tests"
	"lockstep.example/raft/tests/kvlab"
)

// TestLab runs the labs' scenarios: go test -run Lab/3B/Backup.
func TestLab(t *testing.T) {
	tests.RunLab(t, tests.Lockstep)
	t.Run("labrpc", func(t *testing.T) { tests.RunNetwork(t, tests.LabRPC) })
	kvlab.RunLab(t, kvlab.Lockstep())
}
