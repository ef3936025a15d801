package script

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const readme = "README.md"

// TestReadme: the examples in the page are one script, the text between them its
// comments; it runs like any other, and shows every command.
func TestReadme(t *testing.T) {
	file := filepath.Join(testdata, readme)
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Parse(file, fromPage(string(page)))
	if err != nil {
		t.Fatal(err)
	}
	text := play(t, s)
	shown := map[string]bool{}
	for _, b := range s.blocks {
		for _, c := range b.commands {
			shown[c.name] = true
		}
	}
	for name := range verbs {
		if !shown[name] {
			t.Errorf("%s has no example of %s", file, name)
		}
	}
	if *update {
		rewrite(t, file, toPage(text))
	}
}

// An example begins and ends with a fence.
const (
	exampleBegin = "```txt"
	exampleEnd   = "```"
)

// fromPage turns a page into a script with as many lines.
func fromPage(page string) string {
	lines := strings.Split(page, "\n")
	example := false
	for i, line := range lines {
		if example && line == exampleEnd {
			example = false
		}
		if !example {
			lines[i] = "#|" + line
		}
		if line == exampleBegin {
			example = true
		}
	}
	return strings.Join(lines, "\n")
}

// toPage undoes fromPage.
func toPage(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "#|")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n") + "\n"
}

// TestIndex: every script names its rule and where it is written, and the page
// lists it with these words, once.
func TestIndex(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(testdata, readme))
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]int{}
	for line := range strings.Lines(string(page)) {
		if name, rest, ok := strings.Cut(strings.TrimPrefix(line, "| ["), ".txt]("); ok && strings.HasPrefix(line, "| [") {
			listed[name+".txt"]++
			if target, _, _ := strings.Cut(rest, ")"); target != name+".txt" {
				t.Errorf("%s: the link of %s.txt leads to %s", readme, name, target)
			}
		}
	}
	for _, file := range files(t) {
		s, err := Load(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		rule, ok := s.Rule()
		if !ok || !strings.Contains(rule, "(paper ") && !strings.Contains(rule, "(thesis ") {
			t.Errorf("%s: its first line does not begin with %q and name a section of paper or thesis", name, "# Rule: ")
		}
		if listed[name] != 1 || !strings.Contains(string(page), "| ["+name+"]("+name+") | "+rule+" |") {
			t.Errorf("%s: it should have exactly this line\n| [%s](%s) | %s |", readme, name, name, rule)
		}
		delete(listed, name)
	}
	for name := range listed {
		t.Errorf("%s lists %s, which does not exist", readme, name)
	}
}
