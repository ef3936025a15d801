package script

import (
	"time"

	"lockstep.example/raft/labrpc"
	"lockstep.example/raft/tests"
)

// Adapter plugs a Raft into the runner.
type Adapter struct {
	Maker tests.Maker
	// ElectionTimeoutMin is how long after a reset the election timer of a server
	// fires whose Env.Rand returned 0; a higher number is so many nanoseconds more.
	ElectionTimeoutMin time.Duration
	// Describe returns the kind of a message (prevote, vote, append, heartbeat or
	// read, for a reply that of its request) and what the message says.
	Describe func(m *labrpc.Message) (kind, text string)
	// Compose builds a request out of the words of a send command, and an empty
	// reply to it.
	Compose func(kind, from, to string, fields Fields) (method string, args, reply any, err error)
}
