// Package history records what clients of a key-value store asked and were told,
// and judges whether one store that does one thing at a time could have answered
// so: linearizability, of values and of revisions.
//
// A Recorder is told of each operation when it begins and when it ends; Check
// judges what it has.
//
//	r := history.New()
//	clerk := r.Clerk(1, kvClerk) // records whatever is done through it
//	...
//	if err := r.Check(history.Steps).Err(); err != nil {
//		t.Error(err)
//	}
//
// An operation that never ended, or whose outcome is unknown, stays open: it may
// take effect at any time after it began, or never. One that certainly was not
// executed is left out, so a trace of it that anyone sees is a violation. What the
// store does not tell is Untold and not judged; what the rest of the history says
// of it is.
//
// The search for an order is bounded in steps, not in time, so that a verdict is
// the same in a synctest bubble, under wasip1 and on a slow machine. A search that
// reaches the bound is Undecided, which is a failure too: keep to about five
// clients a key, and some thousand operations.
//
// With LOCKSTEP_VISUALIZE set to a directory, a violation is drawn there as an
// HTML page.
package history
