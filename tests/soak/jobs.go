package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"time"

	"lockstep.example/raft/tests/internal/wasm"
	"lockstep.example/raft/tests/sim"
)

// job is one thing a worker does.
type job interface {
	run(ctx context.Context, c *campaign) error
	count(c *campaign) // adds what it did; c.mu is held
}

// kind is a kind of job and how many of a hundred jobs are of it.
type kind struct {
	name  string
	share float64
	make  func(seed uint64) job
}

const (
	simulations = "simulations"
	labs        = "lab passes"
	topologies  = "topologies"
	reads       = "enumerated reads"
	replays     = "replayed seeds"

	batch   = 4                // simulations in one process
	patient = 10 * time.Minute // for one job

	gogc = "GOGC=300" // simulated servers make much garbage; the environment's own value wins
)

// cores is how a job of a seed is run: mostly on one core, which wastes nothing where
// every core has a worker; every fourth on all, for the orders of goroutines that
// only several cores make.
func cores(seed uint64) string {
	if seed%4 == 0 {
		return fmt.Sprint("GOMAXPROCS=", runtime.NumCPU())
	}
	return "GOMAXPROCS=1"
}

// A lab pass takes as long as five simulations, one at all sizes three times as
// long: they and the simulations share most of the time.
var kinds = []kind{
	{simulations, 47.5, func(seed uint64) job { return &simulation{seed: seed} }},
	{labs, 49, func(seed uint64) job { return &labPass{seed} }},
	{topologies, 0.5, func(uint64) job { return graphs{} }},
	{reads, 2, func(seed uint64) job { return &enumeration{seed} }},
	{replays, 0.5, func(seed uint64) job { return &replay{seed} }},
}

// binary runs a test binary. It finds no files of its package: it runs elsewhere.
func (c *campaign) binary(ctx context.Context, pkg string, env []string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patient+time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.binaries[pkg], append([]string{"-test.timeout", patient.String()}, args...)...)
	cmd.Dir = c.scratch
	cmd.Env = append(append([]string{gogc}, os.Environ()...), env...)
	out, err := cmd.CombinedOutput()
	if err == nil && bytes.Contains(out, []byte("no tests to run")) {
		err = fmt.Errorf("%s has no test of the kind %v", pkg, args)
	}
	return out, err
}

// simulation is a batch of simulations.
type simulation struct {
	seed   uint64
	report *sim.Report
}

func (j *simulation) run(ctx context.Context, c *campaign) error {
	file := filepath.Join(c.scratch, fmt.Sprintf("run-%d.jsonl", j.seed))
	defer os.Remove(file)
	out, err := c.binary(ctx, "tests/sim", []string{cores(j.seed)}, "-test.run", "^TestSimulation$", "-runs", fmt.Sprint(batch), "-report", file)
	j.report = sim.NewReport()
	lines, readErr := os.ReadFile(file)
	for _, line := range bytes.Split(bytes.TrimSpace(lines), []byte("\n")) {
		result := sim.Result{Report: sim.NewReport()}
		if e := json.Unmarshal(line, &result); e != nil {
			readErr = errors.Join(readErr, fmt.Errorf("read a result of the simulation: %w", e))
			continue
		}
		if result.Failed {
			seed := fmt.Sprint(result.Seed)
			return &failure{"simulation", seed, "go run ./tests/replay -search 100 -seed " + seed, string(out)}
		}
		j.report.Add(result.Report)
	}
	if err == nil {
		err = readErr
	}
	if err != nil {
		return &failure{"simulation", "?", cores(j.seed) + " go test -tags raftsim ./tests/sim", fmt.Sprintf("%s\n%v", out, err)}
	}
	return nil
}

func (j *simulation) count(c *campaign) {
	c.done[simulations] += j.report.Runs
	c.total.Add(j.report)
}

// labPass is every scenario of package tests but the topologies, once, at the
// labs' number of servers; one pass in allSizes is at every number.
type labPass struct{ seed uint64 }

var failedTest = regexp.MustCompile(`(?m)^ *--- FAIL: (\S+/\S+)`)

func (j *labPass) run(ctx context.Context, c *campaign) error {
	seed, cores := fmt.Sprint("LOCKSTEP_SEED=", j.seed), cores(j.seed)
	arguments := []string{"-test.run", labTests}
	if j.seed%allSizes != 0 {
		arguments = append(arguments, "-test.short", "-test.skip", "//-[0-9]+servers$") // a name within a family within TestLab
	}
	out, err := c.binary(ctx, "tests", []string{seed, cores}, arguments...)
	if err == nil {
		return nil
	}
	name := "."
	for _, m := range failedTest.FindAllSubmatch(out, -1) {
		name = string(m[1]) // the innermost comes last
	}
	return &failure{"lab pass " + name, fmt.Sprint(j.seed), seed + " " + cores + " go test -tags raftsim ./tests -run '" + name + "'", string(out)}
}

const allSizes = 20

// labTests are the tests a pass is made of.
const labTests = "^Test(Lab|Elections|Proposals|Reads|Storms)$"

func (j *labPass) count(c *campaign) { c.done[labs]++ }

// graphs is every way in which links can be missing.
type graphs struct{}

func (graphs) run(ctx context.Context, c *campaign) error {
	out, err := c.binary(ctx, "tests", nil, "-test.run", "^TestTopologies$")
	if err == nil {
		return nil
	}
	return &failure{topologies, "none", "go test -tags raftsim ./tests -run TestTopologies", string(out)}
}

func (graphs) count(c *campaign) { c.done[topologies]++ }

// enumeration is a few thousand schedules of reads around a deposition: the same
// ones each time with three servers, sampled by the seed with five. A failure
// tells its own schedule.
type enumeration struct{ seed uint64 }

func (j *enumeration) run(ctx context.Context, c *campaign) error {
	out, err := c.binary(ctx, "tests/microscope", []string{fmt.Sprint("LOCKSTEP_SEED=", j.seed)})
	if err == nil {
		return nil
	}
	return &failure{reads, "none", "go test -tags raftsim ./tests/microscope", string(out)}
}

func (j *enumeration) count(c *campaign) { c.done[reads]++ }

// replay runs one short simulation twice under wasip1; both must be one run.
type replay struct{ seed uint64 }

const replayMinutes = "0.5"

func (j *replay) run(ctx context.Context, c *campaign) error {
	var outputs [2]bytes.Buffer
	again := fmt.Sprintf("go run ./tests/replay -minutes %s -seed %d", replayMinutes, j.seed)
	for i := range outputs {
		err := c.do(ctx, wasm.Run{
			Args:     []string{"-test.run", "^TestSimulation$", "-test.v", "-seed", fmt.Sprint(j.seed), "-minutes", replayMinutes},
			Schedule: j.seed, Output: &outputs[i],
		})
		switch {
		case errors.Is(err, wasm.ErrFailed):
			return &failure{"simulation under wasip1", fmt.Sprint(j.seed), again, fmt.Sprintf("%s\n%v", &outputs[i], err)}
		case err != nil: // the run may go on and write, so what it wrote is not to be read
			return &failure{"simulation under wasip1", fmt.Sprint(j.seed), again, err.Error()}
		}
	}
	if !bytes.Equal(outputs[0].Bytes(), outputs[1].Bytes()) {
		return &failure{"replay", fmt.Sprint(j.seed), again + " -twice", "two runs of one seed differ"}
	}
	return nil
}

// errEndless is what a run under wasip1 that does not end comes to. It cannot be
// interrupted, so it is left behind: the campaign ends, and the process with it.
var errEndless = fmt.Errorf("no end after %v of real time", patient)

// do is wasm.Tests.Do for a campaign that must end.
func (c *campaign) do(ctx context.Context, r wasm.Run) error {
	ended := make(chan error, 1)
	go func() { ended <- c.seeds.Do(ctx, r) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		c.abandoned.Store(true)
		return context.Cause(ctx)
	case <-time.After(patient):
		c.abandoned.Store(true)
		return errEndless
	}
}

func (j *replay) count(c *campaign) { c.done[replays]++ }
