package kvlab

import (
	"context"
	"errors"
	"fmt"

	"lockstep.example/raft/labrpc"
	"lockstep.example/raft/tests"
)

// System is what is under test. A nil part is left out.
type System struct {
	RSM   RSM  // 4A
	KV    *KV  // 4B
	Alone *KV  // kvsrv, and what the lock stands on: a cluster of one server
	Lock  Lock // lock; with KV, on clusters too

	// ManyClients returns a function that has a client, by its number from 1 on,
	// put a value of 1,000 bytes for the first time, on the state of one server and
	// nothing else: neither log nor network. For kvsrv/MemPutManyClients.
	ManyClients func() (put func(client int) error)
}

// Machine is a deterministic state machine that is replicated.
type Machine interface {
	Do(request []byte) (response []byte)
}

// RSM starts one server, new or again after a crash, that replicates a machine: a
// fresh one in every life.
type RSM func(env tests.Env, machine Machine) (Submitter, error)

// Submitter is a server that replicates a machine. Its method Start gets bytes
// that are no request: they are to go through the log and not to the machine.
type Submitter interface {
	tests.Server
	// Submit has the machine of every server do a request, once, and returns what
	// this server's answered. After ErrNotExecuted none ever will; after any other
	// error nobody knows. It ends when the server is killed.
	Submit(ctx context.Context, request []byte) (response []byte, err error)
}

// KV is a key-value store whose writes are conditional.
type KV struct {
	// Server starts one server, new or again after a crash. Its method Start gets
	// bytes that are no command of the store: they are to go through the log and to
	// change nothing.
	Server tests.Maker
	// Clerk makes a client.
	Clerk func(env ClerkEnv) (Clerk, error)
}

// ClerkEnv is the world of one client.
type ClerkEnv struct {
	Servers  []string // names of the servers it may call
	Endpoint *labrpc.Endpoint
	Rand     func() uint64 // seeded; safe for concurrent use
}

// Clerk is a client. One goroutine at a time uses it, but for Close.
//
// A version belongs to a key. It rises with every change; how it is counted is the
// store's business. Version 0 says that the key does not exist.
//
// Get and Put try until they have an answer, however long that takes.
type Clerk interface {
	// Get returns ErrNoKey if the key does not exist.
	Get(key string) (value string, version uint64, err error)
	// Put gives the key a value if it has the given version, and returns the new
	// one, or Untold. ErrVersion and ErrNoKey: it has not, and nothing changed.
	// ErrMaybe: it may have happened. ErrNotExecuted: it never will.
	Put(key, value string, version uint64) (now uint64, err error)
	// Close ends what is under way, if that is possible.
	Close()
}

// Untold is the version that a Clerk returns if the store does not tell it.
const Untold uint64 = 0

// Errors of a Clerk and of Submit, by errors.Is.
var (
	ErrNoKey       = errors.New("no such key")
	ErrVersion     = errors.New("another version")
	ErrMaybe       = errors.New("maybe executed")
	ErrNotExecuted = errors.New("certainly not executed")
)

// Lock makes the lock of a name for one client.
type Lock func(clerk Clerk, name string, random func() uint64) Locker

// Locker is one client's side of a lock that many share. Both methods try until
// they succeed; an error ends the scenario, unless its clerk is closed.
type Locker interface {
	Acquire() error
	Release() error
}

// Plain makes a Maker of a server that has no Raft, such as that of kvsrv: serve
// puts its handlers on an endpoint and returns what ends it. Such a server keeps
// nothing over a crash, so it fits clusters of one that do not crash.
func Plain(serve func(e *labrpc.Endpoint) (stop func() error, err error)) tests.Maker {
	return func(env tests.Env) (tests.Server, error) {
		if len(env.Peers) != 1 {
			return nil, fmt.Errorf("a server without Raft cannot be one of %d", len(env.Peers))
		}
		stop, err := serve(env.Endpoint)
		return &plain{env: env, stop: stop}, err
	}
}

// plain plays the log that the harness expects a server to have.
type plain struct {
	env     tests.Env
	stop    func() error
	applied uint64 // the scenario's goroutine alone proposes to it
}

func (p *plain) Start(command []byte) (number, term uint64, leads bool) {
	p.applied++
	p.env.Apply(tests.Applied{Number: p.applied, Index: p.applied, Term: 1, Command: command})
	return p.applied, 1, true
}

func (p *plain) State() (term uint64, leads bool) { return 1, true }

func (p *plain) Kill() error { return p.stop() }
