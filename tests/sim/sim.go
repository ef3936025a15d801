// Package sim runs whole clusters of the key-value store through every fault
// that a simulated network, clock and disk can express, from one seed, and
// checks everything that can be checked.
//
// A run is some minutes of virtual time: 3, 5 or 7 servers, each a kv.Server on
// a raft.Raft on a wal.WAL on a disk that can lose power; clerks that read and
// write a few keys; and a hand that injects the faults of menu.go, several at
// a time. After each step the monitors of package tests and durability.go look
// at logs, commits, votes and disks. Then the faults end: the cluster must come
// to agree within seconds. In the end the history of all operations must be
// linearizable.
//
// Natively a seed decides what is drawn, not the order in which goroutines run.
// Compiled for wasip1 and run with seeded clocks and randomness, it decides
// everything: `go run ./tests/replay -seed N` runs a seed exactly again.
package sim

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"lockstep.example/raft"
	"lockstep.example/raft/kv"
	"lockstep.example/raft/tests"
	"lockstep.example/raft/vfs"
)

// Options say what one run is.
type Options struct {
	Seed     uint64
	Servers  int           // 0: 3, 5 or 7, by the seed
	Duration time.Duration // of the time with faults, virtual; 0 is 3 minutes
}

// simulation is one run.
type simulation struct {
	options    Options
	report     *Report
	cluster    *tests.Cluster
	durability *durability
	hosts      []*host
	began      time.Time

	drawing sync.Mutex // a leaf
	draws   *rand.Rand // guarded by drawing

	until   []ending // faults that end by themselves, soonest first
	network *network
}

// Run runs one simulation in a synctest bubble and fails t at the first breach.
// It returns what happened, and a hash over all events: the same hash is the
// same run.
func Run(t tests.T, o Options) (report *Report, trace string) {
	t.Helper()
	if o.Servers == 0 {
		o.Servers = []int{3, 3, 5, 5, 5, 7}[o.Seed%6]
	}
	if o.Duration == 0 {
		o.Duration = 3 * time.Minute
	}
	s := &simulation{options: o, report: NewReport(), began: time.Now(), draws: rand.New(rand.NewPCG(o.Seed, 3))}
	s.durability = newDurability(o.Servers, s.report)
	for i := range o.Servers {
		s.hosts = append(s.hosts, &host{sim: s, id: fmt.Sprint("s", i), disk: vfs.NewMem(), flush: healthyFlush, rate: s.clock()})
	}
	events := &tracer{report: s.report, hash: sha256.New(), healthy: s.healthy}
	s.cluster = tests.NewCluster(t, o.Servers, o.Seed, s.maker, events, s.durability)

	s.network = newNetwork(s.cluster.Net)
	s.network.apply()
	s.cluster.Net.Trace(s.durability.promises)
	clients := s.startClients()
	s.faults(o.Duration)
	s.calm()
	s.cluster.Agree(s.cluster.Command(0), s.cluster.N, true) // within ten seconds
	clients.stop()
	s.cluster.Settle()
	s.compare()
	s.report.Runs, s.report.Simulated = 1, s.elapsed()
	s.check(clients)
	return s.report, events.sum()
}

// random draws from [0, n).
func (s *simulation) random(n int) int {
	s.drawing.Lock()
	defer s.drawing.Unlock()
	return s.draws.IntN(n)
}

func (s *simulation) maker(env tests.Env) (tests.Server, error) {
	h := s.hosts[slices.Index(env.Peers, env.ID)]
	env.Replied = s.replied
	return h.start(env)
}

// replied counts what servers answer each other.
func (s *simulation) replied(reply any) {
	switch r := reply.(type) {
	case *raft.RequestVoteReply:
		if !r.Granted {
			s.report.count("vote refused")
		}
	case *raft.AppendEntriesReply:
		switch r.Refusal {
		case raft.RefusedConflict:
			s.report.count("append refused: conflict")
		case raft.RefusedStaleTerm:
			s.report.count("append refused: stale term")
		case raft.RefusedBusy:
			s.report.count("append refused: busy")
		}
	}
}

// calm ends every fault: links work, disks are healthy, all servers run. Clocks go
// on as they do.
func (s *simulation) calm() {
	s.cluster.Note("calm: all faults end")
	for _, e := range s.until {
		e.undo()
	}
	s.until = nil
	s.network.heal()
	for i, h := range s.hosts {
		if h.isBroken() || !s.cluster.Alive(i) {
			s.cluster.Restart(i)
		}
	}
	s.network.settle()
}

// healthy tells whether the disk of a server does what it is asked.
func (s *simulation) healthy(server string) bool {
	for _, h := range s.hosts {
		if h.id == server {
			return !h.isBroken()
		}
	}
	return true
}

// evenPatience is how long replicas may take to stand at one index: a request of
// a client that is long gone may still arrive and be applied.
const evenPatience = 30 * time.Second

// compare demands that all replicas have one state, once they stand at one index.
func (s *simulation) compare() {
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		hashes, indexes := map[uint64][]string{}, map[uint64][]string{}
		for i := range s.hosts {
			var status kv.StatusReply
			_ = s.cluster.Server(i).(*onDisk).KV.Status(nil, &status) // never fails, by its contract
			hashes[status.Hash] = append(hashes[status.Hash], s.cluster.ID(i))
			indexes[status.HashIndex] = append(indexes[status.HashIndex], s.cluster.ID(i))
		}
		switch {
		case len(indexes) > 1 && time.Since(began) < evenPatience:
			continue
		case len(indexes) > 1:
			s.cluster.Fail(fmt.Errorf("after %v without faults the replicas stand at different indexes: %v", evenPatience, indexes))
		case len(hashes) > 1:
			s.cluster.Fail(fmt.Errorf("the replicas differ in the end: %v", hashes))
		}
		return
	}
}

// tracer is a monitor that counts events and hashes all of them in their order.
type tracer struct {
	report  *Report
	healthy func(server string) bool
	mu      sync.Mutex // a leaf
	hash    hash.Hash
	buffer  []byte
}

// logged are events known by what a server logs.
var logged = map[string]string{
	"raft: stepped down":                         "leader stepped down",
	"raft: no campaign while a flush is overdue": "campaign put off",
	"raft: stopped":                              "server ended by its disk",
}

// Observe implements tests.Monitor.
func (t *tracer) Observe(e tests.Event) error {
	switch {
	case e.Kind == tests.Leads:
		t.report.count("leader elected")
	case e.Kind == tests.Noted:
		for text, name := range logged {
			if strings.Contains(e.What, text) {
				t.report.count(name)
			}
		}
		if strings.Contains(e.What, "raft: stopped") && t.healthy(e.Server) {
			return fmt.Errorf("%s stopped, and its disk is healthy: %s", e.Server, e.What)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.buffer[:0]
	for _, v := range [...]uint64{uint64(e.At), uint64(e.Kind), e.Term, e.Index, e.Number, e.PrevTerm} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	for _, text := range [...]string{e.Server, e.Content, e.What} {
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(text))), text...)
	}
	t.buffer = b
	t.hash.Write(b)
	return nil
}

// Finish implements tests.Monitor.
func (t *tracer) Finish(map[string]uint64) error { return nil }

func (t *tracer) sum() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return hex.EncodeToString(t.hash.Sum(nil)[:16])
}
