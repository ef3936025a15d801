package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"lockstep.example/raft"
	"lockstep.example/raft/cmd/lockstep/internal/local"
)

func (a *app) upCommand() *cobra.Command {
	var o local.Options
	c := &cobra.Command{
		Use:   "up",
		Short: "Run a cluster on this machine until Ctrl-C",
		Long: `Run a cluster of server processes on this machine until Ctrl-C. The first time
it makes the cluster: it chooses free ports of 127.0.0.1 and keeps them with the
data. After that it resumes the same data.

A server that dies is started again after a second; one that fails by itself
again and again after 2, 4, ... 30 s. What each server logs is in DIR/n1.log and
so on. All servers end with this process, even if that is killed: a second Ctrl-C
does so without waiting for them.

The "serve" lines it prints run one server each, by hand; they work while this
process does not.`,
		Example: `  lockstep up
  lockstep up -n 5 --dir /tmp/five`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if o.Servers < 1 || o.Servers > local.MaxServers {
				return usage("-n is %d; a cluster on one machine has 1 to %d servers", o.Servers, local.MaxServers)
			}
			if !c.Flags().Changed("servers") {
				o.Servers = 0 // as many as there are
			}
			return a.up(c, o)
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.IntVarP(&o.Servers, "servers", "n", 3, "how many servers a new cluster has; 3 survive one failure, 5 two")
	f.StringVar(&o.Dir, "dir", defaultDir, "directory that holds, or will hold, the cluster")
	f.BoolVar(&o.NoRestart, "no-restart", false, "leave a server that dies dead")
	return c
}

func (a *app) up(c *cobra.Command, o local.Options) error {
	told := &upReport{printer: newPrinter(a.out), dir: o.Dir, program: programName(), causes: map[string]string{}}
	defer told.close()
	o.Tell = told.tell
	cluster, err := local.Open(o)
	if err != nil {
		return err
	}
	<-c.Context().Done()
	told.say("stopping; Ctrl-C again kills")
	slow := time.AfterFunc(stopPatience, func() {
		told.say("still waiting for %s to stop", strings.Join(cluster.Up(), ", "))
	})
	defer slow.Stop()
	if err := cluster.Stop(); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	told.say("stopped; run it again to go on with the same data")
	return nil
}

// stopPatience is how long a stop may take without a word.
const stopPatience = time.Second

// upReport says what happens to a cluster.
type upReport struct {
	dir, program string

	mu      sync.Mutex // guards what follows; a leaf
	printer *printer   // nil: closed
	begun   bool
	ready   bool
	leader  raft.ServerID
	causes  map[string]string // of each server's latest death
}

func (r *upReport) say(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sayLocked(format, args...)
}

func (r *upReport) sayLocked(format string, args ...any) {
	if r.printer != nil {
		r.printer.say(fmt.Sprintf(format, args...))
	}
}

func (r *upReport) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.printer.close()
	r.printer = nil
}

func (r *upReport) tell(e local.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e := e.(type) {
	case local.Started:
		if !r.begun {
			r.begun = true
			r.sayLocked("cluster in %s, run by process %d until Ctrl-C", r.dir, os.Getpid())
		}
		r.sayLocked("%s  %s  pid %-7d  %s %s", e.ID, e.Address, e.Pid, r.program, shellLine(e.Command))
	case local.Exited:
		next := fmt.Sprintf("starting it again in %v", e.Restart)
		if e.Restart < 0 {
			next = "it stays down"
		}
		cause := e.Cause
		if r.causes[string(e.ID)] == cause {
			cause = "again, for the same reason"
		}
		r.causes[string(e.ID)] = e.Cause
		r.sayLocked("%s died (pid %d): %s; %s", e.ID, e.Pid, cause, next)
	case local.Leader:
		r.tellLeaderLocked(e)
	case local.Leaderless:
		r.sayLocked("no leader yet: %d of %d answer; see %s", e.Answers, e.Servers, filepath.Join(r.dir, string(e.See)+".log"))
	}
}

func (r *upReport) tellLeaderLocked(e local.Leader) {
	if e.ID == "" {
		r.sayLocked("%s does not lead any more, and nobody else does yet", r.leader)
	} else {
		r.sayLocked("%s leads, in term %d", e.ID, e.Term)
	}
	r.leader = e.ID
	if r.ready || e.ID == "" {
		return
	}
	r.ready = true
	example := []string{"put", "color", "blue"}
	if r.dir != defaultDir {
		example = append(example, "--cluster", r.dir)
	}
	r.sayLocked("ready; try in another terminal: %s %s", r.program, shellLine(example))
}

// programName is how to call this program from the shell: as it was called, or
// by "go run" if that built it, for the binary is gone afterwards.
func programName() string {
	path, err := os.Executable()
	if err == nil && strings.Contains(path, string(filepath.Separator)+"go-build") {
		return "go run ./cmd/lockstep"
	}
	return os.Args[0]
}

// shellLine joins arguments for a shell; paths are shortened to the working
// directory where they are below it.
func shellLine(args []string) string {
	var words []string
	for _, word := range args {
		if wd, err := os.Getwd(); err == nil && filepath.IsAbs(word) {
			if short, err := filepath.Rel(wd, word); err == nil && !strings.HasPrefix(short, "..") {
				word = short
			}
		}
		if strings.ContainsAny(word, " \t\n'\"\\$&|;<>()*?[]#~`!{}") || word == "" {
			word = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}
