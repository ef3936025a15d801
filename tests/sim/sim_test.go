package sim

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// What to run: go test ./tests/sim -args -seed 17, for example.
var (
	seedFlag    = flag.Uint64("seed", 0, "run this `seed` alone; 0: random ones")
	runsFlag    = flag.Int("runs", 6, "how many seeds to run")
	serversFlag = flag.Int("servers", 0, "servers in the cluster; 0: 3, 5 or 7, by the seed")
	minutesFlag = flag.Float64("minutes", 3, "simulated minutes of faults in each run")
	reportFlag  = flag.String("report", "", "append a line of JSON for each run to this `file`")
)

func TestSimulation(t *testing.T) {
	runs := *runsFlag
	if *seedFlag != 0 {
		runs = 1
	} else if testing.Short() {
		runs = min(runs, 2)
	}
	total := NewReport()
	began := time.Now()
	for range runs {
		seed := *seedFlag
		for seed == 0 {
			seed = rand.Uint64() >> 16
		}
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { runSeed(t, seed, total) }) {
			t.Fatalf("seed %d failed; to find an order that fails and can be run again: go run ./tests/replay -search 100 -seed %d", seed, seed)
		}
	}
	t.Logf("%d runs, %v simulated%s, %d operations in %d linearizable histories",
		total.Runs, total.Simulated.Round(time.Second), took(began), total.Checked, total.Histories)
	t.Logf("operations %v", total.Operations)
	t.Logf("faults %v", total.Faults)
	t.Logf("events %v", total.Events)
}

// took tells real time, of which a run under wasip1 knows nothing.
func took(began time.Time) string {
	if runtime.GOOS == "wasip1" {
		return ""
	}
	return fmt.Sprintf(" in %v", time.Since(began).Round(time.Millisecond))
}

func runSeed(t *testing.T, seed uint64, total *Report) {
	var done *Result
	t.Cleanup(func() { writeResult(t, seed, done) })
	synctest.Test(t, func(t *testing.T) {
		report, trace := Run(t, Options{Seed: seed, Servers: *serversFlag, Duration: time.Duration(*minutesFlag * float64(time.Minute))})
		done = &Result{Trace: trace, Report: report}
		t.Logf("trace %s", trace)
	})
	if done != nil {
		total.Add(done.Report)
	}
}

// writeResult appends to the report file; a run that ended early has no report.
func writeResult(t *testing.T, seed uint64, r *Result) {
	if *reportFlag == "" {
		return
	}
	if r == nil {
		r = &Result{}
	}
	r.Seed, r.Failed = seed, t.Failed()
	line, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(*reportFlag, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(append(line, '\n')); err != nil {
		t.Fatal(err)
	}
}
