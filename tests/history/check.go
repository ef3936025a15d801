package history

import (
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/anishathalye/porcupine"
)

// Verdict is what a check came to.
type Verdict uint8

const (
	Linearizable Verdict = iota
	Violated
	Undecided // the search reached its bound
)

// Steps is a bound on the search for one key that takes some seconds to reach.
const Steps = 3_000_000

// Report is a verdict and, unless that is Linearizable, what led to it.
type Report struct {
	Verdict    Verdict
	Rule       string      // what was broken
	Key        string      // quoted
	Operations []Operation // the counter-example, in the order of their beginnings
	Page       string      // the HTML page, if one was written

	before  string // what the key holds before the culprit
	culprit int64  // begin of the operation whose answer cannot be
}

// ErrViolated and ErrUndecided are what Report.Err is, by errors.Is.
var (
	ErrViolated  = errors.New("not linearizable")
	ErrUndecided = errors.New("undecided")
)

// Err returns nil if the history is linearizable, else the whole report.
func (r *Report) Err() error {
	switch r.Verdict {
	case Linearizable:
		return nil
	case Violated:
		return fmt.Errorf("%w: %s", ErrViolated, r)
	}
	return fmt.Errorf("%w: %s", ErrUndecided, r)
}

// Check judges all that was recorded, with at most so many steps a key. It may be
// called while operations are under way: they are open then.
func (r *Recorder) Check(steps int) *Report { return Check(r.Operations(), steps) }

// Check judges operations of a recorder.
//
// Keys are independent once their revisions are: so the rules of the whole store
// come first, then each key by itself. For a key an order is searched that
// respects what came before what and in which each operation, done one after the
// other from an absent key on, tells what it told.
func Check(ops []Operation, steps int) *Report {
	if r := checkRules(ops); r != nil {
		return r
	}
	keys := map[string][]Operation{}
	for _, op := range ops {
		readOnly := op.Call.Kind == Get && op.Answer.Outcome == Open
		if op.Answer.Outcome != NotExecuted && !readOnly {
			keys[op.Call.Key] = append(keys[op.Call.Key], op)
		}
	}
	result := &Report{Verdict: Linearizable}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		switch verdict, _ := search(keys[key], steps, false); verdict {
		case Violated:
			return explain(key, keys[key], ops, steps)
		case Undecided:
			result = undecided(key, keys[key], steps)
		}
	}
	return result
}

var seed = maphash.MakeSeed()

// model makes porcupine's of ours. Once the budget is used up no step succeeds any
// more, which ends the search soon; its verdict is void then.
func model(budget *int) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return state{} },
		Step: func(s, call, answer any) (bool, any) {
			if *budget--; *budget < 0 {
				return false, s
			}
			next, ok := s.(state).step(call.(Call), answer.(Answer))
			return ok, next
		},
		Hash: func(s any) uint64 { return maphash.Comparable(seed, s.(state)) },
		DescribeOperation: func(call, answer any) string {
			return call.(Call).String() + " -> " + answer.(Answer).describe(call.(Call))
		},
		DescribeState: func(s any) string { return s.(state).String() },
	}
}

// search looks for an order of the operations of one key.
func search(ops []Operation, steps int, info bool) (Verdict, porcupine.LinearizationInfo) {
	history := make([]porcupine.Operation, len(ops))
	for i, op := range ops {
		history[i] = porcupine.Operation{ClientId: op.Client, Input: op.Call, Call: op.begin, Output: op.Answer, Return: op.end}
		if op.Answer.Outcome == Open {
			history[i].Return = math.MaxInt64 // never
		}
	}
	budget := steps
	m := model(&budget)
	var result porcupine.CheckResult
	var found porcupine.LinearizationInfo
	if info {
		result, found = porcupine.CheckOperationsVerbose(m, history, 0)
	} else {
		result = porcupine.CheckOperationsTimeout(m, history, 0)
	}
	switch {
	case result == porcupine.Ok:
		return Linearizable, found
	case budget < 0:
		return Undecided, found
	}
	return Violated, found
}

// until returns a history as it stood at a moment: what had not ended is open.
func until(ops []Operation, moment int64) []Operation {
	var early []Operation
	for _, op := range ops {
		if op.begin > moment {
			continue
		}
		if op.end > moment && op.Answer.Outcome != Open {
			if op.Call.Kind == Get {
				continue
			}
			op.Answer, op.end = Answer{}, 0
		}
		early = append(early, op)
	}
	return early
}

// explain finds the counter-example of a key. Whatever was not linearizable at
// one moment is not later either, so the first answer that no order explains can
// be found by halving.
func explain(key string, ops, all []Operation, steps int) *Report {
	var ends []int64
	for _, op := range ops {
		if op.Answer.Outcome != Open {
			ends = append(ends, op.end)
		}
	}
	slices.Sort(ends)
	first, _ := slices.BinarySearchFunc(ends, Violated, func(end int64, v Verdict) int {
		verdict, _ := search(until(ops, end), steps, false)
		return cmp.Compare(verdict, v)
	})
	first = min(first, len(ends)-1)
	r := &Report{Verdict: Violated, Key: fmt.Sprintf("%q", key), Rule: "no order of these operations explains the answer marked >"}
	r.Operations = until(ops, ends[first])
	for _, op := range r.Operations {
		if op.end == ends[first] {
			r.culprit = op.begin
			r.refused(op, all)
		}
	}
	r.before = lastState(ops, ends, first, steps)
	r.draw(steps)
	return r
}

// refused says so if the culprit read a value that nobody wrote but an operation
// that was certainly not executed.
func (r *Report) refused(culprit Operation, all []Operation) {
	if culprit.Call.Kind != Get || !culprit.Answer.Found {
		return
	}
	var source *Operation
	for i := range all {
		op := &all[i]
		if op.Call.Key != culprit.Call.Key || op.Call.Kind == Get || op.Call.Value != culprit.Answer.Value {
			continue
		}
		if op.Answer.Outcome != NotExecuted {
			return
		}
		source = op
	}
	if source != nil {
		r.Rule = "the answer marked > has the value of an operation that was certainly not executed"
		r.Operations = append(r.Operations, *source)
		slices.SortFunc(r.Operations, func(a, b Operation) int { return cmp.Compare(a.begin, b.begin) })
	}
}

// lastState tells what the key holds after one order of all that can be explained.
// What is open counts as far as an answer needs it.
func lastState(ops []Operation, ends []int64, first, steps int) string {
	if first == 0 {
		return state{}.String()
	}
	verdict, info := search(until(ops, ends[first-1]), steps, true)
	if verdict != Linearizable {
		return ""
	}
	var now, last state
	for _, op := range info.PartialLinearizationsOperations()[0][0] {
		answer := op.Output.(Answer)
		now, _ = now.step(op.Input.(Call), answer)
		if answer.Outcome != Open {
			last = now
		}
	}
	return last.String()
}

// draw writes the counter-example as a page, if the environment asks for it.
func (r *Report) draw(steps int) {
	dir := os.Getenv("LOCKSTEP_VISUALIZE")
	if dir == "" {
		return
	}
	_, info := search(r.Operations, steps, true)
	budget := steps
	file, err := os.CreateTemp(dir, "history-*.html")
	if err == nil {
		err = errors.Join(porcupine.Visualize(model(&budget), info, file), file.Close())
		r.Page = filepath.Clean(file.Name())
	}
	if err != nil {
		r.Page = fmt.Sprintf("(not written: %v)", err)
	}
}

func undecided(key string, ops []Operation, steps int) *Report {
	open := 0
	for _, op := range ops {
		if op.Answer.Outcome == Open {
			open++
		}
	}
	return &Report{
		Verdict: Undecided, Key: fmt.Sprintf("%q", key),
		Rule: fmt.Sprintf("%d steps were too few for its %d operations, %d of them open: use fewer clients a key, or more keys", steps, len(ops), open),
	}
}
