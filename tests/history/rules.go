package history

import (
	"cmp"
	"fmt"
	"slices"
)

// Rules that hold over the whole store, whatever the key, and cost next to
// nothing: they look at revisions alone. An answer without the store's revision is
// passed over: its mod revision may be a count of that key's own.

// checkRules returns the first breach it finds, or nil.
func checkRules(ops []Operation) *Report {
	if r := oneChangeARevision(ops); r != nil {
		return r
	}
	return revisionsInOrder(ops)
}

// changed returns the revision of the store that a change was told to have made;
// ok is false if nothing was changed, or not told.
func (op *Operation) changed() (revision uint64, ok bool) {
	a := &op.Answer
	if a.Outcome != Done || op.Call.Kind == Get || op.Call.Kind == Delete && !a.Found {
		return 0, false
	}
	return a.Revision, a.Revision != Untold
}

// oneChangeARevision: a revision names one change of one key, so no two
// acknowledged changes have it, and all who saw a key with that mod revision saw
// the same.
func oneChangeARevision(ops []Operation) *Report {
	changes := map[uint64]*Operation{}
	for i := range ops {
		op := &ops[i]
		revision, ok := op.changed()
		if !ok {
			continue
		}
		if other := changes[revision]; other != nil {
			return breach("two changes were acknowledged with the same revision", other, op)
		}
		changes[revision] = op
	}
	seen := map[uint64]*Operation{}
	for i := range ops {
		op := &ops[i]
		a := &op.Answer
		if op.Call.Kind != Get || a.Outcome != Done || !a.Found || a.ModRevision == Untold || a.Revision == Untold {
			continue
		}
		revision := a.ModRevision
		if change := changes[revision]; change != nil {
			wrote := change.Call.Value
			if change.Call.Kind == Append {
				wrote = a.Value // its end at most, which the model looks at
			}
			if change.Call.Key != op.Call.Key || change.Call.Kind == Delete || wrote != a.Value {
				return breach("a read tells a revision that is another change's", change, op)
			}
		}
		other := seen[revision]
		if other != nil && (other.Call.Key != op.Call.Key || other.Answer.Value != a.Value ||
			differ(other.Answer.CreateRevision, a.CreateRevision) || differ(other.Answer.Version, a.Version)) {
			return breach("two reads tell different things of the same revision", other, op)
		}
		seen[revision] = op
	}
	return nil
}

func differ(a, b uint64) bool { return a != b && a != Untold && b != Untold }

// revisionsInOrder: what ended before another operation began, of whatever key,
// tells a store revision no higher than the other does; and a lower one, if the
// other is a change.
func revisionsInOrder(ops []Operation) *Report {
	type moment struct {
		at    int64
		op    *Operation
		begin bool
	}
	var moments []moment
	for i := range ops {
		op := &ops[i]
		if op.Answer.Outcome != Done && op.Answer.Outcome != Conflict || op.Answer.Revision == Untold {
			continue
		}
		moments = append(moments, moment{op.begin, op, true}, moment{op.end, op, false})
	}
	slices.SortFunc(moments, func(a, b moment) int { return cmp.Compare(a.at, b.at) })
	var highest *Operation // of those that ended
	before := map[*Operation]*Operation{}
	for _, m := range moments {
		if m.begin {
			before[m.op] = highest
			continue
		}
		if earlier := before[m.op]; earlier != nil {
			_, change := m.op.changed()
			switch now, then := m.op.Answer.Revision, earlier.Answer.Revision; {
			case now < then:
				return breach("the store's revision went back: the first ended before the second began", earlier, m.op)
			case now == then && change:
				return breach("a change did not raise the store's revision: the first ended before the second began", earlier, m.op)
			}
		}
		if highest == nil || m.op.Answer.Revision > highest.Answer.Revision {
			highest = m.op
		}
	}
	return nil
}

func breach(rule string, ops ...*Operation) *Report {
	r := &Report{Verdict: Violated, Rule: rule, culprit: ops[len(ops)-1].begin}
	for _, op := range ops {
		r.Operations = append(r.Operations, *op)
	}
	r.Key = fmt.Sprintf("%q", ops[0].Call.Key)
	if other := ops[len(ops)-1].Call.Key; other != ops[0].Call.Key {
		r.Key += fmt.Sprintf(" and %q", other)
	}
	return r
}
