package tests

import (
	"time"

	"lockstep.example/raft"
)

// LockstepAt is Lockstep with a heartbeat interval of its own: a test that holds
// every message wants few of them.
func LockstepAt(heartbeat time.Duration) Maker {
	return func(env Env) (Server, error) {
		store, err := lockstepStore(env)
		if err != nil {
			return nil, err
		}
		s := &lockstepServer{env: env}
		return s, s.start(raft.Config{Store: store, StateMachine: s, Heartbeat: heartbeat})
	}
}
