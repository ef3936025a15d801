package history

// script writes a history by hand: begin and end in the order of the calls.
type script struct{ *Recorder }

func (s script) do(client int, c Call, a Answer) { s.End(s.Begin(client, c), a) }

// wrote answers a change of a key that was made at revision create.
func wrote(create, mod, version uint64) Answer {
	return Answer{Done, true, "", create, mod, version, mod}
}

// read answers a get of a key that exists.
func read(value string, create, mod, version, revision uint64) Answer {
	return Answer{Done, true, value, create, mod, version, revision}
}

func absent(revision uint64) Answer { return Answer{Outcome: Done, Revision: revision} }

func deleted(create, mod, version, revision uint64) Answer {
	return Answer{Done, true, "", create, mod, version, revision}
}

func conflict(actual, revision uint64) Answer {
	return Answer{Outcome: Conflict, CreateRevision: Untold, ModRevision: actual, Version: Untold, Revision: revision}
}

// value answers a get of a store that tells values alone.
func value(v string) Answer { return Answer{Done, true, v, Untold, Untold, Untold, Untold} }

// done answers a change of such a store.
func done() Answer { return Answer{Done, true, "", Untold, Untold, Untold, Untold} }

var (
	get     = Call{Kind: Get, Key: "k"}
	del     = Call{Kind: Delete, Key: "k"}
	unknown = Answer{}
	never   = Answer{Outcome: NotExecuted}
)

func put(v string) Call { return Call{Kind: Put, Key: "k", Value: v} }
func app(v string) Call { return Call{Kind: Append, Key: "k", Value: v} }
func cas(v string, revision uint64) Call {
	return Call{CompareAndSwap, "k", v, revision}
}

var histories = []struct {
	name  string
	write func(s script)
	wants string // in the report; empty: linearizable
}{
	{"all kinds in turn", func(s script) {
		s.do(1, get, absent(0))
		s.do(1, put("a"), wrote(1, 1, 1))
		s.do(1, app("b"), wrote(1, 2, 2))
		s.do(1, Call{Kind: Put, Key: "other", Value: "x"}, wrote(3, 3, 1))
		s.do(1, cas("c", 2), wrote(1, 4, 3))
		s.do(1, cas("d", 2), conflict(4, 4))
		s.do(1, get, read("c", 1, 4, 3, 4))
		s.do(1, del, deleted(1, 4, 3, 5))
		s.do(1, del, absent(5))
		s.do(1, cas("e", 5), conflict(0, 5))
		s.do(1, cas("e", 0), wrote(6, 6, 1))
	}, ""},
	{"stale read", func(s script) {
		s.do(1, put("a"), wrote(1, 1, 1))
		s.do(1, put("b"), wrote(1, 2, 2))
		s.do(2, get, read("a", 1, 1, 1, 1))
	}, "went back"},
	{"stale read of a store that tells no revisions", func(s script) {
		s.do(1, put("a"), done())
		s.do(1, put("b"), done())
		s.do(2, get, value("a"))
	}, `get("k") -> "a"`},
	{"a read while a write is under way may see either", func(s script) {
		s.do(1, put("a"), wrote(1, 1, 1))
		w := s.Begin(1, put("b"))
		s.do(2, get, read("a", 1, 1, 1, 1))
		s.do(2, get, read("b", 1, 2, 2, 2))
		s.End(w, wrote(1, 2, 2))
	}, ""},
	{"new, then old again", func(s script) {
		s.do(1, put("a"), done())
		w := s.Begin(1, put("b"))
		s.do(2, get, value("b"))
		s.do(2, get, value("a"))
		s.End(w, done())
	}, `get("k") -> "a"`},
	{"lost write", func(s script) {
		s.do(1, put("a"), wrote(1, 1, 1))
		s.do(1, app("b"), wrote(1, 2, 2))
		s.do(1, app("c"), wrote(1, 3, 2))
	}, "done, create 1, mod 3, version 2"},
	{"lost write that only a read shows", func(s script) {
		s.do(1, put("a"), wrote(1, 1, 1))
		s.do(1, del, absent(1))
	}, `delete("k") -> no such key`},
	{"append twice", func(s script) {
		s.do(1, app("a"), wrote(1, 1, 1))
		s.do(1, get, read("aa", 1, 1, 1, 1))
	}, `-> "aa"`},
	{"unknown append twice", func(s script) {
		s.do(1, put("a"), wrote(1, 1, 1))
		s.do(1, app("b"), unknown)
		s.do(2, get, read("abb", 1, 3, 3, 3))
	}, `-> "abb"`},
	{"put twice", func(s script) {
		s.do(1, put("a"), wrote(1, 1, 1))
		s.do(2, get, read("a", 1, 2, 2, 2))
	}, "version 2"},
	{"unknown put twice", func(s script) {
		s.do(1, put("a"), unknown)
		s.do(2, get, read("a", 1, 2, 2, 2))
	}, "version 2"},
	{"unknown put between two others, seen by its version alone", func(s script) {
		s.do(1, put("a"), wrote(1, 1, 1))
		s.do(2, put("b"), unknown)
		s.do(1, put("c"), wrote(1, 3, 3))
		s.do(1, get, read("c", 1, 3, 3, 3))
	}, ""},
	{"a version that nobody made", func(s script) {
		s.do(1, put("a"), wrote(1, 1, 1))
		s.do(1, put("c"), wrote(1, 3, 3))
	}, "version 3"},
	{"unknown put, never", func(s script) {
		s.do(1, put("a"), wrote(1, 1, 1))
		s.do(2, put("b"), unknown)
		s.do(1, get, read("a", 1, 1, 1, 5))
		s.do(1, put("c"), wrote(1, 6, 2))
	}, ""},
	{"unknown put, late", func(s script) {
		s.do(1, put("a"), wrote(1, 1, 1))
		s.do(2, put("b"), unknown)
		s.do(1, get, read("a", 1, 1, 1, 5))
		s.do(1, get, read("b", 1, 6, 2, 6))
	}, ""},
	{"unknown put below a revision that was told before it", func(s script) {
		s.do(1, put("a"), wrote(1, 1, 1))
		s.do(1, get, read("a", 1, 1, 1, 5))
		s.do(2, put("b"), unknown)
		s.do(1, get, read("b", 1, 4, 2, 6))
	}, "mod 4"},
	{"unknown put takes effect and goes", func(s script) {
		s.do(1, put("a"), wrote(1, 1, 1))
		s.do(2, put("b"), unknown)
		s.do(1, get, read("b", 1, 2, 2, 2))
		s.do(1, get, read("a", 1, 1, 1, 2))
	}, `-> "a"`},
	{"mod revision told twice differently", func(s script) {
		s.do(2, put("b"), unknown)
		s.do(1, get, read("b", 3, 3, 1, 9))
		s.do(1, get, read("b", 4, 4, 1, 9))
	}, "mod 4"},
	{"create revision above what is possible", func(s script) {
		s.do(1, put("a"), unknown)
		s.do(1, put("b"), unknown)
		s.do(1, get, read("b", 5, 5, 2, 9))
	}, "create 5, mod 5, version 2"},
	{"unknown swap", func(s script) {
		s.do(1, put("a"), wrote(1, 1, 1))
		s.do(2, cas("b", 1), unknown)
		s.do(1, get, read("b", 1, 2, 2, 2))
		s.do(1, cas("c", 1), conflict(2, 2))
	}, ""},
	{"unknown swap of another revision", func(s script) {
		s.do(1, put("a"), wrote(1, 1, 1))
		s.do(1, put("b"), wrote(1, 2, 2))
		s.do(2, cas("c", 1), unknown)
		s.do(1, get, read("c", 1, 3, 3, 3))
	}, `-> "c"`},
	{"unknown swap of the revision of an unknown put", func(s script) {
		s.do(1, put("a"), unknown)
		s.do(2, cas("b", 3), unknown)
		s.do(1, get, read("b", 3, 4, 2, 4))
	}, ""},
	{"swap succeeds twice", func(s script) {
		s.do(1, put("a"), wrote(1, 1, 1))
		one, two := s.Begin(1, cas("b", 1)), s.Begin(2, cas("c", 1))
		s.End(one, wrote(1, 2, 2))
		s.End(two, wrote(1, 3, 3))
	}, "compareAndSwap"},
	{"conflict that was none", func(s script) {
		s.do(1, put("a"), wrote(1, 1, 1))
		s.do(1, cas("b", 1), conflict(1, 1))
	}, "conflict"},
	{"conflict with a revision that never was", func(s script) {
		s.do(1, put("a"), wrote(1, 1, 1))
		s.do(1, cas("b", 0), conflict(2, 2))
	}, "actual revision 2"},
	{"conflict with a key that is not there", func(s script) {
		s.do(1, put("a"), wrote(1, 1, 1))
		s.do(1, cas("b", 7), conflict(0, 1))
	}, "actual revision 0"},
	{"untold conflict that was none", func(s script) {
		s.do(1, put("a"), wrote(1, 1, 1))
		s.do(1, cas("b", 1), conflict(Untold, Untold))
	}, "conflict"},
	{"read of a rejected put", func(s script) {
		s.do(1, put("a"), wrote(1, 1, 1))
		s.do(2, put("b"), never)
		s.do(1, get, read("b", 1, 2, 2, 2))
	}, "certainly not executed"},
	{"read of a rejected append", func(s script) {
		s.do(1, put("a"), wrote(1, 1, 1))
		s.do(2, app("b"), never)
		s.do(1, get, read("ab", 1, 2, 2, 2))
	}, `-> "ab"`},
	{"rejected delete that happened", func(s script) {
		s.do(1, put("a"), wrote(1, 1, 1))
		s.do(2, del, never)
		s.do(1, get, absent(2))
	}, "no such key"},
	{"unknown delete", func(s script) {
		s.do(1, put("a"), wrote(1, 1, 1))
		s.do(2, del, unknown)
		s.do(1, get, absent(2))
		s.do(1, put("a"), wrote(3, 3, 1))
	}, ""},
	{"unknown delete takes no revision", func(s script) {
		s.do(1, put("a"), wrote(1, 1, 1))
		s.do(2, del, unknown)
		s.do(1, get, absent(1))
	}, "no such key"},
	{"made again below its deletion", func(s script) {
		s.do(1, put("a"), wrote(1, 1, 1))
		d := s.Begin(2, del)
		p := s.Begin(1, put("b"))
		s.End(p, wrote(2, 2, 1))
		s.End(d, deleted(1, 1, 1, 3))
	}, "no order"},
	{"revision goes back on another key", func(s script) {
		s.do(1, put("a"), wrote(7, 7, 1))
		s.do(1, Call{Kind: Put, Key: "other"}, wrote(3, 3, 1))
	}, "went back"},
	{"one revision for two changes", func(s script) {
		one, two := s.Begin(1, put("a")), s.Begin(2, Call{Kind: Put, Key: "other"})
		s.End(one, wrote(1, 1, 1))
		s.End(two, wrote(1, 1, 1))
	}, "same revision"},
	{"a change that raises nothing", func(s script) {
		s.do(1, put("a"), wrote(1, 1, 1))
		s.do(1, Call{Kind: Get, Key: "other"}, absent(2))
		s.do(1, Call{Kind: Put, Key: "other"}, wrote(2, 2, 1))
	}, "did not raise"},
	{"one revision for two states", func(s script) {
		s.do(1, put("a"), unknown)
		s.do(1, put("b"), unknown)
		one, two := s.Begin(1, get), s.Begin(2, get)
		s.End(one, read("a", 1, 1, 1, 1))
		s.End(two, read("b", 1, 1, 1, 1))
	}, "same revision"},
	{"read of a revision of a deletion", func(s script) {
		s.do(1, put("a"), wrote(1, 1, 1))
		s.do(1, del, deleted(1, 1, 1, 2))
		s.do(1, get, read("a", 1, 2, 1, 2))
	}, "another change's"},
	{"swap of a key that is not there", func(s script) {
		s.do(1, cas("b", 5), wrote(6, 6, 1))
	}, "revision 5"},
	{"swap for a new key of one that is there", func(s script) {
		s.do(1, put("a"), wrote(1, 1, 1))
		s.do(1, cas("b", 0), wrote(1, 2, 2))
	}, "revision 0"},
	{"conflict with a key that never was", func(s script) {
		s.do(1, cas("b", 0), conflict(3, 5))
	}, "actual revision 3"},
	{"untold conflict of a key that is not there", func(s script) {
		s.do(1, cas("b", 0), conflict(Untold, Untold))
	}, "conflict"},
	{"deletion at a revision at which the key was read", func(s script) {
		s.do(1, put("a"), wrote(1, 1, 1))
		one, two := s.Begin(1, get), s.Begin(2, del)
		s.End(one, read("a", 1, 1, 1, 3))
		s.End(two, deleted(1, 1, 1, 3))
	}, "delete"},
	{"version 1 with two revisions", func(s script) {
		s.do(1, put("a"), unknown)
		s.do(1, get, read("a", 2, 3, 1, 3))
	}, "create 2, mod 3"},
	{"create revision above a later one that was told before", func(s script) {
		s.do(1, put("a"), unknown)
		s.do(1, app("b"), done())
		s.do(1, get, value("ab"))
		s.do(1, cas("x", 1), conflict(5, 5))
		s.do(1, put("c"), wrote(5, 7, 3))
	}, "create 5, mod 7"},
	{"deletion too soon after a create revision that was told late", func(s script) {
		s.do(1, put("a"), unknown)
		s.do(1, put("b"), Answer{Done, true, "", 5, Untold, 2, Untold})
		s.do(1, del, Answer{Done, true, "", Untold, Untold, Untold, 6})
	}, "store 6"},
	{"mod revision above a store's revision that was told before", func(s script) {
		s.do(1, put("a"), unknown)
		s.do(1, get, Answer{Done, true, "a", Untold, Untold, Untold, 5})
		s.do(1, get, read("a", 7, 7, 1, 9))
	}, "mod 7"},
	{"mod revisions that count each key by itself", func(s script) {
		one := Answer{Done, true, "", Untold, 1, Untold, Untold}
		s.do(1, put("a"), one)
		s.do(1, Call{Kind: Put, Key: "other", Value: "b"}, one)
		s.do(1, Call{Kind: Get, Key: "other"}, Answer{Done, true, "b", Untold, 1, Untold, Untold})
		s.do(1, get, Answer{Done, true, "a", Untold, 1, Untold, Untold})
	}, ""},
	{"open read", func(s script) {
		s.Begin(1, get)
		s.do(1, put("a"), wrote(1, 1, 1))
	}, ""},
}
