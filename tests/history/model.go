package history

// state is what is known of one key at one point of an order of operations. A
// number that nobody told is a span of what it can be: the revision of a write of
// unknown outcome is above all before it, until somebody reads it. The version is
// always known, for it counts.
//
// The revision of the store rises with every change of any key, so in any order
// of the operations of one key the store revisions that they tell never fall, and
// each change has one of its own above all told before.
type state struct {
	exists      bool
	value       string
	create, mod span // of a key that exists
	version     uint64
	revision    uint64 // the store's is at least this
}

// span is a range of numbers, both ends in it.
type span struct{ lo, hi uint64 }

const most = Untold - 1

func (s span) narrow(told uint64) span {
	if told == Untold {
		return s
	}
	return s.meet(span{told, told})
}

func (s span) meet(o span) span { return span{max(s.lo, o.lo), min(s.hi, o.hi)} }

func (s span) empty() bool { return s.lo > s.hi }

// step returns the state after an operation; ok is false if it cannot have been
// answered so.
func (s state) step(c Call, a Answer) (next state, ok bool) {
	switch {
	case a.Outcome == Open:
		return s.open(c), true
	case a.Outcome == Conflict:
		return s.conflict(c, a)
	case c.Kind == Get:
		return s.get(a)
	case c.Kind == Delete:
		return s.delete(a)
	case c.Kind == CompareAndSwap:
		if s, ok = s.swappable(c.Revision); !ok {
			return s, false
		}
	}
	return s.write(c).wrote(a)
}

// open is the state after an operation of unknown outcome that has its effect
// here, if it can have one. One that has none, or never happens, needs no place of
// its own in the order: it can be the last. So this is the only case there is.
func (s state) open(c Call) state {
	switch c.Kind {
	case Delete:
		if s.exists {
			return state{revision: s.revision + 1}
		}
		return s
	case CompareAndSwap:
		swappable, ok := s.swappable(c.Revision)
		if !ok {
			return s
		}
		return swappable.write(c)
	}
	return s.write(c)
}

// swappable is the state if the key has the mod revision that CompareAndSwap
// expects.
func (s state) swappable(expected uint64) (state, bool) {
	if expected == 0 || !s.exists {
		return s, expected == 0 && !s.exists
	}
	return s.tell(Answer{CreateRevision: Untold, ModRevision: expected, Version: Untold})
}

// conflict: nothing changed, and the key did not have the expected revision.
func (s state) conflict(c Call, a Answer) (state, bool) {
	if a.ModRevision == c.Revision {
		return s, false
	}
	if !s.exists {
		if a.ModRevision == Untold && c.Revision == 0 || a.ModRevision != Untold && a.ModRevision != 0 {
			return s, false
		}
		return s.at(a.Revision)
	}
	if a.ModRevision == Untold && s.mod == (span{c.Revision, c.Revision}) {
		return s, false
	}
	s, ok := s.tell(Answer{CreateRevision: Untold, ModRevision: a.ModRevision, Version: Untold})
	if !ok {
		return s, false
	}
	return s.at(a.Revision)
}

func (s state) get(a Answer) (state, bool) {
	if a.Found != s.exists {
		return s, false
	}
	if a.Found {
		var ok bool
		if s, ok = s.tell(a); !ok || a.Value != s.value {
			return s, false
		}
	}
	return s.at(a.Revision)
}

func (s state) delete(a Answer) (state, bool) {
	if a.Found != s.exists {
		return s, false
	}
	if !a.Found {
		return s.at(a.Revision)
	}
	s, ok := s.tell(a)
	if !ok {
		return s, false
	}
	return state{revision: s.revision + 1}.at(a.Revision)
}

// write is the state after a change that told nothing.
func (s state) write(c Call) state {
	next := state{exists: true, value: c.Value, mod: span{s.revision + 1, most}, version: 1, revision: s.revision + 1}
	next.create = next.mod
	if s.exists {
		next.create, next.version = s.create, s.version+1
		if c.Kind == Append {
			next.value = s.value + c.Value
		}
	}
	return next
}

// wrote adds what a change told. Its mod revision is the store's.
func (s state) wrote(a Answer) (state, bool) {
	s.mod = s.mod.narrow(a.Revision)
	return s.tell(a)
}

// tell adds what is said of a key that exists. Each change raised the revision by
// one at least: so create + version - 1 <= mod, and of version 1 the two are one.
func (s state) tell(a Answer) (state, bool) {
	if a.Version != Untold && a.Version != s.version {
		return s, false
	}
	s.create, s.mod = s.create.narrow(a.CreateRevision), s.mod.narrow(a.ModRevision)
	if s.create.empty() || s.mod.empty() {
		return s, false
	}
	changes := s.version - 1
	if s.mod.hi <= changes {
		return s, false
	}
	s.mod = s.mod.meet(span{s.create.lo + changes, most})
	s.create = s.create.meet(span{0, s.mod.hi - changes})
	if changes == 0 {
		s.create = s.create.meet(s.mod)
		s.mod = s.create
	}
	s.revision = max(s.revision, s.mod.lo)
	return s, !s.create.empty() && !s.mod.empty()
}

// at adds the revision of the store, as an operation told it.
func (s state) at(revision uint64) (state, bool) {
	if revision == Untold {
		return s, true
	}
	if revision < s.revision {
		return s, false
	}
	s.revision = revision
	s.mod.hi = min(s.mod.hi, revision) // not below its lower end, which the store's revision was never below
	return s, true
}
