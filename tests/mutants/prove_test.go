package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tiny is a module of one package, and its test is named for E4.
var tiny = map[string]string{
	"go.mod": "module tiny\n\ngo 1.26\n",
	"vote.go": `package tiny

// Votes counts voters, not answers.
func Votes(answers []string) int {
	seen := map[string]bool{}
	for _, voter := range answers {
		seen[voter] = true
	}
	return len(seen)
}
`,
	"vote_test.go": `package tiny

import "testing"

func TestE4Once(t *testing.T) {
	if n := Votes([]string{"a", "b", "a"}); n != 2 {
		t.Errorf("counted %d votes of two voters", n)
	}
}

func TestE4Skipped(t *testing.T) { t.Skip("not today") }

func TestE4Broken(t *testing.T) { t.Error("never passes") }

func TestE4Talks(t *testing.T) {
	t.Log("counted some votes")
	TestE4Once(t)
}
`,
	"outside_test.go": `package tiny_test

import (
	"testing"

	"tiny"
)

func TestE4Outside(t *testing.T) {
	if n := tiny.Votes([]string{"a", "a"}); n != 1 {
		t.Errorf("counted %d votes of one voter", n)
	}
}
`,
	".hidden/x.go":  "package broken, and not copied",
	"other/go.mod":  "module other\n",
	"other/rest.go": "package other, another module",
}

func tinyModule(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range tiny {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// tinyMutant replaces how Votes ends.
func tinyMutant(name, replacement string) Mutant {
	return Mutant{
		Row: "E4", Name: name, File: "vote.go", Anchor: "return len(seen)", Replacement: replacement,
		Package: ".", Test: "TestE4Once", Message: "votes of two voters",
	}
}

func proveTiny(t *testing.T, list []Mutant) (printed string, verdicts map[string]verdict, err error) {
	t.Helper()
	root := tinyModule(t)
	report := filepath.Join(t.TempDir(), "report.json")
	var b strings.Builder
	err = prove(t.Context(), list, root, options{workers: 2, timeout: 2 * time.Second, json: report}, &b)
	for name, content := range tiny {
		if got, e := os.ReadFile(filepath.Join(root, filepath.FromSlash(name))); e != nil || string(got) != content {
			t.Errorf("%s was changed: %v\n%s", name, e, got)
		}
	}
	verdicts = map[string]verdict{}
	if text, e := os.ReadFile(report); e == nil {
		var r struct {
			Results []struct {
				Name    string
				Verdict verdict
			}
		}
		if err := json.Unmarshal(text, &r); err != nil {
			t.Fatal(err)
		}
		for _, one := range r.Results {
			verdicts[one.Name] = one.Verdict
		}
	}
	return b.String(), verdicts, err
}

func TestProve(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles a module several times")
	}
	excused := tinyMutant("nobody can see it", "return len(seen) + 0")
	excused.Equivalent = "adding nothing changes nothing"
	outside := tinyMutant("seen from outside", "return len(answers)")
	outside.Test, outside.Message = "TestE4Outside", "votes of one voter"
	printed, verdicts, err := proveTiny(t, []Mutant{
		outside,
		tinyMutant("answers are counted", "return len(answers)"),
		tinyMutant("nothing changes", "return 0 + len(seen)"),
		tinyMutant("no such name", "return len(sene)"),
		tinyMutant("never returns", "for {\n\t}"),
		tinyMutant("crashes", "panic(\"votes of two voters\")"),
		tinyMutant("blocks", "ch := make(chan int)\n\treturn <-ch"),
		excused,
	})
	want := map[string]verdict{
		"answers are counted": killed, "seen from outside": killed, "nothing changes": survived, "no such name": notCompiled,
		"never returns": timedOut, "crashes": panicked, "blocks": timedOut, "nobody can see it": equivalent,
	}
	for name, v := range want {
		if verdicts[name] != v {
			t.Errorf("%s: %q, want %q", name, verdicts[name], v)
		}
	}
	if err == nil || !strings.Contains(err.Error(), "not killed: E4") {
		t.Errorf("the run ended with %v", err)
	}
	if !strings.Contains(printed, "2 of 8 mutants killed") || !strings.Contains(printed, "5 NOT KILLED") || !strings.Contains(printed, "undefined: sene") {
		t.Errorf("printed:\n%s", printed)
	}
	if t.Failed() {
		t.Log(printed)
	}
}

func TestProveAllKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles a module")
	}
	printed, _, err := proveTiny(t, []Mutant{tinyMutant("answers are counted", "return len(answers)")})
	if err != nil || !strings.Contains(printed, "1 of 1 mutants killed") {
		t.Errorf("%v\n%s", err, printed)
	}
}

// TestProveRefuses: a list that does not fit the code proves nothing, whatever
// its mutants would meet.
func TestProveRefuses(t *testing.T) {
	change := func(f func(*Mutant)) []Mutant {
		m := tinyMutant("answers are counted", "return len(answers)")
		f(&m)
		return []Mutant{m}
	}
	for _, c := range []struct {
		name   string
		list   []Mutant
		builds bool
		want   string
	}{
		{"the anchor is gone", change(func(m *Mutant) { m.Anchor = "return none" }), false, "occurs 0 times"},
		{"the anchor occurs twice", change(func(m *Mutant) { m.Anchor = "seen" }), false, "occurs 3 times"},
		{"no such file", change(func(m *Mutant) { m.File = "none.go" }), false, "none.go"},
		{"named for another row", change(func(m *Mutant) { m.Row = "E1" }), false, "does not have E1 in its name"},
		{"no message", change(func(m *Mutant) { m.Message = "" }), false, "message is missing"},
		{"no edit", change(func(m *Mutant) { m.Replacement = m.Anchor }), false, "the replacement is the anchor"},
		{"twice the same", append(change(func(*Mutant) {}), change(func(*Mutant) {})...), false, "two of this name"},
		{"too many excused", func() (list []Mutant) {
			for _, name := range []string{"a", "b", "c", "d"} {
				list = append(list, change(func(m *Mutant) { m.Name, m.Equivalent = name, "who knows" })...)
			}
			return list
		}(), false, "at most 3"},
		{"no such test", change(func(m *Mutant) { m.Test = "TestE4None" }), true, "no such test"},
		{"a test that is skipped", change(func(m *Mutant) { m.Test = "TestE4Skipped" }), true, "or it was skipped"},
		{"a test that fails unedited", change(func(m *Mutant) { m.Test = "TestE4Broken" }), true, "never passes"},
		{"a test that always says the message", change(func(m *Mutant) { m.Test, m.Message = "TestE4Talks", "counted" }), true, "also when it passes"},
		{"no such package", change(func(m *Mutant) { m.Package = "./none" }), true, "does not pass unedited"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.builds && testing.Short() {
				t.Skip("it compiles a module")
			}
			printed, _, err := proveTiny(t, c.list)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("ended with %v, want %q", err, c.want)
			}
			if strings.Contains(printed, "killed") {
				t.Errorf("it ran mutants:\n%s", printed)
			}
		})
	}
}

// TestTheListFitsTheCode looks at every mutant of this module without running it.
func TestTheListFitsTheCode(t *testing.T) {
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range check(mutants(), root) {
		t.Error(err)
	}
}

func TestChoose(t *testing.T) {
	list := []Mutant{{Row: "E4", Name: "a"}, {Row: "E14", Name: "b"}, {Row: "E4", Name: "c"}}
	for rows, want := range map[string]string{"": "abc", "E4": "ac", "e14,E4": "bac"} {
		chosen, err := choose(list, rows)
		got := ""
		for _, m := range chosen {
			got += m.Name
		}
		if err != nil || got != want {
			t.Errorf("-row %q chose %q, want %q; %v", rows, got, want, err)
		}
	}
	for row, want := range map[string]string{"E1": `"E1"`, "E10": "cannot be switched off"} {
		if _, err := choose(list, row); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("row %s has no mutants: %v", row, err)
		}
	}
}

func TestParse(t *testing.T) {
	var b strings.Builder
	if _, err := parse([]string{"-workers", "0"}, &b); err == nil || !strings.Contains(b.String(), "go run ./tests/mutants -row E4") {
		t.Errorf("wrong use ended with %v and printed\n%s", err, b.String())
	}
	o, err := parse([]string{"-row", "E4", "-json", "f", "-timeout", "5s"}, &b)
	if err != nil || o.rows != "E4" || o.json != "f" || o.timeout != 5*time.Second || o.workers != 2 {
		t.Errorf("%+v, %v", o, err)
	}
}
