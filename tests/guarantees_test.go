package tests

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Below its first section heading, docs/guarantees.md is a list of promises: one
// sentence each, with links to the tests that fail when it is broken.

var testLink = regexp.MustCompile("\\[`(Test[^`]*|Fuzz[^`]*)`\\]\\(([^)]+)\\)")

// checkGuarantees returns what is wrong with a page that lies in dir.
func checkGuarantees(page, dir string) (sentences int, wrong []string) {
	complain := func(line int, format string, args ...any) {
		wrong = append(wrong, fmt.Sprintf("line %d: %s", line, fmt.Sprintf(format, args...)))
	}
	inList := false
	lines := strings.Split(page, "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		switch {
		case strings.HasPrefix(line, "## "):
			inList = true
			continue
		case !inList || strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#"):
			continue
		case !strings.HasPrefix(line, "- "):
			complain(i+1, "a sentence outside the list of promises: %q", line)
			continue
		}
		start, text := i+1, strings.TrimPrefix(line, "- ")
		for i+1 < len(lines) && strings.HasPrefix(lines[i+1], "  ") {
			i++
			text += " " + strings.TrimSpace(lines[i])
		}
		sentences++
		sentence, _, linked := strings.Cut(text, "[`")
		if sentence = strings.TrimSpace(sentence); strings.Count(sentence+" ", ". ") != 1 || !strings.HasSuffix(sentence, ".") {
			complain(start, "each promise is one sentence, and then its tests: %q", sentence)
		}
		if !linked || testLink.FindString(text) == "" {
			complain(start, "no test proves %q", sentence)
		}
		for _, link := range testLink.FindAllStringSubmatch(text, -1) {
			if err := testExists(dir, link[1], link[2]); err != nil {
				complain(start, "%v", err)
			}
		}
	}
	return sentences, wrong
}

// testExists looks for a test in a file, and for the names of its subtests in the
// files beside it.
func testExists(dir, name, file string) error {
	path := filepath.Join(dir, file)
	source, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	parts := strings.Split(name, "/")
	if !strings.Contains(string(source), "func "+parts[0]+"(") {
		return fmt.Errorf("%s has no %s", file, parts[0])
	}
	beside, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*.go"))
	if err != nil {
		return err
	}
	var all strings.Builder
	for _, other := range beside {
		if filepath.Base(other) == "guarantees_test.go" {
			continue // it names tests that must not be found
		}
		text, err := os.ReadFile(other)
		if err != nil {
			return err
		}
		all.Write(text)
	}
	for _, part := range parts[1:] {
		if !strings.Contains(all.String(), `"`+part+`"`) {
			return fmt.Errorf("no subtest %q of %s beside %s", part, name, file)
		}
	}
	return nil
}

func TestGuarantees(t *testing.T) {
	page, err := os.ReadFile("../docs/guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	sentences, wrong := checkGuarantees(string(page), "../docs")
	for _, w := range wrong {
		t.Error("docs/guarantees.md, " + w)
	}
	if sentences < 20 {
		t.Errorf("docs/guarantees.md has %d promises; is it being read?", sentences)
	}
}

// TestGuaranteesChecker: a page without proof is refused.
func TestGuaranteesChecker(t *testing.T) {
	for _, row := range []struct{ page, wrong string }{
		{"Intro without proof.\n\n## A\n\n- It works. [`TestGuarantees`](../tests/guarantees_test.go)\n", ""},
		{"## A\n\n- It works,\n  and how. [`TestLab/3B`](../tests/lab_all_test.go)\n", ""},
		{"## A\n\n- It works.\n", "no test proves"},
		{"## A\n\nIt works.\n", "outside the list"},
		{"## A\n\n- It works. It flies. [`TestGuarantees`](../tests/guarantees_test.go)\n", "one sentence"},
		{"## A\n\n- It works. [`TestNothing`](../tests/guarantees_test.go)\n", "has no TestNothing"},
		{"## A\n\n- It works. [`TestGuarantees`](../tests/nowhere_test.go)\n", "no such file"},
		{"## A\n\n- It works. [`TestLab/9Z`](../tests/lab_all_test.go)\n", `no subtest "9Z"`},
	} {
		_, wrong := checkGuarantees(row.page, "../docs")
		if got := strings.Join(wrong, "; "); (row.wrong == "") != (got == "") || !strings.Contains(got, row.wrong) {
			t.Errorf("%q: %q; want %q", row.page, got, row.wrong)
		}
	}
}
