package history

import (
	"fmt"
	"strings"
)

// maxShown is how many operations of a counter-example are printed: the last.
const maxShown = 30

// String tells the verdict and the counter-example.
func (r *Report) String() string {
	if r.Verdict == Linearizable {
		return "linearizable"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "key %s: %s", r.Key, r.Rule)
	ops := r.Operations
	if len(ops) > maxShown {
		fmt.Fprintf(&b, "\n(%d earlier operations)", len(ops)-maxShown)
		ops = ops[len(ops)-maxShown:]
	}
	for i := range ops {
		mark := ' '
		if ops[i].begin == r.culprit {
			mark = '>'
		}
		fmt.Fprintf(&b, "\n%c %s", mark, ops[i].String())
	}
	if r.before != "" {
		fmt.Fprintf(&b, "\nan order of what was answered before leads to: %s", r.before)
	}
	if r.Page != "" {
		fmt.Fprintf(&b, "\ndrawn in %s", r.Page)
	}
	return b.String()
}

// String is one line: when, who, what, and what came of it.
func (op *Operation) String() string {
	ended := "..."
	if op.end != 0 {
		ended = fmt.Sprintf("%.4f", op.Ended.Seconds())
	}
	return fmt.Sprintf("%9.4f to %9s s  client %-3d %v -> %s", op.Began.Seconds(), ended, op.Client, op.Call, op.Answer.describe(op.Call))
}

// String is the call as a program would make it.
func (c Call) String() string {
	switch c.Kind {
	case Get:
		return fmt.Sprintf("get(%q)", c.Key)
	case Put:
		return fmt.Sprintf("put(%q, %s)", c.Key, short(c.Value))
	case Append:
		return fmt.Sprintf("append(%q, %s)", c.Key, short(c.Value))
	case Delete:
		return fmt.Sprintf("delete(%q)", c.Key)
	case CompareAndSwap:
		return fmt.Sprintf("compareAndSwap(%q, %s, revision %d)", c.Key, short(c.Value), c.Revision)
	}
	return fmt.Sprintf("kind %d of operation", c.Kind)
}

// describe tells an answer to c; what was not told is left out.
func (a Answer) describe(c Call) string {
	var parts []string
	number := func(what string, n uint64) {
		if n != Untold {
			parts = append(parts, fmt.Sprintf("%s %d", what, n))
		}
	}
	exists := true
	switch {
	case a.Outcome == Open:
		return "unknown"
	case a.Outcome == NotExecuted:
		return "certainly not executed"
	case a.Outcome == Conflict:
		parts = append(parts, "conflict")
		number("actual revision", a.ModRevision)
		exists = false
	case (c.Kind == Get || c.Kind == Delete) && !a.Found:
		parts = append(parts, "no such key")
		exists = false
	case c.Kind == Get:
		parts = append(parts, short(a.Value))
	default:
		parts = append(parts, "done")
	}
	if exists {
		number("create", a.CreateRevision)
		number("mod", a.ModRevision)
		number("version", a.Version)
	}
	number("store", a.Revision)
	return strings.Join(parts, ", ")
}

// String tells what is known of the key.
func (s state) String() string {
	if !s.exists {
		return fmt.Sprintf("no such key, store at least %d", s.revision)
	}
	return fmt.Sprintf("%s, create %v, mod %v, version %d, store at least %d", short(s.value), s.create, s.mod, s.version, s.revision)
}

func (s span) String() string {
	switch {
	case s.lo == s.hi:
		return fmt.Sprint(s.lo)
	case s.hi == most:
		return fmt.Sprintf(">=%d", s.lo)
	}
	return fmt.Sprintf("%d..%d", s.lo, s.hi)
}

// short quotes a value, of a long one its end, where appends show.
func short(v string) string {
	const enough = 40
	if len(v) <= enough {
		return fmt.Sprintf("%q", v)
	}
	return fmt.Sprintf("(%d bytes)...%q", len(v), v[len(v)-enough:])
}
