package tests

import (
	"context"
	"errors"

	"lockstep.example/raft"
	"lockstep.example/raft/kv"
	"lockstep.example/raft/labrpc"
)

// KVServer is a server of the key-value store in the harness: this module's own
// Raft, and a kv.Server that clerks on the same network can call.
type KVServer struct {
	lockstepServer
	KV *kv.Server
}

// LockstepKV plugs the key-value store into the harness, on a store in memory.
func LockstepKV(env Env) (Server, error) {
	store, err := lockstepStore(env)
	if err != nil {
		return nil, err
	}
	return NewKVServer(env, raft.Config{Store: store})
}

// NewKVServer starts a server of the key-value store. The caller sets the Store
// of config and may set its timeouts and budgets; the rest is filled in.
func NewKVServer(env Env, config raft.Config) (*KVServer, error) {
	s := &KVServer{lockstepServer: lockstepServer{env: env}}
	var err error
	if s.KV, err = kv.NewServer(kv.Config{ID: raft.ServerID(env.ID), Caller: Caller{env.Endpoint}}); err != nil {
		return nil, err
	}
	config.StateMachine = s
	if err := s.start(config); err != nil {
		return nil, err
	}
	s.KV.Attach(s.rf)
	// kv.Caller's contract: a request is delivered once at most.
	labrpc.HandleOnce(env.Endpoint, kv.MethodDo, func(_ string, args *kv.Request) (*kv.Reply, error) {
		reply := new(kv.Reply)
		return reply, s.KV.Do(args, reply)
	})
	labrpc.HandleOnce(env.Endpoint, kv.MethodStatus, func(_ string, args *kv.StatusRequest) (*kv.StatusReply, error) {
		reply := new(kv.StatusReply)
		return reply, s.KV.Status(args, reply)
	})
	return s, nil
}

// Raft returns the Raft of the server.
func (s *KVServer) Raft() *raft.Raft { return s.rf }

// Apply implements raft.StateMachine: the monitors see a command before the store.
func (s *KVServer) Apply(batch []raft.Entry, results []raft.Result) {
	s.lockstepServer.Apply(batch, results)
	s.KV.Apply(batch, results)
}

// Kill implements Server.
func (s *KVServer) Kill() error {
	ctx, cancel := context.WithTimeout(context.Background(), killPatience)
	defer cancel()
	return errors.Join(s.KV.Stop(ctx), s.lockstepServer.Kill())
}

// Caller is a kv.Caller on the simulated network.
type Caller struct{ Endpoint *labrpc.Endpoint }

// Call implements kv.Caller.
func (c Caller) Call(ctx context.Context, address, method string, args, reply any) error {
	deadline, _ := ctx.Deadline()
	ended := make(chan error, 1)
	c.Endpoint.Call(address, method, args, reply, deadline, func(err error) { ended <- err })
	return <-ended // by the deadline at the latest
}

// Clerk puts a client of the key-value store on the network of a cluster whose
// servers are KVServers. Close it before the test ends.
func (c *Cluster) Clerk(name string, config kv.ClerkConfig) *kv.Clerk {
	c.T.Helper()
	config.Servers, config.Caller, config.Rand = c.ids, Caller{c.Net.Endpoint(name)}, c.uint64
	clerk, err := kv.NewClerk(config)
	if err != nil {
		c.fatal("start clerk %s: %v", name, err)
	}
	return clerk
}
