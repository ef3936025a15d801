package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"lockstep.example/raft/tests/internal/wasm"
)

// TestSameSeedSameTrace: one seed under one schedule is one run, byte for byte;
// another schedule is another order of goroutines.
func TestSameSeedSameTrace(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles for wasip1")
	}
	tests, err := wasm.Build(t.Context(), "lockstep.example/raft/tests/sim", "raftsim")
	if err != nil {
		t.Fatal(err)
	}
	defer tests.Close()
	r := &replay{minutes: 0.1, tests: tests}
	other := 0
	for seed := range uint64(3) {
		r.seed = seed + 1
		var traces [3]string
		for i, schedule := range []uint64{1, 1, 2} {
			var output bytes.Buffer
			traces[i], err = r.once(t.Context(), schedule, &output)
			if err != nil || traces[i] == "" {
				t.Fatalf("seed %d, schedule %d: trace %q, %v\n%s", r.seed, schedule, traces[i], err, &output)
			}
		}
		if traces[0] != traces[1] {
			t.Errorf("seed %d under one schedule has the traces %s and %s", r.seed, traces[0], traces[1])
		}
		if traces[2] != traces[0] {
			other++
		}
	}
	if other == 0 {
		t.Error("no seed has another trace under another schedule")
	}
}

// TestFailure: a test that fails is told from one that cannot be run.
func TestFailure(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles for wasip1")
	}
	if _, err := wasm.Build(t.Context(), "lockstep.example/raft/nowhere", ""); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("the tests of no package: %v", err)
	}
	tests, err := wasm.Build(t.Context(), "lockstep.example/raft/internal/quorum", "")
	if err != nil {
		t.Fatal(err)
	}
	defer tests.Close()
	var output bytes.Buffer
	if err := tests.Do(t.Context(), wasm.Run{Args: []string{"-test.nosuchflag"}, Output: &output}); !errors.Is(err, wasm.ErrFailed) {
		t.Errorf("a flag that does not exist: %v\n%s", err, &output)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tests.Do(ctx, wasm.Run{Output: &output}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: %v", err)
	}
}

// TestReached: a scenario that does not exist is not one that passed.
func TestReached(t *testing.T) {
	const output = "=== RUN   TestLab\n=== RUN   TestLab/3B\n--- PASS: TestLab (0.00s)\n    --- PASS: TestLab/3B (0.00s)\nPASS\n"
	for lab, want := range map[string]bool{"": true, "Lab": true, "Lab/3B": true, "Lab/3B/Nowhere": false} {
		if got := reached(output, lab); got != want {
			t.Errorf("%q: reached %v, want %v", lab, got, want)
		}
	}
	if reached("testing: warning: no tests to run\nPASS\n", "Nowhere") {
		t.Error("no test at all was reached")
	}
}
