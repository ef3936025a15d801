// Package node puts one server together: the log in its directory, the port, Raft
// and the store.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"lockstep.example/raft"
	"lockstep.example/raft/kv"
	"lockstep.example/raft/rpc"
	"lockstep.example/raft/vfs"
	"lockstep.example/raft/wal"
)

// Options says which server to run.
type Options struct {
	Dir    string        // bootstrapped before
	ID     raft.ServerID // if set, whose directory it must be
	Listen string        // empty: the server's address in the configuration
	Logger *slog.Logger  // nil: slog.Default()
}

// Node is one server. Its methods may be called from any goroutine.
type Node struct {
	// immutable after Open
	ID      raft.ServerID
	log     *wal.WAL
	clients *rpc.Client // with which the store forwards commands to the leader
	port    *rpc.Server
	store   *kv.Server
	raft    *raft.Raft
}

// Bootstrap makes the directory of one server of a new cluster and returns the
// cluster's id, which is the same for every server that got the same name and
// configuration. The directory must be new or empty. raft.ErrBootstrapped if it is
// this server's already, wal.ErrWrongDirectory if it is another's.
func Bootstrap(dir, cluster string, id raft.ServerID, c raft.Configuration) (clusterID string, err error) {
	clusterID = raft.ClusterID(cluster, c)
	if err := checkFree(dir); err != nil {
		return "", err
	}
	if whose, server, err := Owner(dir); err == nil && whose == clusterID && server == id {
		return clusterID, fmt.Errorf("%w: %s is the directory of server %s of cluster %s", raft.ErrBootstrapped, dir, server, whose)
	}
	log, err := wal.Open(vfs.OS, dir, wal.Options{Cluster: clusterID, Server: id})
	if err != nil {
		return "", advise(dir, err)
	}
	_, err = raft.Bootstrap(log, cluster, id, c)
	return clusterID, advise(dir, errors.Join(err, log.Close()))
}

// Open starts a server. Close must be called, also after Done.
func Open(o Options) (_ *Node, err error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if err := checkServer(o.Dir); err != nil {
		return nil, err
	}
	n := &Node{}
	defer func() {
		if err != nil {
			n.release()
		}
	}()
	if n.log, err = wal.Open(vfs.OS, o.Dir, wal.Options{Server: o.ID, Logger: o.Logger}); err != nil {
		return nil, advise(o.Dir, err)
	}
	identity := n.log.Identity()
	contents, configuration, err := lookInto(n.log)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Dir, err)
	}
	n.ID = identity.Server
	if err := n.listen(o, identity, configuration); err != nil {
		return nil, err
	}
	n.raft, err = raft.New(raft.Config{ID: n.ID, Store: contents, Transport: n.port, StateMachine: n.store, Logger: o.Logger})
	if err != nil {
		return nil, err
	}
	n.store.Attach(n.raft)
	o.Logger.Info("lockstep: serving", "server", n.ID, "address", n.port.Addr(), "cluster", identity.Cluster, "boot", identity.BootCounter)
	return n, nil
}

// listen opens the port, with the store on it; the store refuses until Raft is
// attached.
func (n *Node) listen(o Options, identity raft.Identity, c raft.Configuration) (err error) {
	address := o.Listen
	if self, ok := c.Server(n.ID); address == "" && ok {
		address = self.Address
	}
	n.clients = rpc.NewClient(rpc.ClientConfig{Cluster: identity.Cluster})
	if n.store, err = kv.NewServer(kv.Config{ID: n.ID, Caller: n.clients}); err != nil {
		return err
	}
	n.port, err = rpc.Listen(rpc.Config{
		ID: n.ID, Cluster: identity.Cluster, Incarnation: identity.Incarnation, Directory: identity.Directory,
		BootCounter: identity.BootCounter, Address: address, Logger: o.Logger,
	})
	if err != nil {
		return err
	}
	return n.port.Register(kv.ServiceName, n.store)
}

// Done is closed when the server has stopped, by itself or by Close.
func (n *Node) Done() <-chan struct{} { return n.raft.Done() }

// Err returns why the server stopped by itself; nil if it did not.
func (n *Node) Err() error { return n.raft.Err() }

// Close stops the server: no new requests, then Raft, then the port and the log.
// If ctx ends first the error says what is still running, and what runs keeps the
// directory until the process ends.
func (n *Node) Close(ctx context.Context) error {
	closed := make(chan error, 1)
	go func() {
		err := errors.Join(n.store.Stop(ctx), n.raft.Stop(ctx))
		if err == nil {
			err = n.release()
		}
		closed <- err
	}()
	select {
	case err := <-closed:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-closed:
		return err
	default:
		return fmt.Errorf("the network and the log of %s are still in use: %w", n.ID, context.Cause(ctx))
	}
}

// release gives back what there is besides Raft.
func (n *Node) release() error {
	var errs []error
	if n.port != nil {
		errs = append(errs, n.port.Close())
	}
	if n.clients != nil {
		errs = append(errs, n.clients.Close())
	}
	if n.log != nil {
		errs = append(errs, n.log.Close())
	}
	return errors.Join(errs...)
}
