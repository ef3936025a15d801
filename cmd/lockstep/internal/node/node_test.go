package node

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep.example/raft"
	"lockstep.example/raft/kv"
	"lockstep.example/raft/rpc"
	"lockstep.example/raft/wal"
)

// freeAddress returns a loopback address on which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func bootstrap(t *testing.T, id raft.ServerID) (dir, address string) {
	t.Helper()
	dir, address = filepath.Join(t.TempDir(), string(id)), freeAddress(t)
	if _, err := Bootstrap(dir, "test", id, raft.NewConfiguration(map[raft.ServerID]string{id: address})); err != nil {
		t.Fatal(err)
	}
	return dir, address
}

func open(t *testing.T, o Options) *Node {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	n, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func stop(t *testing.T, n *Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := n.Close(ctx); err != nil {
		t.Error(err)
	}
	select {
	case <-n.Done():
	default:
		t.Error("it is closed and not done")
	}
	if err := n.Err(); err != nil {
		t.Errorf("it says that it stopped by itself: %v", err)
	}
}

func TestOneServerKeepsWhatItWasTold(t *testing.T) {
	dir, address := bootstrap(t, "n1")
	client := rpc.NewClient(rpc.ClientConfig{})
	defer client.Close()
	clerk, err := kv.NewClerk(kv.ClerkConfig{Servers: []string{address}, Caller: client})
	if err != nil {
		t.Fatal(err)
	}
	defer clerk.Close()

	n := open(t, Options{Dir: dir, ID: "n1"})
	if _, err := clerk.Put(t.Context(), []byte("k"), []byte("v")); err != nil {
		t.Error(err)
	}
	statuses := Statuses(t.Context(), client, []string{address, freeAddress(t)}, 10*time.Second)
	if leader, ok := Leader(statuses); !ok || leader.ID != "n1" || leader.Address != address {
		t.Errorf("the leader is %+v", leader)
	}
	if statuses[1].Err == nil {
		t.Error("an address on which nobody listens answers")
	}
	stop(t, n)

	n = open(t, Options{Dir: dir})
	defer stop(t, n)
	if r, err := clerk.Get(t.Context(), []byte("k")); err != nil || string(r.Value) != "v" {
		t.Errorf("after a restart the key has %q, %v", r.Value, err)
	}
}

func TestDirectoriesThatDoNotSuit(t *testing.T) {
	dir, address := bootstrap(t, "n1")
	configuration := raft.NewConfiguration(map[raft.ServerID]string{"n1": address})
	if _, err := Bootstrap(dir, "test", "n1", configuration); !errors.Is(err, raft.ErrBootstrapped) {
		t.Errorf("a second bootstrap gives %v", err)
	}
	if _, err := Bootstrap(dir, "other", "n1", configuration); !errors.Is(err, wal.ErrWrongDirectory) {
		t.Errorf("a bootstrap for another cluster gives %v", err)
	}
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "letter"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Bootstrap(foreign, "test", "n1", configuration); err == nil || !strings.Contains(err.Error(), "it holds letter") {
		t.Errorf("a bootstrap of a directory in use gives %v", err)
	}
	if _, err := Open(Options{Dir: foreign}); !errors.Is(err, raft.ErrNotBootstrapped) || !strings.Contains(err.Error(), "holds no server") {
		t.Errorf("a directory that is no server's gives %v", err)
	}
	if names, err := os.ReadDir(foreign); err != nil || len(names) != 1 {
		t.Errorf("it now holds %v, %v", names, err)
	}
	if _, err := Open(Options{Dir: filepath.Join(foreign, "letter")}); err == nil || !strings.Contains(err.Error(), "name a directory") {
		t.Errorf("a file gives %v", err)
	}
	if _, err := Open(Options{Dir: dir, ID: "n2"}); !errors.Is(err, wal.ErrWrongDirectory) {
		t.Errorf("the directory of another server gives %v", err)
	}
	if _, err := Open(Options{Dir: t.TempDir()}); !errors.Is(err, raft.ErrNotBootstrapped) {
		t.Errorf("an empty directory gives %v", err)
	}
	if _, err := Open(Options{Dir: filepath.Join(dir, "none")}); err == nil || !strings.Contains(err.Error(), "no such directory") {
		t.Errorf("no directory gives %v", err)
	}
	n := open(t, Options{Dir: dir})
	defer stop(t, n)
	if _, err := Open(Options{Dir: dir}); !errors.Is(err, wal.ErrLocked) {
		t.Errorf("a directory in use gives %v", err)
	}
}

func TestAPortThatIsTaken(t *testing.T) {
	dir, address := bootstrap(t, "n1")
	taken, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), address) {
		t.Errorf("a taken port gives %v", err)
	}
	// Nothing is left locked by the attempt, and another address will do.
	n := open(t, Options{Dir: dir, Listen: "127.0.0.1:0"})
	stop(t, n)
	taken.Close()
}

func TestOnlyTheHighestTermLeads(t *testing.T) {
	leads := func(id string, term uint64, err error) Status {
		return Status{StatusReply: kv.StatusReply{ID: id, Role: raft.Leader.String(), Term: term}, Err: err}
	}
	statuses := []Status{leads("n1", 3, nil), leads("n2", 4, nil), leads("n3", 5, errors.New("no answer")), {}}
	if l, ok := Leader(statuses); !ok || l.ID != "n2" {
		t.Errorf("the leader is %+v, want n2", l)
	}
	if _, ok := Leader(statuses[2:]); ok {
		t.Error("a server that does not answer leads")
	}
}

func TestCallerTellsWhatWasNotSent(t *testing.T) {
	client := rpc.NewClient(rpc.ClientConfig{})
	defer client.Close()
	err := client.Call(t.Context(), freeAddress(t), kv.MethodStatus, &kv.StatusRequest{}, &kv.StatusReply{})
	var unsent kv.NotSentError
	if !errors.As(err, &unsent) || !unsent.NotSent() || !errors.Is(err, rpc.ErrNotSent) {
		t.Errorf("a call to nobody gives %v, which does not say that it was not sent", err)
	}
}
