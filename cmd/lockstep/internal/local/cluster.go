package local

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"lockstep.example/raft"
)

// Options says which cluster to run, and how.
type Options struct {
	Dir       string
	Servers   int           // how many; 0: as many as the directory holds, or three new ones
	Binary    string        // the program whose "serve" command runs a server; empty: this one
	NoRestart bool          // leave a dead server dead
	Restart   time.Duration // from a server's death to its next start; 0: DefaultRestart
	// Tell hears what happens, one Event at a time, from goroutines of the
	// cluster. It may be nil, and must not call Stop.
	Tell func(Event)
}

// Event is Started, Exited, Leader or Leaderless.
type Event interface{ event() }

// Started: a server process runs.
type Started struct {
	Member
	Pid     int
	Dir     string
	Command []string // the "serve" command that runs it, without the program
}

// Exited: a server process ended, and nobody asked for it.
type Exited struct {
	Member
	Pid     int // 0: it could not even be started
	Cause   string
	Restart time.Duration // until it is started again; negative: never
}

// Leader: the cluster has another leader; ID is empty while no server leads.
type Leader struct {
	ID   raft.ServerID
	Term uint64
}

// Leaderless: no server has led for a while, which is told again after twice the
// time.
type Leaderless struct {
	Answers, Servers int
	See              raft.ServerID // whose log may say why
}

func (Started) event()    {}
func (Exited) event()     {}
func (Leader) event()     {}
func (Leaderless) event() {}

// Cluster is a cluster of server processes that this process runs. Its methods
// may be called from any goroutine.
type Cluster struct {
	// immutable after Open
	Description
	options  Options
	dir      string // absolute
	lock     io.Closer
	servers  map[raft.ServerID]*supervisor
	launches chan func() // run by the launcher, on its one OS thread

	stopping context.Context
	stop     context.CancelFunc
	watchers sync.WaitGroup // supervisors and the leader watch
	launcher sync.WaitGroup

	telling sync.Mutex // held while Tell runs
}

// Open takes possession of a directory and starts the servers of its cluster,
// which is made first if there is none. Stop must be called.
func Open(o Options) (*Cluster, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	if o.Binary == "" {
		if o.Binary, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("find this program, which also runs the servers: %w", err)
		}
	}
	if o.Restart <= 0 {
		o.Restart = DefaultRestart
	}
	if o.Tell == nil {
		o.Tell = func(Event) {}
	}
	d, lock, err := prepare(dir, o.Servers)
	if err != nil {
		return nil, err
	}
	c := &Cluster{
		Description: d, options: o, dir: dir, lock: lock,
		servers: map[raft.ServerID]*supervisor{}, launches: make(chan func()),
	}
	c.stopping, c.stop = context.WithCancel(context.Background())
	c.launcher.Go(c.launch)
	for _, m := range d.Members {
		begun := make(chan struct{})
		s := &supervisor{
			Member: m, cluster: c, dir: filepath.Join(dir, string(m.ID)),
			begun: sync.OnceFunc(func() { close(begun) }),
		}
		c.servers[m.ID] = s
		c.watchers.Go(s.run)
		<-begun // so that they are told of in order
	}
	c.watchers.Go(c.watchLeader)
	return c, nil
}

// launch starts processes. The kernel ties a child to the OS thread that started
// it, and Go moves goroutines between threads and ends threads it does not need;
// so one goroutine starts them all, on a thread of its own that lives until every
// child has ended.
func (c *Cluster) launch() {
	runtime.LockOSThread()
	for start := range c.launches {
		start()
	}
}

// Stop stops all servers cleanly, kills those that take longer than about 7
// seconds, and gives up the directory.
func (c *Cluster) Stop() error {
	c.stop()
	c.watchers.Wait()
	close(c.launches)
	c.launcher.Wait()
	return c.lock.Close()
}

// Kill ends the process of a server at once, as kill -9 does. It returns the pid;
// 0 if the server was down.
func (c *Cluster) Kill(id raft.ServerID) int { return c.servers[id].kill() }

// Up names the servers whose processes run.
func (c *Cluster) Up() (ids []string) {
	for _, m := range c.Members {
		if c.servers[m.ID].runs() {
			ids = append(ids, string(m.ID))
		}
	}
	return ids
}

func (c *Cluster) tell(e Event) {
	c.telling.Lock()
	defer c.telling.Unlock()
	c.options.Tell(e)
}
