// Soak runs everything that can be run for as long as anyone likes: simulations,
// lab passes, enumerated reads, and seeds replayed exactly; it counts what was
// done and met, and stops at the first failure.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

const usage = `Soak runs simulations, lab passes and enumerated reads until the time is over or
something fails, and reports what was done, injected and met.

usage: go run ./tests/soak [flags]

  go run ./tests/soak -for 10m                 ten minutes on all cores
  go run ./tests/soak -for 12h -report out     a night; out/report.md, out/report.json
  go run ./tests/soak -runs 100 -passes 5      so much, however long it takes
  go run ./tests/soak -for 10m -race           the same under the race detector, slower

Ctrl-C ends it early, with the report so far.

Exit code: 0 nothing failed and everything that should happen happened, 1 a
failure (the last line names the first failing seed), 2 it could not be run, or
not to its end. (go run itself returns 1 for every code but 0.)

flags:
`

func main() {
	c := &campaign{began: time.Now()}
	flag.DurationVar(&c.limit, "for", 0, "end after this long, e.g. 10m; 0: when -runs and -passes are done")
	flag.IntVar(&c.runs, "runs", 0, "end after `n` simulations of 3 minutes each; 0: no such end")
	flag.IntVar(&c.passes, "passes", 0, "end after `n` passes of the labs; 0: no such end")
	flag.IntVar(&c.workers, "workers", runtime.NumCPU(), "tests that run at a time")
	flag.BoolVar(&c.race, "race", false, "build with the race detector; no seed is replayed then")
	flag.StringVar(&c.directory, "report", "", "write report.md, report.json and the output of failures to this `directory`")
	quiet := flag.Bool("quiet", false, "no progress line")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	flag.Parse()
	if wrong := c.misused(flag.Args()); wrong != "" {
		fmt.Fprintf(os.Stderr, "soak: %s (-h tells more)\n", wrong)
		os.Exit(2)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	context.AfterFunc(ctx, cancel) // the second signal ends the process at once
	os.Exit(c.soak(ctx, *quiet))
}

// misused says what is wrong with the flags; nothing if they are right.
func (c *campaign) misused(arguments []string) string {
	switch {
	case len(arguments) > 0:
		return fmt.Sprintf("unexpected argument %q", arguments[0])
	case c.workers < 1:
		return fmt.Sprintf("-workers %d: one is needed at least", c.workers)
	case c.limit < 0:
		return fmt.Sprintf("-for %v is no time to run", c.limit)
	case c.runs < 0 || c.passes < 0:
		return fmt.Sprintf("-runs %d -passes %d: neither can be negative", c.runs, c.passes)
	case c.limit == 0 && c.runs == 0 && c.passes == 0:
		return "say for how long, -for 10m, or how much, -runs 100 -passes 5"
	}
	return ""
}

// soak runs the campaign, reports, and returns the exit code.
func (c *campaign) soak(ctx context.Context, quiet bool) int {
	defer c.close()
	err := c.prepare(ctx)
	if err != nil {
		awaitSignal(ctx)
	}
	if ctx.Err() != nil {
		err = errors.New("interrupted while it compiled")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		return 2
	}
	show := startProgress(c, os.Stderr, quiet)
	c.run(ctx)
	show.stop()
	report := c.summary()
	fmt.Print(report.markdown())
	if err := c.write(report); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		return 2
	}
	switch verdict := report.verdict(); {
	case ctx.Err() != nil && len(report.Failures) == 0:
		fmt.Printf("INTERRUPTED after %v; nothing failed until then\n", report.Took.Round(time.Second))
		return 2
	case verdict != "":
		fmt.Println(verdict)
		return 1
	}
	fmt.Println("PASSED: nothing failed")
	return 0
}
