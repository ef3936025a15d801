package session

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep.example/raft"
)

// small limits are reached soon.
var small = Limits{Sessions: 3, Window: 4, ResultBytes: 40, TotalBytes: 800}

// journal is a machine that remembers what it executed. Its result is the index
// and the command.
type journal []string

func (j *journal) Execute(index uint64, command, dst []byte) []byte {
	*j = append(*j, string(command))
	return fmt.Appendf(dst, "%d:%s", index, command)
}

func newSessions(t testing.TB, limits Limits) (*Sessions, *journal) {
	t.Helper()
	j := new(journal)
	s, err := New(j, limits)
	if err != nil {
		t.Fatal(err)
	}
	return s, j
}

func applyOne(s *Sessions, index uint64, data []byte) (Answer, error) {
	results := make([]raft.Result, 1)
	s.Apply([]raft.Entry{{Index: index, Term: 1, Data: data}}, results)
	return ParseAnswer(results[0].Value)
}

func command(client, seq, floor uint64, text string) []byte {
	return (&Envelope{Kind: KindCommand, Client: client, Seq: seq, Floor: floor, Command: []byte(text)}).Append(nil)
}

func open() []byte { return (&Envelope{Kind: KindOpen}).Append(nil) }

// describe puts an answer or a refusal in one word or two.
func describe(a Answer, err error) string {
	for word, kind := range map[string]error{"unknown session": ErrUnknownSession, "gone": ErrGone, "ahead": ErrAhead} {
		if errors.Is(err, kind) {
			return word
		}
	}
	switch {
	case err != nil:
		return err.Error()
	case a.Client != 0:
		return fmt.Sprintf("opened %d", a.Client)
	}
	return string(a.Result)
}

func TestSessions(t *testing.T) {
	long := strings.Repeat("x", small.ResultBytes)
	type step struct {
		data []byte
		want string
	}
	for name, c := range map[string]struct {
		steps    []step // at indexes 1, 2, ...
		executed string
	}{
		"a duplicate is answered and not executed": {[]step{
			{open(), "opened 1"}, {command(1, 1, 0, "a"), "2:a"}, {command(1, 1, 0, "a"), "2:a"}, {command(1, 2, 0, "b"), "4:b"}, {command(1, 1, 0, "a"), "2:a"},
		}, "a b"},
		"numbers may come in any order, with gaps": {[]step{
			{open(), "opened 1"}, {command(1, 4, 0, "d"), "2:d"}, {command(1, 2, 0, "b"), "3:b"}, {command(1, 1, 0, "a"), "4:a"}, {command(1, 2, 0, "b"), "3:b"}, {command(1, 3, 0, "c"), "6:c"},
		}, "d b a c"},
		"at or below the floor the result is gone": {[]step{
			{open(), "opened 1"}, {command(1, 1, 0, "a"), "2:a"}, {command(1, 2, 1, "b"), "3:b"}, {command(1, 1, 0, "a"), "gone"}, {command(1, 3, 3, "c"), "gone"}, {command(1, 0, 0, "z"), "gone"},
		}, "a b"},
		"a floor never falls": {[]step{
			{open(), "opened 1"}, {command(1, 3, 2, "c"), "2:c"}, {command(1, 2, 0, "b"), "gone"}, {command(1, 6, 0, "f"), "4:f"}, {command(1, 7, 0, "g"), "ahead"},
		}, "c f"},
		"beyond the window is refused, also near 2^64": {[]step{
			{open(), "opened 1"}, {command(1, 5, 0, "e"), "ahead"}, {command(1, 1<<64-1, 0, "x"), "ahead"}, {command(1, 1<<64-1, 1<<64-2, "y"), "4:y"}, {command(1, 5, 1, "e"), "gone"},
		}, "y"},
		"an id that was never opened": {[]step{{open(), "opened 1"}, {command(2, 1, 0, "a"), "unknown session"}, {command(0, 1, 0, "a"), "unknown session"}}, ""},
		"the least recently used session is evicted": {[]step{
			{open(), "opened 1"}, {open(), "opened 2"}, {open(), "opened 3"}, {command(1, 1, 0, "a"), "4:a"}, {open(), "opened 5"},
			{command(2, 1, 0, "b"), "unknown session"}, {command(1, 1, 0, "a"), "4:a"}, {command(3, 1, 0, "c"), "8:c"}, {open(), "opened 9"}, {command(5, 1, 0, "d"), "unknown session"}, {command(1, 2, 0, "e"), "11:e"},
		}, "a c e"},
		"also a refused command is a use": {[]step{
			{open(), "opened 1"}, {open(), "opened 2"}, {open(), "opened 3"}, {command(1, 0, 0, "a"), "gone"}, {open(), "opened 5"}, {command(1, 1, 0, "b"), "6:b"}, {command(2, 1, 0, "c"), "unknown session"},
		}, "b"},
		"a long result is given once": {[]step{
			{open(), "opened 1"}, {command(1, 1, 0, long), "2:" + long}, {command(1, 1, 0, long), "gone"}, {command(1, 2, 0, "b"), "4:b"},
		}, long + " b"},
		"results that weigh too much evict others": {[]step{
			{open(), "opened 1"}, {open(), "opened 2"},
			{command(1, 1, 0, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), "3:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}, {command(1, 2, 0, "b"), "4:b"}, {command(1, 3, 0, "c"), "5:c"}, {command(1, 4, 0, "d"), "6:d"},
			{command(2, 1, 0, "a"), "7:a"}, {command(2, 2, 0, "b"), "8:b"}, {command(2, 3, 0, "c"), "9:c"}, {command(2, 4, 0, "d"), "10:d"},
			{command(1, 1, 0, "a"), "unknown session"}, {command(2, 1, 0, "a"), "7:a"},
		}, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa b c d a b c d"},
	} {
		t.Run(name, func(t *testing.T) {
			s, j := newSessions(t, small)
			for i, st := range c.steps {
				if got := describe(applyOne(s, uint64(i+1), st.data)); got != st.want {
					t.Fatalf("index %d: %q, want %q", i+1, got, st.want)
				}
			}
			if got := strings.Join(*j, " "); got != c.executed {
				t.Errorf("executed %q, want %q", got, c.executed)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	for _, l := range []Limits{{}, {1, 0, 1, 1 << 20}, {0, 1, 1, 1 << 20}, {1, 1, 0, 1 << 20}, {1, 1 << 40, 1, 1 << 20}, {1, 4, 100, 128 + 4*165 - 1}} {
		if _, err := New(new(journal), l); err == nil {
			t.Errorf("limits %+v are accepted", l)
		}
	}
	newSessions(t, Limits{1, 4, 100, 128 + 4*165})
	newSessions(t, DefaultLimits())
}

// twin does what doc.go says in the simplest way, to be compared with.
type twin struct {
	limits  Limits
	clients []*twinClient // least recently used first
	journal journal
}

type twinClient struct {
	id, floor uint64
	answers   map[uint64]string // what was executed above the floor
}

func (w *twin) weight() (sum int) {
	for _, c := range w.clients {
		sum += sessionOverhead
		for _, a := range c.answers {
			sum += resultOverhead
			if len(a) <= w.limits.ResultBytes {
				sum += len(a) + 1
			}
		}
	}
	return sum
}

func (w *twin) evict() {
	for len(w.clients) > w.limits.Sessions || w.weight() > w.limits.TotalBytes {
		w.clients = w.clients[1:]
	}
}

func (w *twin) open(index uint64) string {
	w.clients = append(w.clients, &twinClient{id: index, answers: map[uint64]string{}})
	w.evict()
	return fmt.Sprintf("opened %d", index)
}

func (w *twin) command(index, id, seq, floor uint64, text string) string {
	at := slices.IndexFunc(w.clients, func(c *twinClient) bool { return c.id == id })
	if at < 0 {
		return "unknown session"
	}
	c := w.clients[at]
	w.clients = append(slices.Delete(w.clients, at, at+1), c)
	c.floor = max(c.floor, floor)
	for s := range c.answers {
		if s <= c.floor {
			delete(c.answers, s)
		}
	}
	if seq <= c.floor {
		return "gone"
	}
	if seq > c.floor+w.limits.Window {
		return "ahead"
	}
	if a, ok := c.answers[seq]; ok {
		if len(a) > w.limits.ResultBytes {
			return "gone"
		}
		return a
	}
	c.answers[seq] = string(w.journal.Execute(index, []byte(text), nil))
	w.evict()
	return c.answers[seq]
}

// TestAgainstTwin drives table and twin with the same random log: several clients
// at once, duplicates, gaps, floors that rise and lie, evicted clients.
func TestAgainstTwin(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		limits := Limits{Sessions: 1 + random.IntN(4), Window: 1 + uint64(random.IntN(6)), ResultBytes: 10 + random.IntN(10)}
		limits.TotalBytes = sessionOverhead + int(limits.Window)*(resultOverhead+1+limits.ResultBytes) + random.IntN(600)
		s, j := newSessions(t, limits)
		w := &twin{limits: limits}
		ids := []uint64{0}
		for index := uint64(1); index <= 1500; index++ {
			var got, want string
			var text string
			if random.IntN(25) == 0 {
				ids = append(ids, index)
				got, want = describe(applyOne(s, index, open())), w.open(index)
			} else {
				recent := ids[max(0, len(ids)-5):]
				id, floor := recent[random.IntN(len(recent))], uint64(0)
				base := index / 40 // numbers and floors drift upwards together
				seq := base + uint64(random.IntN(12))
				if random.IntN(3) == 0 {
					floor = base + uint64(random.IntN(5))
				}
				text = strings.Repeat("c", random.IntN(16)) + fmt.Sprint(seq)
				got, want = describe(applyOne(s, index, command(id, seq, floor, text))), w.command(index, id, seq, floor, text)
			}
			if got != want || s.Len() != len(w.clients) || s.Bytes() != w.weight() {
				t.Fatalf("seed %d index %d: %q with %d sessions of %d bytes; the twin: %q, %d, %d",
					seed, index, got, s.Len(), s.Bytes(), want, len(w.clients), w.weight())
			}
		}
		// What is kept up to date step by step is what a walk finds.
		for c := s.table.first; c != nil; c = c.next {
			sum := uint64(0)
			for _, r := range c.results {
				sum += r.hash
			}
			if sum != c.sum {
				t.Fatalf("seed %d: session %d has sum %x, its results %x", seed, c.id, c.sum, sum)
			}
		}
		if !slices.Equal(*j, w.journal) {
			t.Fatalf("seed %d: executed differently", seed)
		}
	}
}

// randomLog is a log as several clients would write it.
func randomLog(seed uint64, n int) []raft.Entry {
	random := rand.New(rand.NewPCG(seed, 2))
	var log []raft.Entry
	ids := []uint64{0}
	for i := range n {
		index := uint64(3*i + 1) // other entries lie between
		e := Envelope{Kind: KindCommand, Elapsed: time.Duration(index) * time.Millisecond, Client: ids[random.IntN(len(ids))]}
		e.Seq = uint64(random.IntN(8) + i/50)
		e.Floor = uint64(random.IntN(4) + i/50)
		e.Command = fmt.Appendf(nil, "c%d", i)
		if random.IntN(20) == 0 {
			e = Envelope{Kind: KindOpen, Elapsed: e.Elapsed}
			ids = append(ids[max(0, len(ids)-4):], index)
		}
		data := e.Append(nil)
		if random.IntN(50) == 0 {
			data = data[:random.IntN(len(data))]
		}
		log = append(log, raft.Entry{Index: index, Term: 1 + index/100, Number: uint64(i + 1), Kind: raft.EntryCommand, Data: data})
	}
	return log
}

// TestDeterministic applies one log in different batches, with and without anyone
// waiting: table and journal must be equal after each, and differ from those of a
// log that differs by a bit.
func TestDeterministic(t *testing.T) {
	log := randomLog(7, 2000)
	run := func(log []raft.Entry, size int) (uint64, []string, [][]byte) {
		s, j := newSessions(t, small)
		var answers [][]byte
		for batch := range slices.Chunk(log, size) {
			var results []raft.Result
			if size != 3 {
				results = make([]raft.Result, len(batch))
			}
			s.Apply(batch, results)
			for _, r := range results {
				answers = append(answers, r.Value)
			}
		}
		return s.Digest(), *j, answers
	}
	digest, executed, answers := run(log, 1)
	if len(executed) < 200 {
		t.Fatalf("only %d commands of the log are executed: it tests too little", len(executed))
	}
	for _, size := range []int{2, 3, 64, 2000} {
		d, e, a := run(log, size)
		if d != digest || !slices.Equal(e, executed) {
			t.Errorf("batches of %d: digest %x and %d executed, want %x and %d", size, d, len(e), digest, len(executed))
		}
		if a != nil && !slices.EqualFunc(a, answers, bytes.Equal) {
			t.Errorf("batches of %d: other answers", size)
		}
	}
	for name, change := range map[string]func(e *raft.Entry, d []byte){
		"floor":   func(_ *raft.Entry, d []byte) { d[26]++ },
		"seq":     func(_ *raft.Entry, d []byte) { d[18]++ },
		"command": func(_ *raft.Entry, d []byte) { d[len(d)-1]++ },
		"elapsed": func(_ *raft.Entry, d []byte) { d[2]++ },
		"index":   func(e *raft.Entry, _ []byte) { e.Index++ },
	} {
		s, _ := newSessions(t, small)
		twin, _ := newSessions(t, small)
		log := []raft.Entry{{Index: 1, Term: 1, Data: open()}, {Index: 2, Term: 1, Data: command(1, 3, 1, "x")}}
		s.Apply(log, nil)
		changed := slices.Clone(log)
		changed[1].Data = bytes.Clone(changed[1].Data)
		change(&changed[1], changed[1].Data)
		if twin.Apply(changed, nil); twin.Digest() == s.Digest() {
			t.Errorf("another %s gives the same digest", name)
		}
	}
}

// TestDigestFixed pins the digest: servers of one version must agree, whatever
// process or machine they run on.
func TestDigestFixed(t *testing.T) {
	s, _ := newSessions(t, small)
	s.Apply(randomLog(1, 300), nil)
	const want = 0x2546ed3c31884989
	if got := s.Digest(); got != want {
		t.Errorf("digest of a fixed log is %#x, want %#x", got, uint64(want))
	}
}
