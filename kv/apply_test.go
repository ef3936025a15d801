package kv

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep.example/raft"
	"lockstep.example/raft/session"
)

// TestElapsed: what a leader stamps on commands adds up to the time that passed,
// within a term, on every server alike.
func TestElapsed(t *testing.T) {
	serverBubble(t, 2, func(t *testing.T, c *fakeCluster) {
		id := openSession(t, c.servers[0])
		seq := uint64(0)
		write := func() {
			seq++
			do(c.servers[0], Request{Op: OpPut, Key: []byte("k"), Client: id, Seq: seq, Floor: seq - 1})
		}
		write()
		began, clock := time.Now(), c.servers[0].sessions.Clock()
		for range 50 {
			time.Sleep(100 * time.Millisecond)
			write()
		}
		if got, want := c.servers[0].sessions.Clock()-clock, time.Since(began); got < want-50*time.Millisecond || got > want+50*time.Millisecond {
			t.Errorf("the log's clock went on by %v in %v", got, want)
		}
		clock = c.servers[0].sessions.Clock()
		c.lead(0) // a new term, much later
		time.Sleep(time.Hour)
		write()
		if got := c.servers[0].sessions.Clock() - clock; got != 0 {
			t.Errorf("the first command of a term added %v", got)
		}
		time.Sleep(time.Hour)
		write()
		write() // stamped after its first command of the term was applied
		if e, err := session.Decode(c.log[len(c.log)-1].Data); err != nil || e.Elapsed > time.Hour+time.Minute {
			t.Errorf("stamped with %v, %v; its term began an hour ago", e.Elapsed, err)
		}
		if got := c.servers[0].sessions.Clock() - clock; got > 2*session.MaxStep {
			t.Errorf("an hour without commands added %v", got)
		}
		if a, b := c.servers[0].sessions.Digest(), c.servers[1].sessions.Digest(); a != b {
			t.Error("the servers' clocks differ")
		}
	})
}

// TestApplyDeterministic: one log, garbage included, in batches of any size, leads
// to one hash at every index.
func TestApplyDeterministic(t *testing.T) {
	random := rand.New(rand.NewPCG(8, 8))
	var log []raft.Entry
	for i := range uint64(3000) {
		e := raft.Entry{Index: 2*i + 1, Term: 1 + i/1000, Number: i + 1, Kind: raft.EntryCommand}
		env := session.Envelope{Kind: session.KindCommand, Elapsed: time.Duration(i) * time.Millisecond, Client: 1 + 2*uint64(random.IntN(3)), Seq: i/4 + 1, Floor: i / 8}
		env.Command = randomCommand(random, i).Append(nil)
		if i < 3 {
			env = session.Envelope{Kind: session.KindOpen}
		}
		e.Data = env.Append(nil)
		switch random.IntN(12) {
		case 0: // garbage, of any length
			e.Data = make([]byte, random.IntN(80))
			for j := range e.Data {
				e.Data[j] = byte(random.Uint64())
			}
		case 1: // nearly right
			e.Data = e.Data[:random.IntN(len(e.Data)+1)]
		case 2:
			e.Data[random.IntN(len(e.Data))] ^= 1 << random.IntN(8)
		}
		log = append(log, e)
	}
	const every = 60 // all sizes divide it
	run := func(size int) (hashes []uint64) {
		s, err := NewServer(Config{ID: raft.ServerID(fmt.Sprint(size))})
		if err != nil {
			t.Fatal(err)
		}
		for i, batch := range slices.Collect(slices.Chunk(log, size)) {
			var results []raft.Result
			if i%2 == 1 {
				results = make([]raft.Result, len(batch))
			}
			s.Apply(batch, results)
			if (i+1)*size%every == 0 {
				var st StatusReply
				s.Status(&StatusRequest{}, &st)
				hashes = append(hashes, st.Hash)
			}
		}
		return hashes
	}
	want := run(1)
	for _, size := range []int{3, 20, 60} {
		if got := run(size); !slices.Equal(got, want) {
			t.Errorf("batches of %d lead to other hashes", size)
		}
	}
	if len(slices.Compact(want)) < 40 {
		t.Error("the log changes too little")
	}
}

// BenchmarkApply measures the state machine alone, for puts of 128 bytes.
func BenchmarkApply(b *testing.B) {
	s, err := NewServer(Config{ID: "n1"})
	if err != nil {
		b.Fatal(err)
	}
	s.Apply([]raft.Entry{{Index: 1, Term: 1, Data: (&session.Envelope{Kind: session.KindOpen}).Append(nil)}}, nil)
	const size = 64
	batch, results := make([]raft.Entry, size), make([]raft.Result, size)
	value := strings.Repeat("v", 128)
	b.ReportAllocs()
	for i := uint64(2); b.Loop(); i += size {
		for j := range uint64(size) {
			seq := i + j - 1
			e := session.Envelope{Kind: session.KindCommand, Client: 1, Seq: seq, Floor: max(seq, size) - size}
			e.Command = put(fmt.Sprintf("key%08d", (seq*7919)%100_000), value).Append(nil)
			batch[j] = raft.Entry{Index: i + j, Term: 1, Data: e.Append(nil)}
		}
		s.Apply(batch, results)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/command")
}
