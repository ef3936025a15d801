package kvlab

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"sync"

	"lockstep.example/raft/tests"
)

// RSMOver makes a replicated state machine of any Raft server that is a
// tests.Proposer: one that can tell its callers when a command has been applied.
func RSMOver(raft tests.Maker) RSM {
	return func(env tests.Env, machine Machine) (Submitter, error) {
		r := &rsm{machine: machine, life: env.Rand(), waiting: map[string]*[]byte{}}
		apply := env.Apply
		env.Apply = func(a tests.Applied) {
			apply(a)
			r.apply(a.Command)
		}
		server, err := raft(env)
		if err != nil {
			return nil, err
		}
		r.Server = server
		return r, nil
	}
}

// rsm hands requests to a machine in the order of the log. Each request travels
// under a name of its own: who submitted it, in which life, as which one. So a
// response goes to the call it belongs to, and not to that of an earlier life, or
// of another server, whose entry has come to lie in its place.
type rsm struct {
	tests.Server
	machine Machine
	life    uint64 // drawn at random

	mu sync.Mutex
	// guarded by mu
	last    uint64
	waiting map[string]*[]byte // name -> where the response goes
}

var rsmMark = []byte("rsm:")

const nameBytes = 16

// Submit implements Submitter.
func (r *rsm) Submit(ctx context.Context, request []byte) (response []byte, err error) {
	r.mu.Lock()
	r.last++
	name := binary.LittleEndian.AppendUint64(nil, r.life)
	name = binary.LittleEndian.AppendUint64(name, r.last)
	r.waiting[string(name)] = &response
	r.mu.Unlock()
	_, outcome := r.Server.(tests.Proposer).Propose(ctx, bytes.Join([][]byte{rsmMark, name, request}, nil))
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waiting, string(name)) // from here on nobody writes to response
	switch outcome {
	case tests.Acknowledged:
		return response, nil
	case tests.Rejected:
		return nil, ErrNotExecuted
	}
	return nil, errOutcomeUnknown
}

var errOutcomeUnknown = errors.New("outcome unknown")

func (r *rsm) apply(command []byte) {
	named, ok := bytes.CutPrefix(command, rsmMark)
	if !ok || len(named) < nameBytes {
		return
	}
	response := r.machine.Do(named[nameBytes:])
	r.mu.Lock()
	defer r.mu.Unlock()
	if to := r.waiting[string(named[:nameBytes])]; to != nil {
		*to = response
	}
}

// Why implements tests.Explainer.
func (r *rsm) Why() string {
	if e, ok := r.Server.(tests.Explainer); ok {
		return e.Why()
	}
	return ""
}
