// Package wasm runs Go tests so that nothing is left to chance: compiled for
// wasip1, a program has one thread, and all it can see of the world are clocks
// and randomness, which are seeded here. The same program with the same arguments
// and schedule does the same, instruction by instruction: goroutines run in the
// same order, maps are ranged over in the same order, select chooses the same.
package wasm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
)

// Tests is the test binary of a package, ready to run any number of times.
type Tests struct {
	runtime  wazero.Runtime
	cache    wazero.CompilationCache
	compiled wazero.CompiledModule
}

// Run says how to run it once.
type Run struct {
	Args     []string // as of a test binary: -test.run X -test.v
	Env      []string // NAME=value
	Schedule uint64   // decides whatever the program leaves to chance
	Output   io.Writer
}

// ErrFailed is what Do returns when the tests ran and failed.
var ErrFailed = errors.New("the tests failed")

// tick is how much later each look at a clock is. In a synctest bubble time is
// virtual: the clocks only ever time the run itself.
const tick = time.Microsecond

// Build compiles the tests of a package, named as for the go command. Close what
// it returns.
func Build(ctx context.Context, pkg string, tags string) (*Tests, error) {
	dir, err := os.MkdirTemp("", "lockstep-wasm-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "tests.wasm")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-tags", tags, "-o", binary, pkg)
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if output, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compile the tests of %s for wasip1: %w\n%s", pkg, err, output)
	}
	code, err := os.ReadFile(binary)
	if err != nil {
		return nil, fmt.Errorf("the tests of %s: %w (has it any?)", pkg, err)
	}
	return compile(ctx, code)
}

// compile makes machine code of the module, kept on disk for the next time.
func compile(ctx context.Context, code []byte) (*Tests, error) {
	t := &Tests{}
	config := wazero.NewRuntimeConfigCompiler().WithMemoryCapacityFromMax(true).WithMemoryLimitPages(1 << 15)
	if dir, err := os.UserCacheDir(); err == nil {
		if t.cache, err = wazero.NewCompilationCacheWithDir(filepath.Join(dir, "lockstep-wasm")); err == nil {
			config = config.WithCompilationCache(t.cache)
		}
	}
	t.runtime = wazero.NewRuntimeWithConfig(ctx, config)
	_, err := wasi_snapshot_preview1.Instantiate(ctx, t.runtime)
	if err == nil {
		t.compiled, err = t.runtime.CompileModule(ctx, code)
	}
	if err != nil {
		t.Close()
		return nil, fmt.Errorf("make machine code of the tests: %w", err)
	}
	return t, nil
}

// Close frees the machine code.
func (t *Tests) Close() {
	ctx := context.Background()
	_ = t.runtime.Close(ctx) // it holds memory only
	if t.cache != nil {
		_ = t.cache.Close(ctx)
	}
}

// Do runs the tests once. Several may run at the same time. A run that has begun
// goes on to its end, whatever becomes of ctx: to look at it all the time would
// cost half of the speed.
func (t *Tests) Do(ctx context.Context, r Run) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], r.Schedule)
	now := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()
	later := func() int64 { now += int64(tick); return now }
	config := wazero.NewModuleConfig().WithName("").
		WithArgs(append([]string{"tests"}, r.Args...)...).
		WithStdout(r.Output).WithStderr(r.Output).
		WithRandSource(rand.NewChaCha8(key)).
		WithWalltime(func() (int64, int32) { n := later(); return n / 1e9, int32(n % 1e9) }, sys.ClockResolution(tick)).
		WithNanotime(later, sys.ClockResolution(tick)).
		WithNanosleep(func(ns int64) { now += ns })
	for _, pair := range r.Env {
		name, value, _ := strings.Cut(pair, "=")
		config = config.WithEnv(name, value)
	}
	module, err := t.runtime.InstantiateModule(ctx, t.compiled, config)
	if module != nil {
		defer module.Close(ctx)
	}
	var exit *sys.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit) && exit.ExitCode() == 0:
		return nil
	case errors.As(err, &exit) && exit.ExitCode() == 1, errors.As(err, &exit) && exit.ExitCode() == 2: // failed, panicked
		return ErrFailed
	}
	return fmt.Errorf("run the tests: %w", err)
}
