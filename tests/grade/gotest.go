package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// event is a line of go test -json; go doc test2json has its fields.
type event struct {
	Action, Package, Test, Output string
	Key, Value                    string  // of Action "attr"
	FailedBuild                   string  // of Action "fail" of a package
	Elapsed                       float64 // seconds
}

// outcome is how one test ended in one pass.
type outcome uint8

const (
	missing    outcome = iota // the test was not seen
	unfinished                // it began, and the process ended before it did
	passed
	failed
	skipped
)

// result is what one pass says of one test.
type result struct {
	outcome outcome
	failure string // the first one the harness told
	output  []string
}

// pass is one run of the test binary.
type pass struct {
	tests   map[string]*result // by full name: TestLab/3B/Backup
	compile []string           // what the compiler said
	outside []string           // what the package printed outside of any test
	stderr  string             // what the go command itself said
	failed  bool
}

const (
	labTest   = "TestLab"
	mostLines = 40 // of output kept per test
)

// labEnv makes packages whose lab is known to fail run it all the same.
const labEnv = "LOCKSTEP_LAB=1"

// goTest runs the tests of pkg that match a pattern, and calls seen whenever one
// has ended.
func goTest(pkg, pattern string, timeout time.Duration, seen func(test string, o outcome)) (*pass, error) {
	cmd := exec.Command("go", "test", "-json", "-count=1", "-timeout="+timeout.String(), "-run="+pattern, pkg)
	cmd.Env = append(os.Environ(), labEnv)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("the go command is needed: %w", err)
	}
	p := &pass{tests: map[string]*result{}}
	readErr := p.read(stdout, seen)
	err = cmd.Wait()
	p.stderr = strings.TrimSpace(stderr.String())
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil, err
	}
	p.failed = err != nil
	return p, readErr
}

// read takes events until the process ends.
func (p *pass) read(from io.Reader, seen func(test string, o outcome)) error {
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		var e event
		if json.Unmarshal(line, &e) != nil {
			p.outside = append(p.outside, strings.TrimRight(string(line), "\n"))
			continue
		}
		p.take(e, seen)
	}
}

var endings = map[string]outcome{"pass": passed, "fail": failed, "skip": skipped}

func (p *pass) take(e event, seen func(test string, o outcome)) {
	text := strings.TrimRight(e.Output, "\n")
	switch {
	case e.Action == "build-output":
		p.compile = append(p.compile, text)
		return
	case e.Test == "":
		if e.Action == "output" {
			p.outside = append(p.outside, text)
		}
		return
	}
	r := p.tests[e.Test]
	if r == nil {
		r = &result{outcome: unfinished}
		p.tests[e.Test] = r
	}
	switch o, ends := endings[e.Action]; {
	case ends:
		r.outcome = o
		seen(e.Test, o)
	case e.Action == "attr" && e.Key == "failure" && r.failure == "":
		r.failure = e.Value
	case e.Action == "output" && len(r.output) < mostLines && !framing(text):
		r.output = append(r.output, strings.TrimSpace(text))
	}
}

// framing tells the lines by which package testing itself frames the output.
func framing(line string) bool {
	line = strings.TrimSpace(line)
	return line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ")
}

// why is the line that says best why a test did not pass.
func (r *result) why() string {
	if r.failure != "" {
		return r.failure
	}
	for _, line := range r.output {
		if strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") {
			return line
		}
	}
	if len(r.output) > 0 {
		return r.output[0]
	}
	switch r.outcome {
	case skipped:
		return "the test was skipped"
	case missing:
		return "the test did not run"
	}
	return "no reason was told"
}

// interrupted tells whether the process ended in the middle of a test.
func (p *pass) interrupted() bool {
	for _, r := range p.tests {
		if r.outcome == unfinished {
			return true
		}
	}
	return false
}
