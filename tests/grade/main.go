// Grade runs the labs against a Raft and prints points.
//
//	go run ./tests/grade                          this module's own Raft
//	go run ./tests/grade -adapter naive           the example that fails
//	go run ./tests/grade -package ./my/raft       yours
//
// go run ./tests/grade -h lists the flags, docs/lab.md the points.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// adapters are the packages of the built-in ones.
var adapters = map[string]string{
	"lockstep": "lockstep.example/raft/tests",
	"naive":    "lockstep.example/raft/tests/naive",
}

const usage = `Grade runs the labs against a Raft and prints points per scenario.

  go run ./tests/grade                           this module's own Raft
  go run ./tests/grade -adapter naive            a small Raft that fails for known reasons
  go run ./tests/grade -package ./my/raft        yours: a package whose test file has
                                                   func TestLab(t *testing.T) { tests.RunLab(t, Maker) }
  go run ./tests/grade -parts 3A,3B -count 5     only these parts, five times: a scenario
                                                 that fails once earns nothing

A scenario earns half of its points at the labs' number of servers and the other
half at the two other sizes. The exit code is 0 only with all points, 1 with
fewer, 2 if nothing could be graded. (go run itself returns 1 for every code but 0.)

Flags:
`

func main() {
	var (
		adapter = flag.String("adapter", "lockstep", "a built-in Raft: lockstep or naive")
		pkg     = flag.String("package", "", "a package whose TestLab calls tests.RunLab; goes before -adapter")
		parts   = flag.String("parts", "", "parts to grade, with commas between: 3A,3B,3C,...; empty: all the package has")
		count   = flag.Int("count", 1, "passes; only a scenario that passes every time earns its points")
		file    = flag.String("json", "", "write the result to this file as JSON too; - writes it alone to the standard output")
		timeout = flag.Duration("timeout", 4*time.Minute, "of one run of the whole lab; a scenario run alone has a quarter of it")
	)
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	flag.Parse()
	var asked []string
	if *parts != "" {
		asked = strings.Split(strings.ReplaceAll(*parts, " ", ""), ",")
	}
	if err := checkFlags(*adapter, *pkg, *count, *timeout, asked); err != nil {
		fmt.Fprintln(os.Stderr, "grade:", err)
		os.Exit(2)
	}
	g := &grader{pkg: *pkg, parts: asked, count: *count, timeout: *timeout, test: goTest, show: newProgress(os.Stderr)}
	if g.pkg == "" {
		g.pkg = adapters[*adapter]
	}
	full, err := g.grade(*file)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "grade:", err)
		os.Exit(2)
	case !full:
		os.Exit(1)
	}
}

func checkFlags(adapter, pkg string, count int, timeout time.Duration, parts []string) error {
	for _, name := range parts {
		if !slices.ContainsFunc(table, func(w weights) bool { return w.part == name }) {
			return fmt.Errorf("there is no part %q; docs/lab.md has the list", name)
		}
	}
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("unexpected argument %q; a package is given with -package", flag.Arg(0))
	case pkg == "" && adapters[adapter] == "":
		return fmt.Errorf("there is no adapter %q, only lockstep and naive; for your own Raft use -package", adapter)
	case count < 1:
		return fmt.Errorf("-count %d: at least one pass is needed", count)
	case timeout <= 0:
		return fmt.Errorf("-timeout %v is no time to run", timeout)
	}
	return nil
}

// grade runs everything and tells whether all points were earned.
func (g *grader) grade(file string) (full bool, err error) {
	if err := g.run(); err != nil {
		return false, err
	}
	r := g.report()
	if file != "-" {
		r.text(os.Stdout)
	}
	if file != "" {
		err = r.writeJSON(file)
	}
	return r.Points == r.Of, err
}
