package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lockstep.example/raft/cmd/lockstep/internal/embedded"
	"lockstep.example/raft/cmd/lockstep/internal/load"
	"lockstep.example/raft/vfs"
)

// benchOptions are the flags of bench.
type benchOptions struct {
	clients  []int
	servers  int
	duration time.Duration
	warmUp   time.Duration
	size     int
	dir      string
	json     bool
}

const keysPerClient = 1024

func (a *app) benchCommand() *cobra.Command {
	var o benchOptions
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure writes and linearizable reads",
		Long: `Measure writes and linearizable reads on a cluster of its own: three servers in
this one process, over loopback TCP and on a real disk with fsync, below a
temporary directory that is removed at the end. The state machine is a map of
16-byte keys; there are no sessions and no store above it. Closed-loop clients
are at the leader: a write (Propose) counts when committed and applied there, a
read is a ReadIndex and a lookup. CPU and allocations are those of the whole
process: three servers and all clients. FLUSHES are those of each server during
the measured time.

Progress goes to standard error, the table to standard output.`,
		Example: `  lockstep bench
  lockstep bench --clients 64 --duration 10s --dir /var/tmp`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			return a.bench(c.Context(), o)
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.IntSliceVar(&o.clients, "clients", []int{1, 64, 1024}, "how many closed-loop clients, one measurement each")
	f.DurationVar(&o.duration, "duration", 3*time.Second, "length of one measurement")
	f.DurationVar(&o.warmUp, "warm-up", 500*time.Millisecond, "time before one that is not counted")
	f.IntVar(&o.size, "size", 128, "bytes of a command, the key of 16 included")
	f.IntVar(&o.servers, "servers", 3, "how many servers")
	f.StringVar(&o.dir, "dir", os.TempDir(), "where to put the temporary directory; it should be on a disk")
	f.BoolVar(&o.json, "json", false, "print one JSON object")
	c.AddCommand(a.failoverCommand())
	return c
}

func (o *benchOptions) check() error {
	switch {
	case len(o.clients) == 0:
		return usage("--clients is empty; give at least one number")
	case o.size < embedded.KeyBytes || o.size > 1<<20:
		return usage("--size is %d; a command has %d bytes, its key, to 1 MiB", o.size, embedded.KeyBytes)
	case o.duration < 100*time.Millisecond || o.duration > time.Hour:
		return usage("--duration is %v; give 100ms to 1h", o.duration)
	case o.warmUp < 0:
		return usage("--warm-up is %v; give 0 or more", o.warmUp)
	case o.servers < 1 || o.servers > 9:
		return usage("--servers is %d; give 1 to 9", o.servers)
	}
	for _, n := range o.clients {
		if n < 1 || n > 100_000 {
			return usage("--clients names %d; give 1 to 100000", n)
		}
	}
	return nil
}

// measurement is one row of the result.
type measurement struct {
	operation string
	clients   int
	load.Result
	flushes []uint64
}

func (a *app) bench(ctx context.Context, o benchOptions) error {
	dir, err := os.MkdirTemp(o.dir, "lockstep-bench-")
	if err != nil {
		return fmt.Errorf("make a temporary directory: %w; choose another place with --dir", err)
	}
	defer os.RemoveAll(dir)
	flush, err := flushTime(dir)
	if err != nil {
		return fmt.Errorf("measure the disk: %w", err)
	}
	fmt.Fprintf(a.err, "%d servers in this process, loopback TCP, data in %s; a flush of 4 KiB takes %v there\n", o.servers, dir, flush)
	if flush < 20*time.Microsecond {
		fmt.Fprintf(a.err, "that is too quick for a disk: writes will look better than they are; choose another place with --dir\n")
	}
	var rows []measurement
	for _, clients := range o.clients {
		pair, err := a.benchClients(ctx, o, filepath.Join(dir, fmt.Sprint(clients)), clients)
		if err != nil {
			return fmt.Errorf("%d clients: %w", clients, err)
		}
		rows = append(rows, pair...)
	}
	if o.json {
		return printJSON(a.out, benchJSON(o, flush, rows))
	}
	return a.printBench(rows)
}

// benchClients measures writes, then reads, on a cluster of its own, so that no
// measurement pays for the log of an earlier one.
func (a *app) benchClients(ctx context.Context, o benchOptions, dir string, clients int) (rows []measurement, err error) {
	cluster, err := embedded.Open(dir, o.servers)
	if err != nil {
		return nil, err
	}
	defer func() {
		if closed := cluster.Close(); err == nil {
			err = closed
		}
		os.RemoveAll(dir)
	}()
	waiting, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	leader, err := cluster.Leader(waiting)
	if err != nil {
		return nil, err
	}
	commands := make([][]byte, clients) // one of each client, used again and again
	for i := range commands {
		commands[i] = make([]byte, o.size)
		binary.BigEndian.PutUint64(commands[i], uint64(i))
	}
	next := func(client int) []byte {
		command := commands[client]
		n := binary.BigEndian.Uint64(command[8:])
		binary.BigEndian.PutUint64(command[8:], (n+1)%keysPerClient)
		return command
	}
	operations := []struct {
		name string
		do   func(ctx context.Context, client int) error
	}{
		{"write", func(ctx context.Context, client int) error {
			_, err := leader.Raft.Propose(ctx, next(client))
			return err
		}},
		{"read", func(ctx context.Context, client int) error {
			_, err := leader.Read(ctx, [embedded.KeyBytes]byte(next(client)))
			return err
		}},
	}
	for _, operation := range operations {
		fmt.Fprintf(a.err, "%s, %d clients, %v ...\n", operation.name, clients, o.duration)
		m := measurement{operation: operation.name, clients: clients}
		run := load.Run{
			Clients: clients, WarmUp: o.warmUp, Duration: o.duration, Operation: operation.do,
			Mark: func() { m.flushes = differences(cluster.Flushes(), m.flushes) },
		}
		m.Result = run.Do(ctx)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("interrupted: %w", context.Cause(ctx))
		}
		if m.Errors > 0 {
			fmt.Fprintf(a.err, "%d errors, the first: %v\n", m.Errors, m.FirstError)
		}
		rows = append(rows, m)
	}
	return rows, nil
}

// differences returns now, less what was before; before may be empty.
func differences(now, before []uint64) []uint64 {
	for i := range before {
		now[i] -= before[i]
	}
	return now
}

// flushTime returns the usual time of a small flush in a directory, the file
// being written over, as a log writes its segments.
func flushTime(dir string) (time.Duration, error) {
	file, err := vfs.OS.Create(filepath.Join(dir, "flush"))
	if err != nil {
		return 0, err
	}
	defer file.Close()
	page := make([]byte, 4<<10)
	var best time.Duration
	for i := range 20 {
		began := time.Now()
		if _, err := file.WriteAt(page, 0); err != nil {
			return 0, err
		}
		if err := file.SyncData(); err != nil {
			return 0, err
		}
		if took := time.Since(began); i == 1 || i > 1 && took < best {
			best = took
		}
	}
	return best.Round(time.Microsecond), nil
}

func (a *app) printBench(rows []measurement) error {
	table := [][]string{{"OPERATION", "CLIENTS", "OPS/S", "P50 US", "P95 US", "P99 US", "CPU S/100K", "ALLOCS/OP", "ERRORS", "FLUSHES"}}
	for _, m := range rows {
		table = append(table, []string{
			m.operation, fmt.Sprint(m.clients), fmt.Sprintf("%.0f", m.PerSecond()), fmt.Sprint(m.P50.Microseconds()), fmt.Sprint(m.P95.Microseconds()),
			fmt.Sprint(m.P99.Microseconds()), fmt.Sprintf("%.2f", m.CPUPer100k()), fmt.Sprintf("%.1f", m.AllocationsPer()), fmt.Sprint(m.Errors),
			strings.Trim(strings.ReplaceAll(fmt.Sprint(m.flushes), " ", "/"), "[]"),
		})
	}
	return printTable(a.out, table, 1, 2, 3, 4, 5, 6, 7, 8)
}

func benchJSON(o benchOptions, flush time.Duration, rows []measurement) fields {
	list := []fields{}
	for _, m := range rows {
		list = append(list, fields{
			"operation": m.operation, "clients": m.clients, "ops_per_s": m.PerSecond(), "operations": m.Operations, "errors": m.Errors,
			"p50_us": m.P50.Microseconds(), "p95_us": m.P95.Microseconds(), "p99_us": m.P99.Microseconds(),
			"cpu_s_per_100k": m.CPUPer100k(), "allocs_per_op": m.AllocationsPer(), "flushes": m.flushes,
		})
	}
	return fields{
		"servers": o.servers, "size": o.size, "duration_s": o.duration.Seconds(), "flush_4k_us": flush.Microseconds(),
		"cores": runtime.NumCPU(), "version": version(), "measurements": list,
	}
}
