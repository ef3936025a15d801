package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lockstep.example/raft/tests/internal/wasm"
	"lockstep.example/raft/tests/sim"
)

// campaign is what is to be done, and what was done so far.
type campaign struct {
	// immutable after prepare
	limit        time.Duration
	runs, passes int
	workers      int
	race         bool
	directory    string // for reports; may be empty
	began        time.Time
	scratch      string // for binaries and results of jobs
	binaries     map[string]string
	seeds        *wasm.Tests // nil: no seed is replayed

	abandoned atomic.Bool // a run under wasip1 goes on, and uses seeds

	mu sync.Mutex
	// guarded by mu
	begun    map[string]int // jobs begun, by kind
	done     map[string]int // units done, by kind
	total    *sim.Report
	failures []failure
}

// failure is one job that failed.
type failure struct {
	Job    string `json:"job"`
	Seed   string `json:"seed"`
	Again  string `json:"again"` // the command that runs it again
	Output string `json:"-"`
}

// packages are those whose tests are compiled.
var packages = []string{"tests", "tests/sim", "tests/microscope"}

// prepare compiles everything once. Whatever it returns, c must be closed.
func (c *campaign) prepare(ctx context.Context) error {
	c.begun, c.done, c.total = map[string]int{}, map[string]int{}, sim.NewReport()
	c.binaries = map[string]string{}
	var err error
	if c.scratch, err = os.MkdirTemp("", "lockstep-soak-"); err != nil {
		return err
	}
	if c.directory != "" {
		if err := os.MkdirAll(c.directory, 0o755); err != nil {
			return fmt.Errorf("make the directory of the report: %w", err)
		}
	}
	for _, pkg := range packages {
		fmt.Fprintf(os.Stderr, "soak: compiling %s\n", pkg)
		binary := filepath.Join(c.scratch, filepath.Base(pkg)+".test")
		arguments := []string{"test", "-c", "-tags", "raftsim", "-o", binary}
		if c.race {
			arguments = append(arguments, "-race")
		}
		if out, err := exec.CommandContext(ctx, "go", append(arguments, "lockstep.example/raft/"+pkg)...).CombinedOutput(); err != nil {
			return fmt.Errorf("compile the tests of %s: %w\n%s", pkg, err, out)
		}
		c.binaries[pkg] = binary
	}
	if c.race {
		return nil
	}
	fmt.Fprintln(os.Stderr, "soak: compiling tests/sim for wasip1")
	c.seeds, err = wasm.Build(ctx, "lockstep.example/raft/tests/sim", "raftsim")
	return err
}

func (c *campaign) close() {
	if c.seeds != nil && !c.abandoned.Load() {
		c.seeds.Close()
	}
	_ = os.RemoveAll(c.scratch) // temporary
}

// run keeps every worker busy until the campaign ends.
func (c *campaign) run(ctx context.Context) {
	if c.limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.limit)
		defer cancel()
	}
	var workers sync.WaitGroup
	for range c.workers {
		workers.Go(func() {
			for {
				j := c.next(ctx)
				if j == nil {
					return
				}
				c.finish(ctx, j, j.run(ctx, c))
			}
		})
	}
	workers.Wait()
}

// next chooses the kind of job that is furthest behind its share; nil when the
// campaign is over.
func (c *campaign) next(ctx context.Context) job {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() != nil || len(c.failures) > 0 {
		return nil
	}
	var best *kind
	for i := range kinds {
		k := &kinds[i]
		if k.name == replays && c.seeds == nil || c.enough(k) {
			continue
		}
		if best == nil || float64(c.begun[k.name])/k.share < float64(c.begun[best.name])/best.share {
			best = k
		}
	}
	if best == nil {
		return nil
	}
	c.begun[best.name]++
	return best.make(uint64(time.Now().UnixNano()) & (1<<48 - 1))
}

// enough tells whether no more jobs of a kind are wanted. c.mu must be held.
func (c *campaign) enough(k *kind) bool {
	if c.limit > 0 && c.runs == 0 && c.passes == 0 {
		return false
	}
	switch k.name {
	case simulations:
		return c.begun[k.name]*batch >= c.runs
	case labs:
		return c.begun[k.name] >= c.passes
	}
	return c.begun[k.name] > 0 // once each
}

// finish adds what a job did. One that was ended by the campaign's end counts for
// nothing.
func (c *campaign) finish(ctx context.Context, j job, err error) {
	if err != nil {
		awaitSignal(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var failed *failure
	switch {
	case err == nil:
		j.count(c)
	case ctx.Err() != nil:
	case errors.As(err, &failed):
		c.failures = append(c.failures, *failed)
	default:
		c.failures = append(c.failures, failure{Job: fmt.Sprint(j), Seed: "?", Output: err.Error()})
	}
}

// awaitSignal is called when a child process failed. Ctrl-C goes to children as
// well, and may reach them first: what it ends is no failure.
func awaitSignal(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(200 * time.Millisecond):
	}
}

func (f *failure) Error() string { return f.Job + " failed: " + f.Seed }

// write keeps the report and the output of what failed.
func (c *campaign) write(r *report) error {
	if len(c.failures) > 0 {
		fmt.Printf("\n%s\n", shorten(c.failures[0].Output))
	}
	for i, f := range c.failures {
		if c.directory != "" {
			name := filepath.Join(c.directory, fmt.Sprintf("failure-%d.txt", i+1))
			if err := os.WriteFile(name, []byte(f.Output), 0o644); err != nil {
				return fmt.Errorf("write the output of a failure: %w", err)
			}
		}
	}
	if c.directory == "" {
		return nil
	}
	err := os.WriteFile(filepath.Join(c.directory, "report.md"), []byte(r.markdown()), 0o644)
	return errors.Join(err, os.WriteFile(filepath.Join(c.directory, "report.json"), r.json(), 0o644))
}

// shorten keeps the beginning of a text, where a test says what went wrong first,
// and its end.
func shorten(text string) string {
	const first, last = 20, 40
	lines := strings.SplitAfter(text, "\n")
	left := len(lines) - first - last
	if left <= 0 {
		return text
	}
	return fmt.Sprintf("%s(%d more lines; -report keeps them)\n%s",
		strings.Join(lines[:first], ""), left, strings.Join(lines[first+left:], ""))
}
