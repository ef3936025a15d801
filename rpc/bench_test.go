package rpc

import (
	"sync/atomic"
	"testing"

	"lockstep.example/raft"
)

// BenchmarkEcho calls a registered service over loopback with 128 bytes each
// way, from one and from 64 callers on one connection.
func BenchmarkEcho(b *testing.B) {
	for _, c := range []struct {
		name    string
		callers int
	}{{"x1", 1}, {"x64", 64}} {
		b.Run(c.name, func(b *testing.B) {
			s := listen(b, "a", nil)
			s.Register("Echo", echo{})
			cl := NewClient(ClientConfig{})
			defer cl.Close()
			address := s.Addr().String()
			args := make([]byte, 128)
			b.ReportAllocs()
			var left atomic.Int64
			left.Store(int64(b.N))
			ended := make(chan error, c.callers)
			b.ResetTimer()
			for range c.callers {
				go func() {
					var err error
					for left.Add(-1) >= 0 && err == nil {
						var reply []byte
						err = cl.Call(b.Context(), address, "Echo.Echo", &args, &reply)
					}
					ended <- err
				}()
			}
			for range c.callers {
				if err := <-ended; err != nil {
					b.Error(err)
				}
			}
		})
	}
}

// BenchmarkAppendEntries sends batches to a peer that does nothing with them,
// eight at a time.
func BenchmarkAppendEntries(b *testing.B) {
	for _, c := range []struct {
		name string
		size int
	}{{"4KiB", 4 << 10}, {"256KiB", 256 << 10}} {
		b.Run(c.name, func(b *testing.B) {
			from, to := listen(b, "a", nil), listen(b, "b", nil)
			to.Attach(&stubHandler{})
			p := from.Connect("b", to.Addr().String())
			if _, err := vote(b, p, "a", "b", soon()); err != nil {
				b.Fatal(err)
			}
			args := &raft.AppendEntriesArgs{Header: header("a", "b"), Batch: raft.Batch{Body: make([]byte, c.size)}}
			b.SetBytes(int64(c.size))
			b.ReportAllocs()
			window := make(chan struct{}, 8)
			b.ResetTimer()
			for range b.N {
				window <- struct{}{}
				p.AppendEntries(args, soon(), func(_ *raft.AppendEntriesReply, err error) {
					if err != nil {
						b.Error(err)
					}
					<-window
				})
			}
			for range cap(window) {
				window <- struct{}{}
			}
		})
	}
}
