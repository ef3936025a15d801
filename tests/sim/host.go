package sim

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"lockstep.example/raft/tests"
	"lockstep.example/raft/vfs"
	"lockstep.example/raft/wal"
)

// host is the machine of one server, through all its lives: a disk that can lose
// power, be slow, stall or fail, a clock that runs at a rate of its own, and a
// state machine that can be held up.
type host struct {
	sim *simulation
	id  string

	mu sync.Mutex // a leaf
	// guarded by mu
	disk     *vfs.Mem
	life     *life
	flush    time.Duration // how long a sync takes, on average
	diskGate chan struct{} // while not nil, syncs wait until it is closed
	gate     chan struct{} // while not nil, Apply waits until it is closed
	rate     float64       // of the clock: 2 is twice as fast as true time
	broken   bool          // the disk fails every write and sync
}

// life is one start of a server, until its crash.
type life struct {
	over   chan struct{} // closed by the crash
	server *tests.KVServer
	thaw   func() // not nil while frozen
}

const (
	healthyFlush = 150 * time.Microsecond
	directory    = "/log"
)

// start is a tests.Maker: a server of the key-value store with its log on the
// host's disk.
func (h *host) start(env tests.Env) (tests.Server, error) {
	env.Disk.Contents = h
	env.Disk.AfterCrash = func(any, func(int) int) any { h.powerLoss(); return h }
	l := &life{over: make(chan struct{})}
	h.mu.Lock()
	fsys := &slowFS{Mem: h.disk, h: h, life: l}
	rate := h.rate
	h.mu.Unlock()

	log, err := wal.Open(fsys, directory, h.options())
	if err != nil {
		return nil, err
	}
	if log.Identity().Server == "" {
		if err := tests.Bootstrap(env, log); err != nil {
			return nil, err
		}
		log.Close()
		return h.start(env)
	}
	if log.Report().TornBytes > 0 {
		h.sim.report.count("torn tail")
	}
	if rate != 1 {
		env.Trace(tests.Event{Kind: tests.Noted, What: fmt.Sprintf("its clock runs at %v", rate)})
	}
	apply := env.Apply
	env.Apply = func(a tests.Applied) {
		h.applyGate(l)
		apply(a)
	}
	config := h.sim.limits()
	config.Store = watchedStore{log, h.sim.durability, h.id, l.ended}
	config.Heartbeat = scaled(100*time.Millisecond, rate)
	config.ElectionTimeoutMin, config.ElectionTimeoutMax = scaled(500*time.Millisecond, rate), scaled(time.Second, rate)
	l.server, err = tests.NewKVServer(env, config)
	if err != nil {
		log.Close()
		return nil, err
	}
	h.mu.Lock()
	h.life = l
	h.mu.Unlock()
	return &onDisk{l.server, log}, nil
}

// scaled is how much true time a clock of the given rate takes for d. All that
// a server does by the clock follows from its three timeouts, so this is a clock
// that runs at that rate.
func scaled(d time.Duration, rate float64) time.Duration {
	return time.Duration(float64(d) / rate)
}

// ended tells whether this life is over.
func (l *life) ended() bool {
	select {
	case <-l.over:
		return true
	default:
		return false
	}
}

// powerLoss ends the life at this instant.
func (h *host) powerLoss() {
	h.thaw()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.life != nil {
		close(h.life.over)
	}
	h.life, h.broken = nil, false
	h.disk = h.disk.Crash(h.survivors())
}

// survivors decides what a power loss leaves of what was not synced: nothing, or
// all, or of each write some of its sectors and of one of them a part.
func (h *host) survivors() func(vfs.Loss) int {
	random, manner := h.sim.random, h.sim.random(4)
	return func(loss vfs.Loss) int {
		h.sim.report.count("unsynced " + loss.Kind + " at a crash")
		switch n := random(8); {
		case manner == 0 || manner > 1 && n < 3:
			return 0
		case manner > 1 && n == 3:
			return random(loss.Size + 1)
		}
		return loss.Size
	}
}

// crashInRecovery starts to recover the log and loses power on the way. The server
// is down: nobody else uses the disk.
func (h *host) crashInRecovery() {
	disk, at := h.disk, int64(1+h.sim.random(30))
	var after *vfs.Mem
	var operations atomic.Int64
	disk.Inject(func(vfs.Op) vfs.Fault {
		if operations.Add(1) == at {
			after = disk.Crash(h.survivors())
		}
		return vfs.Fault{}
	})
	log, err := wal.Open(disk, directory, h.options())
	if err != nil {
		h.sim.cluster.Fail(fmt.Errorf("%s: recovery after a crash in recovery: %w", h.id, err))
		return
	}
	log.Close()
	if disk.Inject(nil); after != nil {
		h.sim.report.count("crash inside a recovery")
		h.disk = after
	}
}

func (h *host) options() wal.Options {
	return wal.Options{SegmentBytes: h.sim.segmentBytes(), Logger: slog.New(slog.DiscardHandler)}
}

// state is tests.Server's, but for a server that cannot answer now.
func (h *host) state() (term uint64, leads bool) {
	h.mu.Lock()
	l := h.life
	frozen := l != nil && l.thaw != nil
	h.mu.Unlock()
	if l == nil || frozen {
		return 0, false
	}
	return l.server.State()
}

// applyGate waits while the state machine is held up.
func (h *host) applyGate(l *life) {
	h.mu.Lock()
	gate := h.gate
	h.mu.Unlock()
	if gate == nil {
		return
	}
	select {
	case <-gate:
	case <-l.over:
	}
}

// onDisk is a server with the log it must close.
type onDisk struct {
	*tests.KVServer
	log *wal.WAL
}

// Kill implements tests.Server.
func (s *onDisk) Kill() error {
	if err := s.KVServer.Kill(); err != nil {
		return err
	}
	if err := s.log.Close(); err != nil {
		return fmt.Errorf("close log: %w", err)
	}
	return nil
}

// thaw ends freeze.
func (h *host) thaw() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.life != nil && h.life.thaw != nil {
		h.life.thaw()
		h.life.thaw = nil
	}
}

func (h *host) setRate(rate float64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rate = rate
}

func (h *host) setFlush(average time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.flush = average
}

// breakDisk makes every write and sync fail until mendDisk or a power loss.
func (h *host) breakDisk() { h.setBroken(true) }
func (h *host) mendDisk()  { h.setBroken(false) }

func (h *host) setBroken(broken bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.broken = broken
}

// stallDisk lets no sync return until openDisk.
func (h *host) stallDisk() { h.shut(&h.diskGate) }
func (h *host) openDisk()  { h.open(&h.diskGate) }

// holdApply lets no command be applied until releaseApply.
func (h *host) holdApply()    { h.shut(&h.gate) }
func (h *host) releaseApply() { h.open(&h.gate) }

func (h *host) shut(gate *chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if *gate == nil {
		*gate = make(chan struct{})
	}
}

func (h *host) open(gate *chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if *gate != nil {
		close(*gate)
		*gate = nil
	}
}
