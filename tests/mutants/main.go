// Command mutants proves that the tests see old bugs. Each mutant is an edit of
// this module's source that brings back a bug some known Raft had. The command
// applies one after another, to a copy, and runs the one test that is named for
// the bug: the mutant is killed if that test fails and says what is wrong in the
// words expected of it. Code that does not compile, hangs, leaks or crashes is no
// kill.
//
// Before, every named test must pass on the unedited copy, and the text that each
// edit replaces must occur exactly once: a list that no longer fits the code
// fails the run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

const usage = `Mutants bring old bugs back into a copy of this module, one at a time, and see
whether the test named for each bug fails with its own words.

  go run ./tests/mutants                     all of them
  go run ./tests/mutants -row E4             those of one row; E4,E5 those of two
  go run ./tests/mutants -list               what there is, without running it
  go run ./tests/mutants -json report.json   also write the report for programs

Exit code: 0 all killed; 1 something was not, or the list does not fit the code;
2 wrong use, or it could not be run. (go run itself returns 1 for every code but 0.)

Flags:
`

type options struct {
	rows    string
	list    bool
	json    string
	workers int
	timeout time.Duration
}

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	o, err := parse(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		os.Exit(2)
	}
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		if errors.As(err, new(errNotRun)) {
			os.Exit(2)
		}
		os.Exit(1)
	}
}

var errInterrupted = errors.New("interrupted")

// errNotRun is a reason why no mutant was judged, or not all that were asked for.
type errNotRun struct{ error }

func parse(args []string, w io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	flags.SetOutput(w)
	flags.StringVar(&o.rows, "row", "", "run only the mutants of these `rows`, as E4 or E4,E5")
	flags.BoolVar(&o.list, "list", false, "print the mutants and run nothing")
	flags.StringVar(&o.json, "json", "", "write the report to this `file` as JSON")
	flags.IntVar(&o.workers, "workers", 2, "how many mutants to run at a time")
	flags.DurationVar(&o.timeout, "timeout", time.Minute, "how long the test of a mutant may run")
	flags.Usage = func() {
		_, _ = fmt.Fprint(w, usage)
		flags.PrintDefaults()
	}
	err := flags.Parse(args)
	if err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q; rows are given with -row", flags.Arg(0))
	case o.workers < 1:
		err = fmt.Errorf("-workers %d: one is needed at least", o.workers)
	case o.timeout <= 0:
		err = fmt.Errorf("-timeout %v is no time to run", o.timeout)
	}
	if err != nil {
		flags.Usage()
		_, _ = fmt.Fprintf(w, "\nmutants: %v\n", err)
	}
	return o, err
}

// run does what the options say; nil if every mutant was killed.
func run(ctx context.Context, o options, w io.Writer) error {
	list, err := choose(mutants(), o.rows)
	if err != nil {
		return errNotRun{err}
	}
	if o.list {
		for _, m := range list {
			_, _ = fmt.Fprintf(w, "%-4s %s\n     %s; %s %s\n", m.Row, m.Name, m.File, m.Test, m.Package)
		}
		for _, a := range absent {
			if o.rows == "" {
				_, _ = fmt.Fprintf(w, "%-4s none: %s\n", a.Row, a.Why)
			}
		}
		return nil
	}
	root, err := moduleRoot()
	if err != nil {
		return errNotRun{err}
	}
	return prove(ctx, list, root, o, w)
}

// choose keeps the mutants of the rows asked for.
func choose(list []Mutant, rows string) ([]Mutant, error) {
	if rows == "" {
		return list, nil
	}
	var chosen []Mutant
	for row := range strings.SplitSeq(strings.ToUpper(rows), ",") {
		row = strings.TrimSpace(row)
		before := len(chosen)
		for _, m := range list {
			if m.Row == row {
				chosen = append(chosen, m)
			}
		}
		for _, a := range absent {
			if a.Row == row {
				return nil, fmt.Errorf("no mutant of row %s: %s", a.Row, a.Why)
			}
		}
		if len(chosen) == before {
			return nil, fmt.Errorf("no mutant of row %q; -list shows them", row)
		}
	}
	return chosen, nil
}

// prove runs mutants of the module at root.
func prove(ctx context.Context, list []Mutant, root string, o options, w io.Writer) error {
	began := time.Now()
	m, err := copyModule(root, o.timeout)
	if err != nil {
		return errNotRun{err}
	}
	defer m.remove()
	if wrong := check(list, m.dir); len(wrong) > 0 {
		return fmt.Errorf("the list does not fit the code:\n%w", errors.Join(wrong...))
	}
	wrong := m.baseline(ctx, list, o.workers)
	if ctx.Err() != nil {
		return errNotRun{errInterrupted}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("the code as it is:\n%w", errors.Join(wrong...))
	}
	_, _ = fmt.Fprintf(w, "the tests of %d mutants pass on the code as it is, in %.0f s\n", len(list), time.Since(began).Seconds())
	results := m.run(ctx, list, o.workers, func(r result) {
		if ctx.Err() == nil {
			printResult(w, r)
		}
	})
	if ctx.Err() != nil {
		return errNotRun{errInterrupted}
	}
	s := summarize(results, time.Since(began))
	_, _ = fmt.Fprintln(w, s)
	if o.json != "" {
		if err := writeJSON(o.json, results, s); err != nil {
			return errNotRun{err}
		}
	}
	if !s.AllKilled {
		return fmt.Errorf("not killed: %s", strings.Join(alive(results), ", "))
	}
	return nil
}

// alive lists the rows of what was not killed.
func alive(results []result) []string {
	var rows []string
	for _, r := range results {
		if r.Verdict != killed && r.Verdict != equivalent && !slices.Contains(rows, r.Mutant.Row) {
			rows = append(rows, r.Mutant.Row)
		}
	}
	return rows
}
