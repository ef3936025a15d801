package script

import (
	"fmt"
	"hash/fnv"
	"io"
	"strconv"
	"sync"
	"time"

	"lockstep.example/raft/labrpc"
	"lockstep.example/raft/tests"
)

// world is what surrounds the servers of one run and decides when things happen:
// the delay of each link and disk, and the election deadlines.
type world struct {
	adapter Adapter
	story   *transcript
	order   []int // servers, as the script lets their election timers fire

	mu      sync.Mutex // a leaf
	servers []*server
	next    int             // in order: the firing that comes next
	awaited *server         // the script waits for its timer
	hidden  map[string]bool // kinds of messages that are not told
	held    map[*labrpc.Message]bool
	arrival map[[2]int]time.Time // by link: when what was released last arrives
	closed  bool                 // the run is over: nothing counts any more
}

func newWorld(adapter Adapter, servers int, order []int) *world {
	w := &world{
		adapter: adapter, story: &transcript{began: time.Now()}, order: order,
		hidden: map[string]bool{"heartbeat": true}, held: map[*labrpc.Message]bool{}, arrival: map[[2]int]time.Time{},
	}
	for i := range servers {
		w.servers = append(w.servers, &server{w: w, index: i})
	}
	return w
}

// name is how a script calls the server with an ID of package tests: s0 is 1.
func name(id string) string {
	i, err := strconv.Atoi(id[1:])
	if err != nil {
		return id
	}
	return strconv.Itoa(i + 1)
}

// of returns the server with an ID of package tests.
func (w *world) of(id string) *server {
	i, _ := strconv.Atoi(id[1:])
	return w.servers[i]
}

// maker starts servers that live in this world.
func (w *world) maker(env tests.Env) (tests.Server, error) {
	s := w.of(env.ID)
	life := s.begin(env.Disk)
	apply := env.Apply
	env.Rand, env.FlushTime = s.draw, s.flushTime
	env.Apply = func(a tests.Applied) {
		apply(a)
		if s.lives(life) {
			s.apply(a)
		}
	}
	made, err := w.adapter.Maker(env)
	if err != nil {
		return nil, err
	}
	s.wrapDisk(env.Disk)
	if shown, ok := made.(tests.Inspector); ok {
		shown.OnRole(func(role string, term uint64) {
			if s.lives(life) {
				s.tell(aRole, "%d becomes %s in term %d", s.index+1, role, term)
			}
		})
	}
	return made, nil
}

// close ends the world: no disk keeps anybody waiting.
func (w *world) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for _, s := range w.servers {
		s.openLocked()
	}
}

// delay is how long a message travels, about a millisecond. No two links take the
// same time, nor do two different messages on one link, and heartbeats take longer:
// two messages never arrive at one instant where their order could matter. What a
// hold releases at one instant arrives in the order in which it was held.
func (w *world) delay(m *labrpc.Message) time.Duration {
	from, to := w.of(m.From).index, w.of(m.To).index
	kind, text := w.adapter.Describe(m)
	words := fnv.New32a()
	_, _ = io.WriteString(words, kind+text)
	d := time.Millisecond + time.Duration(to)*40009 + time.Duration(from)*9011 + time.Duration(words.Sum32()%8009)
	if kind == "heartbeat" {
		d += 300017
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held[m] {
		link := [2]int{from, to}
		arrives := time.Now().Add(d)
		if next := w.arrival[link].Add(20011); arrives.Before(next) {
			arrives = next
		}
		w.arrival[link] = arrives
		d = time.Until(arrives)
	}
	return d
}

// message tells what becomes of a message.
func (w *world) message(m *labrpc.Message, fate labrpc.Fate) {
	kind, text := w.adapter.Describe(m)
	w.mu.Lock()
	hidden, held := w.hidden[kind], w.held[m]
	delete(w.held, m)
	if fate == labrpc.Held {
		w.held[m] = true
	}
	nobody := m.Kind == labrpc.Request && w.of(m.To).life%2 == 0
	forged := m.Kind == labrpc.Request && w.of(m.From).forged || m.Kind == labrpc.Reply && w.of(m.To).forged
	closed := w.closed
	w.mu.Unlock()
	if closed {
		return
	}
	if kind != "heartbeat" || forged {
		w.story.stir()
	}
	if hidden && !forged {
		return
	}
	h := happening{server: w.of(m.From).index, rank: aMessage, text: line(m, kind, text)}
	switch {
	case fate == labrpc.Lost || nobody:
		h.text += " (lost)"
		h.repeats = true
	case fate == labrpc.Held:
		h.text += " (held)"
		h.repeats = true
	case held:
		h.text += " (released)"
	}
	w.story.add(h)
}

// line is how a message is written.
func line(m *labrpc.Message, kind, text string) string {
	if m.Kind == labrpc.Reply {
		kind += " reply"
	}
	return fmt.Sprintf("%s->%s %s %s", name(m.From), name(m.To), kind, text)
}
