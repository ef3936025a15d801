package script

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"lockstep.example/raft/labrpc"
)

// link reads A->B; either end may be *, any server.
func (r *run) link(word string) (from, to string, err error) {
	left, right, ok := strings.Cut(word, "->")
	if !ok {
		return "", "", fmt.Errorf("%q is no link; a link is 1->2, *->2 or 1->*", word)
	}
	if from, err = r.end(left); err == nil {
		to, err = r.end(right)
	}
	return from, to, err
}

func (r *run) end(word string) (id string, err error) {
	if word == "*" {
		return "", nil
	}
	i, err := r.server(word)
	if err != nil {
		return "", err
	}
	return r.c.ID(i), nil
}

// selector is which messages a hold keeps.
type selector struct {
	from, to string // IDs; empty: any
	kind     string // empty: any
	reply    bool   // empty kind: both ways
	once     bool
}

func (s selector) match(describe func(*labrpc.Message) (string, string)) labrpc.Match {
	m := labrpc.Match{From: s.from, To: s.to}
	if s.kind != "" {
		m.Kind = labrpc.Request
		if s.reply {
			m.Kind = labrpc.Reply
		}
		m.Where = func(m *labrpc.Message) bool {
			kind, _ := describe(m)
			return kind == s.kind
		}
	}
	if s.once {
		m.Nth = 1
	}
	return m
}

func (r *run) selector(words []string) (s selector, err error) {
	if s.from, s.to, err = r.link(words[0]); err != nil {
		return s, err
	}
	rest := words[1:]
	if len(rest) > 0 && rest[0] != "once" {
		s.kind = rest[0]
		if err := checkKind(s.kind); err != nil {
			return s, err
		}
		rest = rest[1:]
	}
	if len(rest) > 0 && rest[0] == "reply" {
		s.reply, rest = true, rest[1:]
	}
	if len(rest) > 0 && rest[0] == "once" {
		s.once, rest = true, rest[1:]
	}
	if len(rest) > 0 {
		return s, fmt.Errorf("%q means nothing here; usage: %s", rest[0], verbs["hold"].usage)
	}
	return s, nil
}

func runHold(r *run, args []string) error {
	s, err := r.selector(args)
	if err != nil {
		return err
	}
	called := strings.Join(args, " ")
	if slices.ContainsFunc(r.holds, func(h namedHold) bool { return h.name == called }) {
		return fmt.Errorf("%q is held already", called)
	}
	r.holds = append(r.holds, namedHold{called, r.c.Net.Hold(s.match(r.adapter.Describe))})
	return nil
}

// endHolds takes out the hold that is named, or all.
func (r *run) endHolds(args []string) ([]namedHold, error) {
	if len(args) == 0 {
		all := r.holds
		r.holds = nil
		return all, nil
	}
	i, err := r.findHold(args)
	if err != nil {
		return nil, err
	}
	h := r.holds[i]
	r.holds = slices.Delete(r.holds, i, i+1)
	return []namedHold{h}, nil
}

func (r *run) findHold(args []string) (int, error) {
	called := strings.Join(args, " ")
	i := slices.IndexFunc(r.holds, func(h namedHold) bool { return h.name == called })
	if i < 0 {
		return 0, fmt.Errorf("%q is not held; name it as in its hold command", called)
	}
	return i, nil
}

func runRelease(r *run, args []string) error {
	ended, err := r.endHolds(args)
	for _, h := range ended {
		h.Release()
	}
	return err
}

func runDrop(r *run, args []string) error {
	ended, err := r.endHolds(args)
	for _, h := range ended {
		h.Drop()
	}
	return err
}

func runPass(r *run, args []string) error {
	i, err := r.findHold(args)
	if err != nil {
		return err
	}
	held := r.holds[i].Held()
	if len(held) == 0 {
		return fmt.Errorf("%q has caught no message", r.holds[i].name)
	}
	r.holds[i].ReleaseThis(slices.MinFunc(held, r.earlier))
	return nil
}

// earlier orders held messages by when they were sent; of one instant, by text.
func (r *run) earlier(a, b *labrpc.Message) int {
	return cmp.Or(a.Sent.Compare(b.Sent), cmp.Compare(r.line(a), r.line(b)))
}

func (r *run) line(m *labrpc.Message) string {
	kind, text := r.adapter.Describe(m)
	return line(m, kind, text)
}

func runHeld(r *run, _ []string) error {
	for _, h := range r.holds {
		r.report("hold %s:", h.name)
		for _, m := range slices.SortedFunc(slices.Values(h.Held()), r.earlier) {
			r.report("  %s", r.line(m))
		}
	}
	return nil
}

func runCut(r *run, args []string) error     { return r.setCut(args[0], r.c.Net.Cut) }
func runRestore(r *run, args []string) error { return r.setCut(args[0], r.c.Net.Restore) }

func (r *run) setCut(word string, set func(from, to string)) error {
	from, to, err := r.link(word)
	if err != nil {
		return err
	}
	for i := range r.c.N {
		for k := range r.c.N {
			a, b := r.c.ID(i), r.c.ID(k)
			if i != k && (from == "" || from == a) && (to == "" || to == b) {
				set(a, b)
			}
		}
	}
	return nil
}

// runPartition splits the servers: partition 1,2 3,4,5. Those in no group are
// alone together.
func runPartition(r *run, args []string) error {
	var groups [][]string
	seen := map[string]bool{}
	for _, arg := range args {
		var group []string
		for word := range strings.SplitSeq(arg, ",") {
			i, err := r.server(word)
			if err != nil {
				return err
			}
			if seen[r.c.ID(i)] {
				return fmt.Errorf("server %d is in two groups", i+1)
			}
			seen[r.c.ID(i)] = true
			group = append(group, r.c.ID(i))
		}
		groups = append(groups, group)
	}
	r.c.Net.Partition(groups...)
	return nil
}

func runHeal(r *run, _ []string) error {
	r.c.Net.Heal()
	return nil
}

// runSend speaks for a server that is down.
func runSend(r *run, args []string) error {
	left, right, ok := strings.Cut(args[0], "->")
	if !ok {
		return fmt.Errorf("%q is no link from one server to another", args[0])
	}
	from, err := r.down(left)
	if err != nil {
		return fmt.Errorf("%v; only for a server that is down messages can be forged", err)
	}
	to, err := r.up(right)
	if err != nil {
		return err
	}
	if err := checkKind(args[1]); err != nil {
		return err
	}
	fields, err := parseFields(args[2:])
	if err != nil {
		return err
	}
	method, message, reply, err := r.adapter.Compose(args[1], r.c.ID(from), r.c.ID(to), fields)
	if err != nil {
		return err
	}
	if r.stubs[from] == nil {
		r.stubs[from] = r.c.Net.Endpoint(r.c.ID(from))
		r.w.servers[from].forge()
	}
	r.stubs[from].Call(r.c.ID(to), method, message, reply, noDeadline, func(error) {})
	return nil
}
