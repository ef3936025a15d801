// Replay runs one seed of a simulation, or of a lab scenario, exactly as often as
// asked: compiled for wasip1, where a seed decides everything.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"

	"lockstep.example/raft/tests/internal/wasm"
)

const usage = `Replay runs one seed again, exactly, and tells the story of the run.

A seed decides what faults come; under wasip1, where this command runs it, it
decides in which order goroutines run as well. A failure met natively came from
another order: -search looks for one that fails too.

usage: go run ./tests/replay [flags]

  go run ./tests/replay -seed 17                     the simulation of seed 17
  go run ./tests/replay -seed 17 -twice              twice, comparing the traces
  go run ./tests/replay -seed 17 -search 50          until it fails, 50 times at most
  go run ./tests/replay -lab Lab/3B/Backup -seed 17  a lab scenario

The default of three simulated minutes takes some twenty seconds, and nothing is
told before the end. Ctrl-C ends it at once.

Exit code: 0 the run passed, 1 it failed, 2 it could not be run, or not to its
end. (go run itself returns 1 for every code but 0.)

flags:
`

func main() {
	var r replay
	flag.Uint64Var(&r.seed, "seed", 0, "the `seed` to run; required")
	flag.Uint64Var(&r.schedule, "schedule", 0, "what decides the order of goroutines; 0: the seed")
	flag.IntVar(&r.servers, "servers", 0, "servers in the simulated cluster; 0: by the seed")
	flag.Float64Var(&r.minutes, "minutes", 3, "simulated minutes of faults")
	flag.StringVar(&r.lab, "lab", "", "run this `test` of package tests instead of the simulation")
	flag.BoolVar(&r.twice, "twice", false, "run it twice and compare the traces")
	flag.IntVar(&r.search, "search", 0, "try up to `n` schedules until one fails")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	flag.Parse()
	if wrong := r.misused(flag.Args()); wrong != "" {
		fmt.Fprintf(os.Stderr, "replay: %s (-h tells more)\n", wrong)
		os.Exit(2)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	err := r.run(ctx)
	if ctx.Err() != nil {
		err = errInterrupted
	}
	switch {
	case err == nil:
	case errors.Is(err, wasm.ErrFailed), errors.Is(err, errDiffer):
		fmt.Fprintln(os.Stderr, "replay:", err)
		os.Exit(1)
	default:
		fmt.Fprintln(os.Stderr, "replay:", err)
		os.Exit(2)
	}
}

// misused says what is wrong with the flags; nothing if they are right.
func (r *replay) misused(arguments []string) string {
	switch {
	case len(arguments) > 0:
		return fmt.Sprintf("unexpected argument %q", arguments[0])
	case r.seed == 0:
		return "give the seed to run, a number above 0: -seed 17"
	case !(r.minutes > 0):
		return fmt.Sprintf("-minutes %v is no time to run", r.minutes)
	case r.servers < 0:
		return fmt.Sprintf("-servers %d: one is needed at least", r.servers)
	case r.search < 0:
		return fmt.Sprintf("-search %d: it cannot be negative", r.search)
	case r.search > 0 && r.twice:
		return "-search and -twice do not go together"
	}
	return ""
}

type replay struct {
	seed, schedule uint64
	servers        int
	minutes        float64
	lab            string
	twice          bool
	search         int
	tests          *wasm.Tests
}

func (r *replay) run(ctx context.Context) error {
	pkg := "lockstep.example/raft/tests/sim"
	if r.lab != "" {
		pkg = "lockstep.example/raft/tests"
	}
	if r.schedule == 0 {
		r.schedule = r.seed
	}
	began := time.Now()
	var err error
	if r.tests, err = wasm.Build(ctx, pkg, "raftsim"); err != nil {
		return err
	}
	defer r.tests.Close()
	fmt.Fprintf(os.Stderr, "replay: compiled in %v\n", time.Since(began).Round(time.Millisecond))
	// A run that has begun cannot be ended but with the process.
	defer context.AfterFunc(ctx, func() {
		fmt.Fprintln(os.Stderr, "replay:", errInterrupted)
		os.Exit(2)
	})()
	switch {
	case r.search > 0:
		return r.find(ctx)
	case r.twice:
		return r.compare(ctx)
	}
	_, err = r.once(ctx, r.schedule, os.Stdout)
	return err
}

var errInterrupted = errors.New("interrupted")

// errDiffer says that a seed did not decide everything.
var errDiffer = errors.New("two runs of one seed differ: something is not seeded")

var traceLine = regexp.MustCompile(`trace ([0-9a-f]{32})`)

// once runs the seed under a schedule and returns the hash of the trace, which a
// lab scenario does not have.
func (r *replay) once(ctx context.Context, schedule uint64, output io.Writer) (trace string, err error) {
	run := wasm.Run{
		Args:     []string{"-test.run", "^TestSimulation$", "-test.v", "-seed", fmt.Sprint(r.seed), "-servers", fmt.Sprint(r.servers), "-minutes", fmt.Sprint(r.minutes)},
		Schedule: schedule,
	}
	if r.lab != "" {
		run.Args = []string{"-test.run", "Test" + r.lab, "-test.v"}
		run.Env = []string{fmt.Sprint("LOCKSTEP_SEED=", r.seed)}
	}
	began := time.Now()
	var text bytes.Buffer
	run.Output = io.MultiWriter(&text, output)
	err = r.tests.Do(ctx, run)
	if err == nil && !reached(text.String(), r.lab) {
		err = fmt.Errorf("no test of package tests matches -lab %s", r.lab)
	}
	if found := traceLine.FindSubmatch(text.Bytes()); found != nil {
		trace = string(found[1])
	}
	verdict := "passed"
	if err != nil {
		verdict = err.Error()
	}
	if trace != "" {
		verdict += ", trace " + trace
	}
	fmt.Fprintf(os.Stderr, "replay: seed %d, schedule %d, in %v: %s\n", r.seed, schedule, time.Since(began).Round(time.Millisecond), verdict)
	return trace, err
}

// reached tells whether a test as deep as the one asked for was run: go test passes
// if a subtest that is named does not exist.
func reached(output, test string) bool {
	for line := range strings.Lines(output) {
		if name, ok := strings.CutPrefix(line, "=== RUN   "); ok && strings.Count(name, "/") >= strings.Count(test, "/") {
			return true
		}
	}
	return false
}

// compare runs it twice; both must be one run.
func (r *replay) compare(ctx context.Context) error {
	var outputs [2]bytes.Buffer
	var result error
	for i := range outputs {
		if _, err := r.once(ctx, r.schedule, &outputs[i]); err != nil {
			if result = err; !errors.Is(err, wasm.ErrFailed) {
				return err
			}
		}
	}
	a, b := outputs[0].Bytes(), outputs[1].Bytes()
	os.Stdout.Write(a)
	if !bytes.Equal(a, b) {
		return fmt.Errorf("%w; the first difference is at byte %d of their output", errDiffer, firstDifference(a, b))
	}
	fmt.Fprintf(os.Stderr, "replay: both runs are one, %d bytes of output\n", len(a))
	return result
}

func firstDifference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// find tries schedules until one fails, and tells its story.
func (r *replay) find(ctx context.Context) error {
	for i := range r.search {
		var output bytes.Buffer
		schedule := r.schedule + uint64(i)
		_, err := r.once(ctx, schedule, &output)
		if err != nil && !errors.Is(err, wasm.ErrFailed) {
			return err
		}
		if err != nil {
			os.Stdout.Write(output.Bytes())
			return fmt.Errorf("%w; exactly this run again: go run ./tests/replay -seed %d -schedule %d", err, r.seed, schedule)
		}
	}
	fmt.Fprintf(os.Stderr, "replay: none of %d schedules fails\n", r.search)
	return nil
}
