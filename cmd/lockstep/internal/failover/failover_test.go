package failover

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep.example/raft"
	"lockstep.example/raft/cmd/lockstep/internal/node"
	"lockstep.example/raft/kv"
	"lockstep.example/raft/rpc"
)

// oneServer runs a server in this process and returns a clerk of it.
func oneServer(t *testing.T) *kv.Clerk {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dir, address := t.TempDir(), l.Addr().String()
	l.Close()
	if _, err := node.Bootstrap(dir, "test", "n1", raft.NewConfiguration(map[raft.ServerID]string{"n1": address})); err != nil {
		t.Fatal(err)
	}
	n, err := node.Open(node.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	client := rpc.NewClient(rpc.ClientConfig{})
	clerk, err := kv.NewClerk(kv.ClerkConfig{Servers: []string{address}, Caller: client})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		clerk.Close()
		client.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := n.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return clerk
}

// TestVerifySeesWhatIsWrong spoils what a writer wrote, in every way there is.
func TestVerifySeesWhatIsWrong(t *testing.T) {
	clerk := oneServer(t)
	const written = 20
	fresh := func(prefix string) *writer {
		w := &writer{prefix: prefix, clerk: clerk, acks: &acks{}}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w.atWrite = func(n uint64) {
			if n == written-1 {
				cancel()
			}
		}
		w.run(ctx)
		if w.next != written || w.acks.count() != written {
			t.Fatalf("%d writes, %d acknowledged, want %d", w.next, w.acks.count(), written)
		}
		return w
	}
	put := func(key, value string) {
		if _, err := clerk.Put(t.Context(), []byte(key), []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	del := func(key string) {
		if _, err := clerk.Delete(t.Context(), []byte(key)); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name  string
		spoil func(w *writer)
		want  string // "" if nothing is wrong
	}{
		{"nothing", func(*writer) {}, ""},
		{"unknown and there", func(w *writer) { w.unknown[3] = true }, ""},
		{"unknown and not there", func(w *writer) { w.unknown[3] = true; del(w.key(3)) }, ""},
		{"refused and not there", func(w *writer) { w.refused[3] = true; del(w.key(3)) }, ""},
		{"first lost", func(w *writer) { del(w.key(0)) }, "was acknowledged and is not there"},
		{"one lost", func(w *writer) { del(w.key(7)) }, "was acknowledged and is not there"},
		{"last lost", func(w *writer) { del(w.key(written - 1)) }, "was acknowledged and is not there"},
		{"refused and there", func(w *writer) { w.refused[3] = true }, "was refused and is there"},
		{"changed", func(w *writer) { put(w.key(5), "other") }, `holds "other"`},
		{"one too many", func(w *writer) { put(w.key(written), "x") }, "was never written"},
		{"a stranger", func(w *writer) { put(w.prefix+"x", "x") }, "was never written"},
	} {
		w := fresh(test.name + "/")
		test.spoil(w)
		err := w.verify(t.Context())
		if test.want == "" && err != nil || test.want != "" && (!errors.Is(err, ErrLost) || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: verify says %v, want %q", test.name, err, test.want)
		}
	}
}

func TestGapsAreMeasuredFromTheLastAcknowledgement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a acks
		for _, pause := range []time.Duration{0, 3 * time.Second, time.Second} {
			time.Sleep(pause)
			a.add()
		}
		time.Sleep(time.Second)
		a.beginGap() // a second after the last one
		time.Sleep(time.Second)
		a.add()
		time.Sleep(time.Second)
		if got := a.longestGap(); got != 2*time.Second {
			t.Errorf("the longest gap is %v, want 2s", got)
		}
		if a.count() != 4 {
			t.Errorf("%d acknowledged, want 4", a.count())
		}
	})
}
