package rpc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"lockstep.example/raft"
	"lockstep.example/raft/internal/msgpack"
)

// request returns the frame of one net/rpc request.
func request(method string, seq uint64, args any) []byte {
	payload, err := msgpack.Append(nil, &rpc.Request{ServiceMethod: method, Seq: seq})
	if err == nil {
		payload, err = msgpack.Append(payload, args)
	}
	if err != nil {
		panic(err)
	}
	return frame(payload)
}

// bomb is encoded as a claim of 4 G elements where a struct is expected.
var bomb = frame(append([]byte{0x92, 0xb0}, append([]byte("Raft.RequestVote"), 1, 0xdd, 0xff, 0xff, 0xff, 0xff)...))

// alarmed is a handler that nothing may reach.
func alarmed(t *testing.T) *stubHandler {
	return &stubHandler{
		vote: func(a *raft.RequestVoteArgs) (*raft.RequestVoteReply, error) {
			t.Errorf("a handler was called with %+v", a)
			return nil, errors.New("no")
		},
		append: func(a *raft.AppendEntriesArgs, _ raft.Turn) (*raft.AppendEntriesReply, error) {
			t.Errorf("a handler was called with %+v", a)
			return nil, errors.New("no")
		},
	}
}

// hostileCase is what a stranger says to server a of cluster c1.
type hostileCase struct {
	name    string
	data    []byte
	verdict error  // what the stranger is told; nil: nothing
	log     string // what the log line contains
}

func hostileCases() []hostileCase {
	hello := func(change func(*greeting)) []byte {
		g := greeting{minVersion: 1, maxVersion: 1, class: classControl, cluster: "c1", sender: "x", receiver: "a", bootCounter: 4, bootID: [16]byte{7}}
		if change != nil {
			change(&g)
		}
		return g.encode()
	}
	good := hello(nil)
	after := func(data []byte) []byte { return append(bytes.Clone(good), data...) }
	vote := request("Raft.RequestVote", 1, &raft.RequestVoteArgs{Header: header("x", "a")})
	flipped := bytes.Clone(vote)
	flipped[len(flipped)-1] ^= 1
	huge := append(binary.LittleEndian.AppendUint32(nil, 1<<32-1), make([]byte, 1000)...)

	return []hostileCase{
		{"garbage", bytes.Repeat([]byte{0xa5, 3}, 500), nil, ErrProtocol.Error()},
		{"an HTTP request", []byte("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"), nil, ErrProtocol.Error()},
		{"a TLS hello", []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), nil, ErrProtocol.Error()},
		{"a header of 4 GiB", huge, nil, ErrProtocol.Error()},
		{"half a magic, then silence", good[:2], nil, "failed"},
		{"half a greeting, then silence", good[:40], nil, "failed"},
		{"silence", nil, nil, "failed"},
		{"a greeting of 64 KiB", append([]byte("LSTP\xff\xff"), make([]byte, 1<<16)...), nil, ErrProtocol.Error()},
		{"a greeting cut inside", []byte("LSTP\x04\x00\x01\x00\x01\x00"), nil, ErrProtocol.Error()},
		{"a later version", hello(func(g *greeting) { g.minVersion, g.maxVersion = 2, 3 }), ErrVersion, ErrVersion.Error()},
		{"another cluster", hello(func(g *greeting) { g.cluster = "c2" }), ErrWrongCluster, ErrWrongCluster.Error()},
		{"a peer without a cluster", hello(func(g *greeting) { g.cluster = "" }), ErrWrongCluster, ErrWrongCluster.Error()},
		{"another receiver", hello(func(g *greeting) { g.receiver = "b" }), ErrWrongReceiver, ErrWrongReceiver.Error()},
		{"another group", hello(func(g *greeting) { g.group = 1 }), ErrWrongReceiver, ErrWrongReceiver.Error()},
		{"its own id", hello(func(g *greeting) { g.sender = "a" }), ErrClone, ErrClone.Error()},
		{"no sender", hello(func(g *greeting) { g.sender = "" }), ErrNotPeer, ErrNotPeer.Error()},
		{"a client with a sender", hello(func(g *greeting) { g.class = classClient }), ErrNotPeer, ErrNotPeer.Error()},
		{"an unknown class", hello(func(g *greeting) { g.class = 99 }), ErrProtocol, ErrProtocol.Error()},
		{"the reserved class", hello(func(g *greeting) { g.class = classSnapshot }), ErrProtocol, ErrProtocol.Error()},
		{"a clone", hello(func(g *greeting) { g.sender = "known"; g.bootID[0] = 9 }), ErrClone, ErrClone.Error()},
		{"an older boot", hello(func(g *greeting) { g.sender = "known"; g.bootID[0] = 9; g.bootCounter = 3 }), ErrClone, ErrClone.Error()},
		{"a frame of 4 GiB", after(huge), nil, "malformed"},
		{"a flipped bit", after(flipped), nil, "malformed"},
		{"half a frame, then silence", after(vote[:len(vote)-1]), nil, "malformed"},
		{"a frame that is no message", after(frame(bytes.Repeat([]byte{0xc1}, 50))), nil, "malformed"},
		{"a message with a tail", after(frame(append(bytes.Clone(vote[8:]), 0))), nil, "malformed"},
		{"a body of another kind", after(request("Raft.RequestVote", 1, "text")), nil, "malformed"},
		{"a body of 4 G elements", after(bomb), nil, "malformed"},
	}
}

// TestHostileConnections: whatever a stranger says, the connection closes, one
// line is logged, no handler runs, and little memory is used.
func TestHostileConnections(t *testing.T) {
	for _, c := range hostileCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var book logBook
			s := listen(t, "a", func(cfg *Config) {
				cfg.Logger = book.logger()
				cfg.Limits.HandshakeTimeout = 50 * time.Millisecond
				cfg.Limits.StallTimeout = 50 * time.Millisecond
			})
			s.Connect("x", "127.0.0.1:1") // who the cases speak as is a server of the configuration
			s.Attach(alarmed(t))
			if err := s.sightings.opened(greeting{sender: "known", bootCounter: 4, bootID: [16]byte{7}}); err != nil {
				t.Fatal(err)
			}
			nc, err := net.Dial("tcp", s.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			nc.SetDeadline(time.Now().Add(10 * time.Second))
			go nc.Write(c.data)
			answer, err := io.ReadAll(nc)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("the connection was not closed")
			}
			if c.verdict != nil {
				// A later version's answer is told by the versions alone.
				g, err := readGreeting(bytes.NewReader(answer))
				if err != nil || g.verdict.reason() != c.verdict || g.text == "" {
					t.Errorf("the other side was told %+v, %v; want %v", g, err, c.verdict)
				}
			}
			eventually(t, "a log line", func() bool { return len(book.lines()) > 0 })
			if lines := book.lines(); len(lines) != 1 || !strings.Contains(lines[0], c.log) {
				t.Errorf("logged %q, want one line with %q", lines, c.log)
			}
		})
	}
}

func TestLogLinesAreLimited(t *testing.T) {
	var book logBook
	s := listen(t, "a", func(c *Config) { c.Logger = book.logger() })
	for range 50 {
		nc, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(nc, "GET / HTTP/1.1\r\n\r\n")
		io.ReadAll(nc)
		nc.Close()
	}
	if lines := book.lines(); len(lines) != 1 {
		t.Errorf("%d lines for 50 connections, want 1: %q", len(lines), lines)
	}
}

// TestAFrameBombAllocatesNothing: the claim of 4 GiB on an admitted connection.
func TestAFrameBombAllocatesNothing(t *testing.T) {
	s := listen(t, "a", nil)
	g := greeting{minVersion: 1, maxVersion: 1, class: classClient}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const connections = 20
	for range connections {
		nc, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		nc.Write(append(g.encode(), bytes.Repeat([]byte{0xff}, 1<<10)...))
		io.ReadAll(nc)
		nc.Close()
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / connections; each > 128<<10 {
		t.Errorf("%d bytes were allocated for each connection", each)
	}
}

// TestASpoofedSenderIsRefused: a server speaks only in its own name.
func TestASpoofedSenderIsRefused(t *testing.T) {
	a, b := listen(t, "a", nil), listen(t, "b", nil)
	b.Attach(alarmed(t))
	p := a.Connect("b", b.Addr().String())
	if _, err := vote(t, p, "c", "b", soon()); !isServerError(err) {
		t.Errorf("a vote request in the name of another: %v", err)
	}
	done, ch := later[raft.AppendEntriesReply](t)
	p.AppendEntries(&raft.AppendEntriesArgs{Header: header("c", "b")}, soon(), done)
	if o := <-ch; !isServerError(o.err) {
		t.Errorf("entries in the name of another: %v", o.err)
	}
}

// TestIdleStrangers: a thousand connections that say nothing do not keep a peer
// out, hold few places, and are gone after the deadline, with their memory.
func TestIdleStrangers(t *testing.T) {
	var book logBook
	s := listen(t, "a", func(c *Config) {
		c.Logger = book.logger()
		c.Limits.HandshakeTimeout = time.Second
	})
	s.Attach(&stubHandler{})
	b := listen(t, "b", nil)
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	goroutines := runtime.NumGoroutine()
	var crowd []net.Conn
	for range 1000 {
		nc, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		crowd = append(crowd, nc)
	}
	if _, err := vote(t, b.Connect("a", s.Addr().String()), "b", "a", soon()); err != nil {
		t.Errorf("a peer was kept out: %v", err)
	}
	s.admission.mu.Lock()
	if n := len(s.admission.strangers); n > s.limits.Handshakes {
		t.Errorf("%d strangers are held, the limit is %d", n, s.limits.Handshakes)
	}
	s.admission.mu.Unlock()
	for _, nc := range crowd {
		nc.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.ReadAll(nc); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("a silent connection stayed open")
		}
		nc.Close()
	}
	eventually(t, "the goroutines of 1,000 connections end", func() bool { return runtime.NumGoroutine() <= goroutines+20 })
	runtime.GC()
	runtime.ReadMemStats(&after)
	if after.HeapAlloc > before.HeapAlloc+2<<20 {
		t.Errorf("%d bytes are still held", after.HeapAlloc-before.HeapAlloc)
	}
	if n := len(book.lines()); n < 1 || n > 3 {
		t.Errorf("%d log lines, want one for each kind: %q", n, book.lines())
	}
}

// TestClientsLeavePlacesForPeers: clients beyond the limits are told so, and
// peers still find a place.
func TestClientsLeavePlacesForPeers(t *testing.T) {
	for name, limits := range map[string]Limits{
		"total":    {Connections: 20, PeerConnections: 10, Handshakes: 6},
		"per host": {ClientsPerHost: 4},
	} {
		t.Run(name, func(t *testing.T) {
			s := listen(t, "a", func(c *Config) { c.Limits = limits })
			s.Attach(&stubHandler{})
			s.Register("Echo", echo{})
			call := func(cl *Client) error {
				return cl.Call(t.Context(), s.Addr().String(), "Echo.Echo", &[]byte{1}, new([]byte))
			}
			var clients []*Client
			for range 4 {
				cl := NewClient(ClientConfig{})
				defer cl.Close()
				if err := call(cl); err != nil {
					t.Fatal(err)
				}
				clients = append(clients, cl)
			}
			more := NewClient(ClientConfig{})
			defer more.Close()
			if err := call(more); !errors.Is(err, ErrBusy) || !errors.Is(err, ErrNotSent) {
				t.Errorf("one client more: %v, want ErrBusy", err)
			}
			b := listen(t, "b", nil)
			if _, err := vote(t, b.Connect("a", s.Addr().String()), "b", "a", soon()); err != nil {
				t.Errorf("a peer was kept out by clients: %v", err)
			}
			clients[0].Close()
			eventually(t, "a client takes the free place", func() bool { return call(more) == nil })
		})
	}
}

// TestMadeUpServersLeavePlacesForRealOnes: ids nobody configured take a share of
// the places at most, and are told of in the log.
func TestMadeUpServersLeavePlacesForRealOnes(t *testing.T) {
	var book logBook
	s := listen(t, "a", func(c *Config) {
		c.Limits = Limits{PeerConnections: 8}
		c.Logger = book.logger()
	})
	b := listen(t, "b", nil)
	s.Connect("b", b.Addr().String())
	s.Attach(&stubHandler{})
	peers := s.limits.PeerConnections / unknownShare
	for i := range 10 {
		fake := listen(t, "made-up-"+strconv.Itoa(i), nil)
		_, err := vote(t, fake.Connect("a", s.Addr().String()), "made-up-"+strconv.Itoa(i), "a", soon())
		if i >= peers && err == nil {
			t.Errorf("made-up server %d found a place; the limit is %d", i, peers)
		}
	}
	if _, err := vote(t, b.Connect("a", s.Addr().String()), "b", "a", soon()); err != nil {
		t.Errorf("a configured server was kept out: %v", err)
	}
	eventually(t, "a log line", func() bool { return strings.Contains(strings.Join(book.lines(), "\n"), "rpc: unknown server") })
}

// TestClientThatCallsRaftIsToldOf: net/rpc answers that there is no such service,
// and the log says who asked.
func TestClientThatCallsRaftIsToldOf(t *testing.T) {
	var book logBook
	s := listen(t, "a", func(c *Config) { c.Logger = book.logger() })
	s.Attach(alarmed(t))
	client := NewClient(ClientConfig{})
	defer client.Close()
	err := client.Call(t.Context(), s.Addr().String(), "Raft.RequestVote", &raft.RequestVoteArgs{}, &raft.RequestVoteReply{})
	if err == nil {
		t.Error("a client's vote request was answered")
	}
	if lines := book.lines(); len(lines) != 1 || !strings.Contains(lines[0], "Raft.RequestVote") {
		t.Errorf("logged %q, want one line with Raft.RequestVote", lines)
	}
}

// TestRequestsOfOneConnectionAreBounded: beyond the window, requests wait in the
// socket instead of becoming goroutines.
func TestRequestsOfOneConnectionAreBounded(t *testing.T) {
	s := listen(t, "a", func(c *Config) { c.Limits.Requests = 8 })
	sl := &counting{slow: slow{make(chan struct{})}}
	s.Register("Slow", sl)
	cl := NewClient(ClientConfig{})
	defer cl.Close()
	results := make(chan error)
	for range 40 {
		go func() { results <- cl.Call(t.Context(), s.Addr().String(), "Slow.Wait", new(int), new(int)) }()
	}
	eventually(t, "the window is full", func() bool { return sl.now.Load() == 8 })
	close(sl.answer)
	for range 40 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if most := sl.most.Load(); most > 8 {
		t.Errorf("%d requests ran at once, the limit is 8", most)
	}
}
