package main

import (
	"fmt"
	"strings"
	"testing"
)

// events makes what go test -json prints of one test that is named for E4.
func events(ended string, output ...string) string {
	lines := []string{`{"Action":"start","Package":"p"}`, `{"Action":"run","Package":"p","Test":"TestE4Once"}`}
	for _, text := range output {
		lines = append(lines, fmt.Sprintf(`{"Action":"output","Package":"p","Test":"TestE4Once","Output":%q}`, text+"\n"))
	}
	if ended != "" {
		lines = append(lines, fmt.Sprintf(`{"Action":%q,"Package":"p","Test":"TestE4Once"}`, ended))
	}
	result := "pass"
	if ended != "pass" && ended != "skip" {
		result = "fail"
	}
	return strings.Join(append(lines, fmt.Sprintf(`{"Action":%q,"Package":"p"}`, result)), "\n")
}

func TestJudge(t *testing.T) {
	const said = "    once_test.go:12: two votes of n2 counted"
	for _, c := range []struct {
		name   string
		events string
		want   verdict
	}{
		{"it fails in its own words", events("fail", said), killed},
		{"it passes", events("pass"), survived},
		{"it passes and prints the words", events("pass", said), survived},
		{"it fails in other words", events("fail", "    once_test.go:9: no leader"), otherwise},
		{"it is skipped", events("skip", said), notRun},
		{"it does not exist", `{"Action":"output","Package":"p","Output":"testing: warning: no tests to run\n"}
{"Action":"pass","Package":"p"}`, notRun},
		{"it hangs", events("fail", "panic: test timed out after 1m0s", "\trunning tests:"), timedOut},
		{"it fails in its own words, then hangs", events("fail", said, "panic: test timed out after 1m0s"), killed},
		{"the words are only in the trace of a panic", events("", "panic: two votes of n2 counted", "goroutine 1 [running]:"), panicked},
		{"a panic", events("fail", "panic: index out of range [recovered]"), panicked},
		{"a fatal error", events("", "fatal error: concurrent map writes"), panicked},
		{"goroutines left in the bubble", events("fail", "panic: deadlock: main bubble goroutine has exited but blocked goroutines remain"), leaked},
		{"it fails in its own words and leaks", events("fail", said, "panic: deadlock: main bubble goroutine has exited but blocked goroutines remain"), killed},
		{"everything blocks", events("", "fatal error: all goroutines are asleep - deadlock!"), leaked},
		{"a subtest says the words", events("fail") + `
{"Action":"output","Package":"p","Test":"TestE4Once/of_five","Output":"two votes of n2 counted\n"}`, killed},
		{"another test says the words", events("fail") + `
{"Action":"output","Package":"p","Test":"TestE4OnceMore","Output":"two votes of n2 counted\n"}`, otherwise},
		{"another test fails", events("pass") + `
{"Action":"fail","Package":"p","Test":"TestE4OnceMore"}`, survived},
		{"it does not compile", `{"ImportPath":"p [p.test]","Action":"build-output","Output":"./p.go:3:2: undefined: x\n"}
{"ImportPath":"p [p.test]","Action":"build-fail"}
{"Action":"start","Package":"p"}
{"Action":"fail","Package":"p","FailedBuild":"p [p.test]"}`, notCompiled},
		{"go fails before it begins", "go: updates to go.mod needed\n" + `{"Action":"fail","Package":"p"}`, notCompiled},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, err := read(strings.NewReader(c.events))
			if err != nil {
				t.Fatal(err)
			}
			m := Mutant{Row: "E4", Test: "TestE4Once", Message: "two votes of n2 counted"}
			if got, detail := judge(m, o); got != c.want {
				t.Errorf("judged %q, want %q; %s", got, c.want, detail)
			}
		})
	}
}

func TestNamesRow(t *testing.T) {
	for _, c := range []struct {
		test, row string
		want      bool
	}{
		{"TestE4GrantCountsOnce", "E4", true},
		{"TestElections/E14Rejoin", "E14", true},
		{"TestElections/E14Rejoin", "E1", false},
		{"TestVote/E4", "E4", true},
		{"TestVote/refused_(E4)", "E4", true},
		{"TestGRE4T", "E4", false},
		{"TestVote", "E4", false},
	} {
		if got := namesRow(c.test, c.row); got != c.want {
			t.Errorf("%s is named for %s: %v, want %v", c.test, c.row, got, c.want)
		}
	}
}

func TestPattern(t *testing.T) {
	got := pattern([]string{"TestA/b c.d", "TestE4"})
	if want := `^TestA$/^b_c\.d$|^TestE4$`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
