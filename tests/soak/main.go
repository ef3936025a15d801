// Soak runs everything that can be run for as long as anyone likes: simulations,
// lab passes, enumerated reads, and seeds replayed exactly; it counts what was
// done and met, and stops at the first failure.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"time"
)

const usage = `Soak runs simulations, lab passes and enumerated reads until the time is over or
something fails, and reports what was done, injected and met.

usage: go run ./tests/soak [flags]

  go run ./tests/soak -for 10m                 ten minutes on all cores
  go run ./tests/soak -for 12h -report out     a night; out/report.md, out/report.json
  go run ./tests/soak -runs 100 -passes 5      so much, however long it takes
  go run ./tests/soak -for 10m -race           the same under the race detector, slower

Exit code: 0 nothing failed and everything that should happen happened, 1 a
failure (the last line names the first failing seed), 2 it could not be run.

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
	if flag.NArg() > 0 || c.workers < 1 || c.limit < 0 || c.runs < 0 || c.passes < 0 || c.limit == 0 && c.runs == 0 && c.passes == 0 {
		fmt.Fprintln(os.Stderr, "soak: say for how long, -for 10m, or how much, -runs 100 -passes 5 (-h tells more)")
		os.Exit(2)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	if err := c.prepare(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(2)
	}
	show := startProgress(c, os.Stderr, *quiet)
	c.run(ctx)
	show.stop()
	report := c.summary()
	fmt.Print(report.markdown())
	if err := c.write(report); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(2)
	}
	c.close()
	if verdict := report.verdict(); verdict != "" {
		fmt.Println(verdict)
		os.Exit(1)
	}
}
