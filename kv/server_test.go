package kv

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep.example/raft"
	"lockstep.example/raft/internal/msgpack"
	"lockstep.example/raft/session"
)

func do(s *Server, r Request) Reply {
	var reply Reply
	s.Do(&r, &reply)
	return reply
}

// openSession opens a session on the leader of c and returns its id.
func openSession(t testing.TB, s *Server) uint64 {
	t.Helper()
	a, err := session.ParseAnswer(do(s, Request{Op: OpOpenSession}).Answer)
	if err != nil {
		t.Fatal(err)
	}
	return a.Client
}

func serverBubble(t *testing.T, n int, f func(t *testing.T, c *fakeCluster)) {
	synctest.Test(t, func(t *testing.T) {
		c := newFakeCluster(t, n, 1, session.DefaultLimits())
		f(t, c)
		c.late.Wait()
	})
}

func TestServerForwards(t *testing.T) {
	serverBubble(t, 3, func(t *testing.T, c *fakeCluster) {
		id := openSession(t, c.servers[1]) // n1 leads
		put := Request{Op: OpPut, Key: []byte("k"), Value: []byte("v"), Client: id, Seq: 1}
		r := do(c.servers[2], put)
		if r.Code != CodeOK || r.Leader != "addr1" || r.Server != "n1" || len(r.Answer) == 0 {
			t.Errorf("forwarded: %+v", r)
		}
		c.set(func() { c.calls = 0 })
		r = do(c.servers[0], put)
		if r.Code != CodeOK || c.calls != 0 {
			t.Errorf("on the leader: %+v after %d calls", r, c.calls)
		}
		put.Forwarded = true
		if r := do(c.servers[2], put); r.Code != CodeNotLeader || r.Leader != "addr1" || c.calls != 0 {
			t.Errorf("a request that was forwarded already: %+v after %d calls", r, c.calls)
		}
	})
}

// TestForwardEndsAfterOneHop: servers that each take the other for the leader
// answer after one call.
func TestForwardEndsAfterOneHop(t *testing.T) {
	serverBubble(t, 2, func(t *testing.T, c *fakeCluster) {
		for i, s := range c.servers {
			s.Attach(misled{&fakeRaft{c, i}, c.address(1 - i)})
		}
		r := do(c.servers[0], Request{Op: OpPut, Key: []byte("k"), Client: 1, Seq: 1})
		if r.Code != CodeNotLeader || c.calls != 1 {
			t.Errorf("%+v after %d calls", r, c.calls)
		}
	})
}

// misled always names another server.
type misled struct {
	*fakeRaft
	other string
}

func (m misled) Propose(context.Context, []byte) (raft.Result, error) {
	return raft.Result{}, &raft.NotLeaderError{Leader: "other", Address: m.other}
}

// TestForwardLost: without the leader's answer the outcome is unknown, unless the
// request certainly did not leave.
func TestForwardLost(t *testing.T) {
	for name, c := range map[string]struct {
		faults faults
		want   Code
	}{
		"request lost":       {faults{loseRequest: 100}, CodeUnknown},
		"reply lost":         {faults{loseReply: 100}, CodeUnknown},
		"connection reset":   {faults{breakReply: 100}, CodeUnknown},
		"connection refused": {faults{refuse: 100}, CodeNotLeader},
		"leader not sure":    {faults{unknownDone: 100}, CodeUnknown},
		"leader rejects":     {faults{rejected: 100}, CodeRejected},
	} {
		serverBubble(t, 2, func(t *testing.T, f *fakeCluster) {
			id := openSession(t, f.servers[0])
			f.set(func() { f.faults = c.faults })
			began := time.Now()
			r := do(f.servers[1], Request{Op: OpPut, Key: []byte("k"), Client: id, Seq: 1, Timeout: time.Second})
			if r.Code != c.want || r.Answer != nil || r.Message == "" {
				t.Errorf("%s: %+v, want %v", name, r, c.want)
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("%s: it took %v", name, took)
			}
		})
	}
}

// TestServerCodes: each error of Raft keeps its meaning.
func TestServerCodes(t *testing.T) {
	for _, c := range []struct {
		err         error
		write, read Code
	}{
		{&raft.NotLeaderError{}, CodeNotLeader, CodeNotLeader},
		{&raft.OverloadedError{}, CodeOverloaded, CodeOverloaded},
		{&raft.RejectedError{}, CodeRejected, CodeRejected},
		{&raft.TooLargeError{}, CodeInvalid, CodeInvalid},
		{raft.ErrStopped, CodeStopped, CodeStopped},
		{&raft.UnknownError{Cause: raft.ErrStopped}, CodeUnknown, CodeUnknown},
		{&raft.UnknownError{Cause: context.DeadlineExceeded}, CodeUnknown, CodeUnknown},
		{raft.ErrNoAuthority, CodeUnknown, CodeUnavailable},
		{errors.New("anything else proves nothing"), CodeUnknown, CodeUnavailable},
	} {
		wrapped := fmt.Errorf("propose: %w", c.err)
		if got := codeOf(OpPut, wrapped); got != c.write {
			t.Errorf("put: %v gives %v, want %v", c.err, got, c.write)
		}
		if got := codeOf(OpGet, wrapped); got != c.read {
			t.Errorf("get: %v gives %v, want %v", c.err, got, c.read)
		}
	}
}

func TestServerReads(t *testing.T) {
	serverBubble(t, 2, func(t *testing.T, c *fakeCluster) {
		id := openSession(t, c.servers[0])
		write := func(seq uint64, value string) {
			do(c.servers[0], Request{Op: OpPut, Key: []byte("k"), Value: []byte(value), Client: id, Seq: seq})
		}
		write(1, "old")
		c.set(func() { c.behind[1] = true })
		write(2, "new")
		follower, get := c.servers[1], Request{Op: OpGet, Key: []byte("k"), Timeout: time.Second}
		if r := do(follower, get); r.Code != CodeUnavailable || r.Items != nil {
			t.Errorf("a follower that cannot catch up answers %+v", r)
		}
		get.Stale = true
		if r := do(follower, get); r.Code != CodeOK || !r.Stale || string(r.Items[0].Value) != "old" || r.Revision != 1 || r.Applied != c.log[1].Index {
			t.Errorf("stale: %+v", r)
		}
		list := Request{Op: OpList, Stale: true}
		if r := do(follower, list); r.Code != CodeOK || !r.Stale || len(r.Items) != 1 || string(r.Items[0].Value) != "old" {
			t.Errorf("stale list: %+v", r)
		}
		get.Stale = false
		go func() {
			time.Sleep(500 * time.Millisecond)
			c.set(func() { c.behind[1] = false })
		}()
		if r := do(follower, get); r.Code != CodeOK || r.Stale || string(r.Items[0].Value) != "new" || r.Revision != 2 || r.Applied != c.log[2].Index {
			t.Errorf("linearizable, on a follower: %+v", r)
		}
		if c.calls != 0 {
			t.Errorf("reads were forwarded: %d calls", c.calls)
		}
	})
}

func TestServerRefusesBadRequests(t *testing.T) {
	serverBubble(t, 1, func(t *testing.T, c *fakeCluster) {
		id := openSession(t, c.servers[0])
		long := []byte(strings.Repeat("x", MaxValueBytes+1))
		for name, r := range map[string]struct {
			request Request
			text    string
		}{
			"no operation":      {Request{}, "unknown operation 0"},
			"unknown operation": {Request{Op: 99, Key: []byte("k")}, "unknown operation 99"},
			"empty key":         {Request{Op: OpPut, Client: id, Seq: 1}, "empty key"},
			"get without key":   {Request{Op: OpGet}, "empty key"},
			"long key":          {Request{Op: OpGet, Key: long[:MaxKeyBytes+1]}, "the key would have 4097 bytes, the limit is 4096"},
			"long value":        {Request{Op: OpPut, Key: []byte("k"), Value: long, Client: id, Seq: 1}, "the value would have 1048577 bytes, the limit is 1048576"},
			"long prefix":       {Request{Op: OpList, Key: long}, "the prefix would have"},
			"long start-after":  {Request{Op: OpList, After: long}, "the start-after key would have"},
			"no session":        {Request{Op: OpPut, Key: []byte("k"), Seq: 1}, "open a session first"},
			"no number":         {Request{Op: OpPut, Key: []byte("k"), Client: id}, "open a session first"},
			"delete with value": {Request{Op: OpDelete, Key: []byte("k"), Value: []byte("v"), Client: id, Seq: 1}, "a delete has no value"},
		} {
			reply := do(c.servers[0], r.request)
			if reply.Code != CodeInvalid || !strings.Contains(reply.Message, r.text) {
				t.Errorf("%s: %v %q, want %q", name, reply.Code, reply.Message, r.text)
			}
		}
		if len(c.log) != 1 {
			t.Errorf("%d entries in the log, want only the session's", len(c.log))
		}
	})
}

func TestServerOverloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newFakeCluster(t, 1, 1, session.DefaultLimits())
		s, err := NewServer(Config{ID: "n1", MaxInFlight: 3, MaxInFlightBytes: 100})
		if err != nil {
			t.Fatal(err)
		}
		s.Attach(&fakeRaft{c, 0})
		c.set(func() { c.behind[0] = true })
		get := func(key string) Code { return do(s, Request{Op: OpGet, Key: []byte(key), Timeout: time.Second}).Code }
		results := make(chan Code, 3)
		start := func(key string) {
			go func() { results <- get(key) }()
			synctest.Wait()
		}
		start(strings.Repeat("x", 200)) // one request always fits
		if got := get("x"); got != CodeOverloaded {
			t.Errorf("beyond the bytes: %v", got)
		}
		<-results
		for range 3 {
			start("x")
		}
		if got := get("x"); got != CodeOverloaded {
			t.Errorf("beyond the requests: %v", got)
		}
		for range 3 {
			<-results
		}
		c.set(func() { c.behind[0] = false })
		if got := get("x"); got != CodeOK {
			t.Errorf("afterwards: %v", got)
		}
	})
}

func TestServerStop(t *testing.T) {
	serverBubble(t, 1, func(t *testing.T, c *fakeCluster) {
		s := c.servers[0]
		c.set(func() { c.behind[0] = true })
		done := make(chan Code)
		go func() { done <- do(s, Request{Op: OpGet, Key: []byte("k"), Timeout: time.Minute}).Code }()
		synctest.Wait()
		late, cancel := context.WithCancel(t.Context())
		cancel()
		s.flight.stop() // as Stop does first, the read still under way
		began := time.Now()
		stopped := make(chan error)
		go func() { stopped <- s.Stop(t.Context()) }()
		if code := <-done; code != CodeUnavailable {
			t.Errorf("the read that waited: %v", code)
		}
		if err := <-stopped; err != nil || time.Since(began) != 0 {
			t.Errorf("stop: %v after %v", err, time.Since(began))
		}
		if code := do(s, Request{Op: OpGet, Key: []byte("k"), Stale: true}).Code; code != CodeStopped {
			t.Errorf("a read after stop: %v", code)
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Errorf("stop again: %v", err)
		}
		stuck, _ := NewServer(Config{ID: "n1"})
		stuck.flight.enter(0)
		if err := stuck.Stop(late); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "1 requests") {
			t.Errorf("a stop that takes too long: %v", err)
		}
	})
}

func TestServerStarting(t *testing.T) {
	s, err := NewServer(Config{ID: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	if r := do(s, Request{Op: OpOpenSession}); r.Code != CodeNotLeader || r.Leader != "" {
		t.Errorf("open: %+v", r)
	}
	if r := do(s, Request{Op: OpGet, Key: []byte("k")}); r.Code != CodeNotLeader {
		t.Errorf("get: %+v", r)
	}
	if r := do(s, Request{Op: OpGet, Key: []byte("k"), Stale: true}); r.Code != CodeOK {
		t.Errorf("stale get: %+v", r)
	}
	var st StatusReply
	if s.Status(&StatusRequest{}, &st); st.ID != "n1" || st.Why != "starting" || st.Ready {
		t.Errorf("status: %+v", st)
	}
	for _, bad := range []Config{{}, {ID: "n1", MaxInFlight: -1}, {ID: "n1", MaxInFlightBytes: -1}} {
		if _, err := NewServer(bad); !errors.Is(err, raft.ErrConfig) {
			t.Errorf("config %+v: %v", bad, err)
		}
	}
}

func TestServerStatus(t *testing.T) {
	bubble(t, 2, session.DefaultLimits(), func(t *testing.T, c *fakeCluster, clerk *Clerk) {
		clerk.Put(t.Context(), []byte("k"), []byte("v"))
		leader, err := clerk.Status(t.Context(), "addr1")
		if err != nil || leader.ID != "n1" || leader.Role != "leader" && leader.Role != "Leader" || leader.LeaderAddress != "addr1" || leader.Why != "because" || !leader.Ready ||
			leader.Keys != 1 || leader.Sessions != 1 || leader.Revision != 1 || leader.HashIndex != c.log[1].Index || len(leader.Followers) != 1 || leader.Followers[0].Lag != 2 {
			t.Errorf("leader: %+v, %v", leader, err)
		}
		c.set(func() { c.behind[1] = true })
		clerk.Put(t.Context(), []byte("k"), []byte("w"))
		follower, _ := clerk.Status(t.Context(), "addr2")
		if follower.Hash != leader.Hash || follower.HashIndex != leader.HashIndex || follower.Lag != 1 {
			t.Errorf("at the same index: %+v and %+v", leader, follower)
		}
		if now, _ := clerk.Status(t.Context(), "addr1"); now.Hash == leader.Hash || now.HashIndex == leader.HashIndex {
			t.Errorf("after another put: %+v and %+v", leader, now)
		}
		if _, err := clerk.Status(t.Context(), "nowhere"); !errors.Is(err, ErrUnavailable) {
			t.Errorf("status of nobody: %v", err)
		}
	})
}

// TestNetRPC: the methods have the form net/rpc wants, and it finds no others.
func TestNetRPC(t *testing.T) {
	s, err := NewServer(Config{ID: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	server := rpc.NewServer()
	if err := server.RegisterName(ServiceName, s); err != nil {
		t.Fatal(err)
	}
	here, there := net.Pipe()
	go server.ServeConn(there)
	client := rpc.NewClient(here)
	defer client.Close()
	var reply Reply
	if err := client.Call(MethodDo, &Request{Op: OpGet, Key: []byte("k"), Stale: true}, &reply); err != nil || reply.Code != CodeOK || reply.Server != "n1" {
		t.Errorf("do: %+v, %v", reply, err)
	}
	var st StatusReply
	if err := client.Call(MethodStatus, &StatusRequest{}, &st); err != nil || st.ID != "n1" {
		t.Errorf("status: %+v, %v", st, err)
	}
	if err := client.Call("KV.Apply", &Request{}, &reply); err == nil {
		t.Error("Apply can be called from the network")
	}
}

// TestWireOrder pins the order of the fields, which is the schema of the wire.
func TestWireOrder(t *testing.T) {
	for _, c := range []struct {
		value any
		want  string
	}{
		{&Request{OpPut, []byte("k"), []byte("v"), 3, []byte("a"), 5, 6, 7, 8, true, false, 9}, "9c04c4016bc4017603c4016105060708c3c209"},
		{&Reply{CodeUnknown, "m", "s", "l", []byte("a"), []KeyValue{{[]byte("k"), []byte("v"), 1, 2, 3}}, true, 4, 5, false}, "9a05a16da173a16cc401619195c4016bc40176010203c30405c2"},
	} {
		got, err := msgpack.Marshal(c.value)
		if err != nil || hex.EncodeToString(got) != c.want {
			t.Errorf("%T: %x, %v; want %s", c.value, got, err, c.want)
		}
	}
}
