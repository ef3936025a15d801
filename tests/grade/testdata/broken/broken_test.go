package broken

import (
	"testing"

	"lockstep.example/raft/tests"
)

func TestLab(t *testing.T) { tests.RunLab(t, Maker) }
