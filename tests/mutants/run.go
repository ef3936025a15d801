package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// result is the verdict on one mutant.
type result struct {
	Mutant  Mutant
	Verdict verdict
	Detail  string // output of the test, if it was not killed
	Took    time.Duration
}

// suite is the tests of one package that are named by mutants.
type suite struct {
	pkg, tags string
	tests     []string
}

func (s suite) title() string {
	if s.tags != "" {
		return s.pkg + " with " + s.tags
	}
	return s.pkg
}

// suites groups what the mutants name.
func suites(list []Mutant) []suite {
	var all []suite
	for _, m := range list {
		if m.Equivalent != "" {
			continue
		}
		at := slices.IndexFunc(all, func(s suite) bool { return s.pkg == m.Package && s.tags == m.Tags })
		if at < 0 {
			at = len(all)
			all = append(all, suite{pkg: m.Package, tags: m.Tags})
		}
		if !slices.Contains(all[at].tests, m.Test) {
			all[at].tests = append(all[at].tests, m.Test)
		}
	}
	return all
}

// baseline runs every named test on the code as it is. Each must run, pass, and
// keep the words of its mutants to itself.
func (m *module) baseline(ctx context.Context, list []Mutant, workers int) []error {
	var mu sync.Mutex
	var wrong []error
	each(suites(list), workers, func(s suite) {
		o, err := m.test(ctx, s.pkg, s.tags, s.tests, nil)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", s.title(), err))
			return
		}
		wrong = append(wrong, sound(s, o, list)...)
	})
	return wrong
}

// sound says what is wrong with the run of one suite on the code as it is.
func sound(s suite, o *outcome, list []Mutant) []error {
	if len(o.tests) == 0 && o.failed {
		return []error{fmt.Errorf("%s does not pass unedited:\n%s", s.title(), indent(o.compileErrors+o.rest.String()))}
	}
	var wrong []error
	for _, test := range s.tests {
		one := o.tests[eventName(test)]
		switch {
		case one == nil || one.ended == "skip":
			wrong = append(wrong, fmt.Errorf("%s in %s: there is no such test, or it was skipped", test, s.title()))
		case one.ended != "pass":
			wrong = append(wrong, fmt.Errorf("%s in %s does not pass unedited:\n%s", test, s.title(), indent(tail(o.output(eventName(test)), 40))))
		}
	}
	for _, m := range list {
		if m.Equivalent == "" && m.Package == s.pkg && m.Tags == s.tags && o.passed(m.Test) &&
			strings.Contains(o.output(eventName(m.Test)), m.Message) {
			wrong = append(wrong, fmt.Errorf("%s: %s prints %q also when it passes", m.title(), m.Test, m.Message))
		}
	}
	return wrong
}

// run gives a verdict on every mutant; done hears of each as it comes.
func (m *module) run(ctx context.Context, list []Mutant, workers int, done func(result)) []result {
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	// Those of one package after one another: they share what is built.
	slices.SortStableFunc(order, func(a, b int) int {
		return strings.Compare(list[a].Tags+" "+list[a].Package, list[b].Tags+" "+list[b].Package)
	})
	var mu sync.Mutex
	results := make([]result, len(list))
	each(order, workers, func(i int) {
		r := m.try(ctx, list[i])
		mu.Lock()
		defer mu.Unlock()
		results[i] = r
		done(r)
	})
	return results
}

// try runs one mutant.
func (m *module) try(ctx context.Context, mutant Mutant) result {
	r := result{Mutant: mutant}
	if mutant.Equivalent != "" {
		r.Verdict = equivalent
		return r
	}
	began := time.Now()
	o, err := m.test(ctx, mutant.Package, mutant.Tags, []string{mutant.Test}, &mutant)
	r.Took = time.Since(began)
	if err != nil {
		r.Verdict, r.Detail = notJudgeable, err.Error()
		return r
	}
	r.Verdict, r.Detail = judge(mutant, o)
	return r
}

// each calls f for every item, by a number of workers.
func each[T any](items []T, workers int, f func(T)) {
	queue := make(chan T)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for item := range queue {
				f(item)
			}
		})
	}
	for _, item := range items {
		queue <- item
	}
	close(queue)
	group.Wait()
}

// tail returns the last lines of a text.
func tail(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
