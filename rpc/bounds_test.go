package rpc

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/rpc"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep.example/raft/internal/msgpack"
)

// TestANewStrangerPushesOutTheOldest, long before any deadline.
func TestANewStrangerPushesOutTheOldest(t *testing.T) {
	s := listen(t, "a", func(c *Config) {
		c.Limits.Handshakes = 3
		c.Limits.HandshakeTimeout = time.Hour
	})
	var strangers []net.Conn
	for range 4 {
		nc, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		strangers = append(strangers, nc)
	}
	strangers[0].SetDeadline(soon())
	if _, err := strangers[0].Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the oldest of 4 strangers, 3 being allowed: %v, want its end", err)
	}
	g := greeting{minVersion: 1, maxVersion: 1, class: classClient}
	if _, err := exchange(strangers[3], g, 5*time.Second); err != nil {
		t.Errorf("the newest: %v", err)
	}
}

// TestANewConnectionOfAPeerReplacesTheOld, of the same class.
func TestANewConnectionOfAPeerReplacesTheOld(t *testing.T) {
	s := listen(t, "a", nil)
	connect := func(kind class) net.Conn {
		nc, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		g := greeting{minVersion: 1, maxVersion: 1, class: kind, cluster: "c1", sender: "b", receiver: "a"}
		if _, err := exchange(nc, g, 5*time.Second); err != nil {
			t.Fatal(err)
		}
		return nc
	}
	old, data, young := connect(classControl), connect(classData), connect(classControl)
	old.SetDeadline(soon())
	if _, err := old.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the old connection: %v, want its end", err)
	}
	for _, nc := range []net.Conn{data, young} {
		nc.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if _, err := nc.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("another connection: %v, want it open", err)
		}
	}
}

// TestAnotherServerAtTheAddress: whoever answers must be who was meant.
func TestAnotherServerAtTheAddress(t *testing.T) {
	a := listen(t, "a", nil)
	address, _ := stuck(t, "impostor") // answers every greeting
	if _, err := vote(t, a.Connect("b", address), "a", "b", soon()); !errors.Is(err, ErrWrongReceiver) {
		t.Errorf("got %v, want ErrWrongReceiver", err)
	}
}

// TestAClientThatNeverReads loses its connection, and keeps no handler.
func TestAClientThatNeverReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var board exchangeBoard
		a := board.server(t, "a")
		a.Register("Echo", echo{})
		nc, err := board.dial(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		g := greeting{minVersion: 1, maxVersion: 1, class: classClient}
		if _, err := exchange(nc, g, time.Second); err != nil {
			t.Fatal(err)
		}
		nc.Write(request("Echo.Echo", 1, []byte("x")))
		synctest.Wait()
		time.Sleep(a.limits.StallTimeout + time.Second)
		if n := connectedClients(a); n != 0 {
			t.Errorf("%d connections are open", n)
		}
		a.Close()
	})
}

// TestARequestNumberTwice: no client of ours does it, and it would confuse the
// window.
func TestARequestNumberTwice(t *testing.T) {
	s := listen(t, "a", nil)
	sl := &slow{make(chan struct{})}
	defer close(sl.answer)
	s.Register("Slow", sl)
	nc, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	g := greeting{minVersion: 1, maxVersion: 1, class: classClient}
	if _, err := exchange(nc, g, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	nc.SetDeadline(soon())
	nc.Write(append(request("Slow.Wait", 5, 1), request("Slow.Wait", 5, 1)...))
	if _, err := nc.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("got %v, want the end of the connection", err)
	}
}

// TestTheQueueIsBoundedInBytes. A call larger than the bound still goes alone.
func TestTheQueueIsBoundedInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy{calls: 100, bytes: 1000, maxBackoff: time.Second, keepAlive: time.Minute}
		l := newLine(p, func() string { return "b" }, func(ctx context.Context) (*conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		// Not started: the queue stays as it is.
		for _, size := range []int{5000, 1} {
			l.enqueue(&call{size: size, done: func(error) {}})
		}
		if len(l.queue) != 1 || len(l.failed) != 1 || !errors.Is(l.failed[0].err, ErrQueueFull) {
			t.Errorf("behind a large call: %d queued, failed %v", len(l.queue), l.failed)
		}
		l.pop()
		for range 5 {
			l.enqueue(&call{size: 300, done: func(error) {}})
		}
		if len(l.queue) != 3 || l.queuedBytes != 900 {
			t.Errorf("%d calls of 300 bytes are queued, %d bytes in all; the bound is 1000", len(l.queue), l.queuedBytes)
		}
	})
}

func TestTheWindowIsBoundedInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w window
		w.init(Limits{Requests: 10, RequestBytes: 100})
		w.add(1, 60)
		w.wait() // returns: there is room
		w.add(2, 60)
		passed := false
		go func() { w.wait(); passed = true }()
		synctest.Wait()
		if passed {
			t.Error("a third request was let in over 120 of 100 bytes")
		}
		w.done(1)
		synctest.Wait()
		if !passed {
			t.Error("no request was let in after one was answered")
		}
	})
}

// wide and Narrow are one message in two versions.
type (
	wide   struct{ A, B int }
	Narrow struct{ A int }
)

type replies struct{}

func (replies) Narrow(_ *int, r *Narrow) error  { r.A = 1; return nil }
func (replies) Huge(size *int, r *[]byte) error { *r = make([]byte, *size); return nil }
func (replies) Unfit(_ *int, r *map[string]any) error {
	*r = map[string]any{"x": &sullen{}}
	return nil
}

// sullen refuses to be encoded.
type sullen struct{}

func (*sullen) MarshalBinary() ([]byte, error) { return nil, errors.New("sullen") }
func (*sullen) UnmarshalBinary([]byte) error   { return errors.New("sullen") }

func TestReplies(t *testing.T) {
	s := listen(t, "a", func(c *Config) { c.Limits.FrameBytes = 1 << 16 })
	s.Register("Replies", replies{})
	cl := NewClient(ClientConfig{})
	defer cl.Close()
	address := s.Addr().String()
	r := wide{7, 8}
	if err := cl.Call(t.Context(), address, "Replies.Narrow", new(int), &r); err != nil || r != (wide{A: 1}) {
		t.Errorf("a reply without a field: %+v, %v; the old value must not shine through", r, err)
	}
	// A reply that cannot be sent fails alone.
	size := 1 << 16
	if err := cl.Call(t.Context(), address, "Replies.Huge", &size, new([]byte)); !isServerError(err) || !strings.Contains(err.Error(), "too large") {
		t.Errorf("a reply over the limit: %v", err)
	}
	if err := cl.Call(t.Context(), address, "Replies.Unfit", new(int), new(map[string]any)); !isServerError(err) || !strings.Contains(err.Error(), "sullen") {
		t.Errorf("a reply that cannot be encoded: %v", err)
	}
	if n := connectedClients(s); n != 1 {
		t.Errorf("%d connections, want the one from before", n)
	}
	// A reply of another shape ends the connection, and the call with it.
	var number int
	if err := cl.Call(t.Context(), address, "Replies.Narrow", new(int), &number); err == nil || isServerError(err) || errors.Is(err, ErrNotSent) {
		t.Errorf("a reply of another shape: %v", err)
	}
}

// TestAHostileServer: what answers may be anything.
func TestAHostileServer(t *testing.T) {
	answer, _ := msgpack.Append(nil, &rpc.Response{Seq: 0})
	hello := greeting{minVersion: 1, maxVersion: 1, cluster: "c1", sender: "b"}
	for name, c := range map[string]struct {
		data []byte
		want error
	}{
		"HTTP":            {[]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), ErrProtocol},
		"later version":   {(&greeting{minVersion: 9, maxVersion: 9}).encode(), ErrVersion},
		"unknown verdict": {(&greeting{minVersion: 1, maxVersion: 1, verdict: 250}).encode(), ErrProtocol},
		"4 GiB":           {append(hello.encode(), bytes.Repeat([]byte{0xff}, 100)...), ErrNotConnected},
		"no body":         {append(hello.encode(), frame(answer)...), ErrNotConnected},
		"hangs up":        {nil, ErrNotConnected},
		"hangs up later":  {hello.encode(), ErrNotConnected},
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			go func() {
				nc, err := listener.Accept()
				if err != nil {
					return
				}
				readGreeting(nc)
				nc.Write(c.data)
				nc.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, nc)
				nc.Close()
			}()
			cl := NewClient(ClientConfig{})
			defer cl.Close()
			err = cl.Call(t.Context(), listener.Addr().String(), "Echo.Echo", &[]byte{1}, new([]byte))
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}
