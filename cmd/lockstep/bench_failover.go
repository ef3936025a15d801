package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"lockstep.example/raft/cmd/lockstep/internal/failover"
	"lockstep.example/raft/cmd/lockstep/internal/local"
)

func (a *app) failoverCommand() *cobra.Command {
	var o failover.Options
	var dir string
	var json bool
	c := &cobra.Command{
		Use:   "failover",
		Short: "Measure how long writes stop when the leader is killed",
		Long: `Start a cluster of server processes of its own, as "lockstep up" does, below a
temporary directory; write to it; kill the leader's process (kill -9) once a
round, when all servers are back. Print for each round the longest time in which
no write was acknowledged, then the median. At the end read everything back:
exit code 1 if an acknowledged write is missing, one that was refused is there,
or the servers' states differ; the data is then kept.`,
		Example: `  lockstep bench failover
  lockstep bench failover --rounds 3 --servers 5`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case o.Rounds < 1:
				return usage("--rounds is %d; give at least 1", o.Rounds)
			case o.Writers < 1:
				return usage("--writers is %d; give at least 1", o.Writers)
			case o.Cluster.Servers < 3 || o.Cluster.Servers > local.MaxServers:
				return usage("--servers is %d; give 3 to %d: fewer do not outlive their leader", o.Cluster.Servers, local.MaxServers)
			case o.Cluster.Restart <= 0:
				return usage("--restart is %v; give more than 0, such as 1s", o.Cluster.Restart)
			}
			temporary, err := os.MkdirTemp(dir, "lockstep-failover-")
			if err != nil {
				return fmt.Errorf("make a temporary directory: %w; choose another place with --dir", err)
			}
			o.Cluster.Dir = temporary
			o.Progress = func(line string) { fmt.Fprintln(a.err, line) }
			fmt.Fprintf(a.err, "%d server processes, %d writers, data in %s\n", o.Cluster.Servers, o.Writers, temporary)
			report, err := failover.Run(c.Context(), o)
			if errors.Is(err, failover.ErrLost) {
				return fmt.Errorf("%w; the data and logs are in %s", err, temporary)
			}
			os.RemoveAll(temporary)
			if err != nil {
				return err
			}
			return a.printFailover(report, json)
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.IntVar(&o.Rounds, "rounds", 10, "how often to kill the leader")
	f.IntVar(&o.Writers, "writers", 8, "how many writes are under way at once")
	f.IntVar(&o.Cluster.Servers, "servers", 3, "how many servers")
	f.DurationVar(&o.Cluster.Restart, "restart", local.DefaultRestart, "time after which a dead server is started again")
	f.StringVar(&dir, "dir", os.TempDir(), "where to put the temporary directory; it should be on a disk")
	f.BoolVar(&json, "json", false, "print one JSON object")
	return c
}

func (a *app) printFailover(r failover.Report, json bool) error {
	sorted := slices.Sorted(slices.Values(r.Gaps))
	median := (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
	if json {
		gaps := []int64{}
		for _, gap := range r.Gaps {
			gaps = append(gaps, gap.Milliseconds())
		}
		return printJSON(a.out, fields{
			"gaps_ms": gaps, "median_ms": median.Milliseconds(), "max_ms": sorted[len(sorted)-1].Milliseconds(), "acknowledged": r.Acknowledged,
			"unknown": r.Unknown, "refused": r.Refused, "hash": fmt.Sprintf("%016x", r.Hash),
		})
	}
	rows := [][]string{{"ROUND", "INTERRUPTED MS"}}
	row := func(name string, gap time.Duration) {
		rows = append(rows, []string{name, fmt.Sprint(gap.Milliseconds())})
	}
	for i, gap := range r.Gaps {
		row(fmt.Sprint(i+1), gap)
	}
	row("median", median)
	row("longest", sorted[len(sorted)-1])
	if err := printTable(a.out, rows, 1); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.out, "%d writes acknowledged, all of them there; %d unknown, %d refused; all servers have the state %016x\n",
		r.Acknowledged, r.Unknown, r.Refused, r.Hash)
	return err
}
