package main

import (
	"bufio"
	"encoding/json"
	"io"
	"strings"
)

// verdict is what became of a mutant.
type verdict string

const (
	killed       verdict = "killed"
	equivalent   verdict = "equivalent"       // not run: no test can see it
	survived     verdict = "survived"         // its test passed
	otherwise    verdict = "failed otherwise" // its test failed without the message
	leaked       verdict = "leak alone"       // ... because goroutines were left over, or all of them blocked
	panicked     verdict = "panic"            // ... because something panicked
	timedOut     verdict = "timed out"
	notCompiled  verdict = "does not compile"
	notRun       verdict = "test did not run"
	notJudgeable verdict = "could not be run" // go itself failed
)

// outcome is what `go test -json` told.
type outcome struct {
	compileErrors string
	failed        bool // the package as a whole
	tests         map[string]*testOutcome
	order         []string        // names of the tests, as they began
	rest          strings.Builder // output of no test
}

type testOutcome struct {
	ended  string // "pass", "fail" or "skip"; empty if the process died first
	output strings.Builder
}

// read takes in the events of one run.
func read(events io.Reader) (*outcome, error) {
	o := &outcome{tests: map[string]*testOutcome{}}
	lines := bufio.NewScanner(events)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var e struct{ Action, Test, Output, FailedBuild string }
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			o.rest.Write(lines.Bytes()) // go's own words
			o.rest.WriteByte('\n')
			continue
		}
		o.add(e.Action, e.Test, e.Output)
		if e.FailedBuild != "" {
			o.failed = true
		}
	}
	return o, lines.Err()
}

func (o *outcome) add(action, test, output string) {
	switch {
	case action == "build-output":
		o.compileErrors += output
	case action == "build-fail":
		o.failed = true
	case test == "" && action == "output":
		o.rest.WriteString(output)
	case test == "" && action == "fail":
		o.failed = true
	case test == "":
	default:
		one := o.tests[test]
		if one == nil {
			one = &testOutcome{}
			o.tests[test] = one
			o.order = append(o.order, test)
		}
		switch action {
		case "output":
			one.output.WriteString(output)
		case "pass", "fail", "skip":
			one.ended = action
		}
	}
}

// output is what a test and its subtests printed.
func (o *outcome) output(test string) string {
	var b strings.Builder
	for _, name := range o.order {
		if name == test || strings.HasPrefix(name, test+"/") {
			b.WriteString(o.tests[name].output.String())
		}
	}
	return b.String()
}

// passed tells whether a test ran to its end and passed.
func (o *outcome) passed(test string) bool {
	one := o.tests[eventName(test)]
	return one != nil && one.ended == "pass"
}

// eventName is how go test writes the name of a subtest.
func eventName(test string) string { return strings.ReplaceAll(test, " ", "_") }

// judge says what the run of a mutant's test shows. It is killed if the test
// failed and said so in the words expected of it, before anything panicked: that
// the code no longer compiles, hangs, leaks or crashes is not the test's merit.
func judge(m Mutant, o *outcome) (v verdict, detail string) {
	test := eventName(m.Test)
	one := o.tests[test]
	switch {
	case o.compileErrors != "" || one == nil && o.failed:
		return notCompiled, o.compileErrors + o.rest.String()
	case one == nil || one.ended == "skip":
		return notRun, o.rest.String()
	case one.ended == "pass":
		return survived, ""
	}
	detail = o.output(test)
	own, crash := cutPanic(detail)
	if crash == "" { // a panic may be told outside of the test
		_, crash = cutPanic(o.rest.String())
	}
	switch {
	case strings.Contains(own, m.Message):
		return killed, ""
	case strings.Contains(crash, "panic: test timed out"):
		return timedOut, detail
	case strings.Contains(crash, "deadlock"):
		return leaked, detail
	case crash != "":
		return panicked, detail
	}
	return otherwise, detail
}

// cutPanic parts what a test said itself from the report of a panic.
func cutPanic(output string) (own, crash string) {
	for _, start := range []string{"panic: ", "fatal error: "} {
		at := strings.Index("\n"+output, "\n"+start)
		if at >= 0 {
			return output[:at], output[at:]
		}
	}
	return output, ""
}
