package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Mutant is an edit of the source that brings an old bug back. A test named for
// its row must see it.
type Mutant struct {
	Row  string // the row of the old bug: "E4"
	Name string // what the edited code does wrong, in a few words
	File string // from the module's root

	// Anchor occurs exactly once in File; Replacement takes its place.
	Anchor, Replacement string

	// Package and Test say which test must fail: Test is an exact test or subtest
	// name with the row in it, "TestE4GrantCountsOnce" or
	// "TestElections/E14Rejoin". Message is a part of what it then prints, and
	// never prints when it passes.
	Package, Test, Message string

	// Tags are build tags that the test needs.
	Tags string

	// Equivalent is why no test can see the edit; such a mutant is not run.
	Equivalent string
}

// mutants returns all of them, in the order of the rows.
func mutants() []Mutant {
	var all []Mutant
	for _, rows := range [][]Mutant{electionRows, replicationRows, readRows, clientRows} {
		all = append(all, rows...)
	}
	return all
}

// maxEquivalent is how many mutants may be excused for being no bug at all.
const maxEquivalent = 3

// check returns everything that is wrong with a list of mutants, given the source
// in dir: a list that no longer fits the code proves nothing.
func check(list []Mutant, dir string) []error {
	var wrong []error
	seen, equivalent := map[string]bool{}, 0
	for _, m := range list {
		if seen[m.title()] {
			wrong = append(wrong, fmt.Errorf("%s: there are two of this name", m.title()))
		}
		seen[m.title()] = true
		if m.Equivalent != "" {
			equivalent++
		}
		if err := m.check(); err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", m.title(), err))
			continue
		}
		if _, err := m.edited(dir); err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", m.title(), err))
		}
	}
	if equivalent > maxEquivalent {
		wrong = append(wrong, fmt.Errorf("%d mutants are said to be equivalent; at most %d may be", equivalent, maxEquivalent))
	}
	return wrong
}

func (m Mutant) title() string { return m.Row + ", " + m.Name }

var rowPattern = regexp.MustCompile(`^[A-Z][0-9]+$`)

// check looks at the mutant alone.
func (m Mutant) check() error {
	switch {
	case !rowPattern.MatchString(m.Row):
		return fmt.Errorf("%q is not the name of a row, as E4 is", m.Row)
	case m.Name == "" || m.File == "" || m.Anchor == "":
		return fmt.Errorf("name, file or anchor is missing")
	case m.Anchor == m.Replacement:
		return fmt.Errorf("the replacement is the anchor")
	case m.Equivalent != "":
		return nil
	case m.Package == "" || m.Message == "":
		return fmt.Errorf("package or message is missing")
	case !namesRow(m.Test, m.Row):
		return fmt.Errorf("test %q does not have %s in its name", m.Test, m.Row)
	}
	return nil
}

// namesRow tells whether a test's name has the row in it; "TestE14Rejoin" is not
// named for E1.
func namesRow(test, row string) bool {
	return regexp.MustCompile(`(^|[^A-Z0-9])` + row + `([^0-9]|$)`).MatchString(test)
}

// edited returns the file with the bug in it.
func (m Mutant) edited(dir string) (string, error) {
	source, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(m.File)))
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(source), m.Anchor); n != 1 {
		return "", fmt.Errorf("the anchor occurs %d times in %s, it must occur once:\n%s", n, m.File, indent(m.Anchor))
	}
	return strings.Replace(string(source), m.Anchor, m.Replacement, 1), nil
}

func indent(text string) string {
	return "\t| " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n\t| ")
}
