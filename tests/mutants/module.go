package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// module is a copy of a Go module, so that nobody's edits disturb the run and the
// run's edits disturb nobody. The copy itself is never edited either: go test is
// told to read another file in place of one of them.
type module struct {
	dir     string // of the copy
	scratch string // for edited files
	timeout time.Duration
}

// moduleRoot is where the module of the working directory begins.
func moduleRoot() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	file := strings.TrimSpace(string(out))
	if filepath.Base(file) != "go.mod" {
		return "", fmt.Errorf("not in a Go module; run it from the module's directory")
	}
	return filepath.Dir(file), nil
}

// copyModule copies the module at root into a fresh directory.
func copyModule(root string, timeout time.Duration) (*module, error) {
	temporary, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return nil, err
	}
	m := &module{dir: filepath.Join(temporary, "module"), scratch: temporary, timeout: timeout}
	if err := copyTree(m.dir, root); err != nil {
		m.remove()
		return nil, fmt.Errorf("copy the module: %w", err)
	}
	return m, nil
}

func (m *module) remove() { _ = os.RemoveAll(m.scratch) }

// copyTree copies regular files, but no hidden directory and no other module.
func copyTree(to, from string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, relative)
		switch {
		case d.IsDir() && path != from && (strings.HasPrefix(d.Name(), ".") || exists(filepath.Join(path, "go.mod"))):
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(target, 0o777)
		case !d.Type().IsRegular():
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, content, 0o666)
	})
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// test runs tests of one package, with the bug of edit in it unless edit is nil.
// The paths are trimmed, so that the build cache serves every copy, and the seed
// of the tests is fixed.
func (m *module) test(ctx context.Context, pkg, tags string, tests []string, edit *Mutant) (*outcome, error) {
	timeout := m.timeout
	if edit == nil {
		timeout *= 10 // many tests, and nothing is expected to hang
	}
	args := []string{
		"test", "-json", "-trimpath", "-vet=off", "-ldflags=-w", "-count=1",
		"-tags", tags, "-timeout", timeout.String(), "-run", pattern(tests),
	}
	if edit != nil {
		overlay, err := m.overlay(*edit)
		if err != nil {
			return nil, err
		}
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, pkg)...)
	cmd.Dir = m.dir
	cmd.Env = append(os.Environ(), "LOCKSTEP_SEED=1")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	exit, ended := err.(*exec.ExitError)
	if err != nil && !ended {
		return nil, err
	}
	o, err := read(strings.NewReader(string(out)))
	if ended {
		o.rest.Write(exit.Stderr)
		o.failed = true
	}
	return o, err
}

// overlay writes the edited file and the list that puts it in the place of the
// other and leaves out what the test can do without; it returns the list's name.
func (m *module) overlay(edit Mutant) (string, error) {
	content, err := edit.edited(m.dir)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(m.scratch, edit.Row+"-")
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, filepath.Base(edit.File))
	if err := os.WriteFile(file, []byte(content), 0o666); err != nil {
		return "", err
	}
	replace := map[string]string{filepath.Join(m.dir, filepath.FromSlash(edit.File)): file}
	needless, err := m.needless(edit)
	if err != nil {
		return "", err
	}
	for _, file := range needless {
		replace[file] = "" // as if it were not there
	}
	list, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, list, 0o666)
}

var externalTest = regexp.MustCompile(`(?m)^package \w+_test$`)

// needless lists the external test files of the package, unless the test is in one
// of them: whatever they import would have to be built for each edit anew.
func (m *module) needless(edit Mutant) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(m.dir, filepath.FromSlash(edit.Package), "*_test.go"))
	if err != nil {
		return nil, err
	}
	test, _, _ := strings.Cut(edit.Test, "/")
	var external []string
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		switch {
		case !externalTest.Match(content):
		case strings.Contains(string(content), "func "+test+"("):
			return nil, nil
		default:
			external = append(external, file)
		}
	}
	return external, nil
}

// pattern matches exactly the given tests and their subtests.
func pattern(tests []string) string {
	var all []string
	for _, test := range tests {
		var parts []string
		for part := range strings.SplitSeq(eventName(test), "/") {
			parts = append(parts, "^"+regexp.QuoteMeta(part)+"$")
		}
		all = append(all, strings.Join(parts, "/"))
	}
	return strings.Join(all, "|")
}
