package kv

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func put(key, value string) *Command {
	return &Command{Op: OpPut, Key: []byte(key), Value: []byte(value)}
}
func add(key, value string) *Command {
	return &Command{Op: OpAppend, Key: []byte(key), Value: []byte(value)}
}
func del(key string) *Command { return &Command{Op: OpDelete, Key: []byte(key)} }
func cas(key, value string, revision uint64) *Command {
	return &Command{Op: OpCompareAndSwap, Key: []byte(key), Value: []byte(value), Revision: revision}
}

// execute runs one command as a replica would.
func execute(s *Store, c *Command) (WriteResult, error) {
	return ParseResult(s.Execute(0, c.Append(nil), nil), c)
}

func TestStore(t *testing.T) {
	type step struct {
		command *Command
		want    string // revision: create/mod/version, or the error
	}
	steps := []step{
		{put("a", "1"), "1: 1/1/1"},
		{put("a", "1"), "2: 1/2/2"}, // the same value is a change too
		{add("a", "23"), "3: 1/3/3"},
		{add("b", ""), "4: 4/4/1"},
		{del("c"), "4: missing"}, // nothing changed: the revision stays
		{cas("c", "x", 0), "5: 5/5/1"},
		{cas("c", "y", 0), "conflict at 5"},
		{cas("c", "y", 4), "conflict at 5"},
		{cas("c", "y", 5), "6: 5/6/2"},
		{cas("d", "y", 1), "conflict at 0"},
		{del("c"), "7: 5/6/2"}, // what it was
		{del("c"), "7: missing"},
		{cas("c", "z", 6), "conflict at 0"},
		{put("c", "new"), "8: 8/8/1"}, // a new life begins at version 1
		{put("", "x"), ErrEmptyKey.Error()},
	}
	s := NewStore()
	for i, st := range steps {
		r, err := execute(s, st.command)
		got := fmt.Sprintf("%d: %d/%d/%d", r.Revision, r.CreateRevision, r.ModRevision, r.Version)
		var conflict *ConflictError
		switch {
		case errors.As(err, &conflict):
			got = fmt.Sprintf("conflict at %d", conflict.Actual)
		case err != nil:
			got = err.Error()
		case !r.Found:
			got = fmt.Sprintf("%d: missing", r.Revision)
		}
		if got != st.want {
			t.Errorf("step %d: %v %q: %q, want %q", i, st.command.Op, st.command.Key, got, st.want)
		}
	}
	if kv, ok := s.Get([]byte("a")); !ok || string(kv.Value) != "123" || kv.CreateRevision != 1 || kv.ModRevision != 3 || kv.Version != 3 || string(kv.Key) != "a" {
		t.Errorf("a is %+v, %v", kv, ok)
	}
	if _, ok := s.Get([]byte("d")); ok {
		t.Error("d exists")
	}
}

// TestStoreLimits: what is one above a limit is refused before the log and, should
// a log hold it all the same, when applied, naming the limit and changing nothing.
func TestStoreLimits(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	for name, c := range map[string]struct {
		command *Command
		what    string // "" if within limits
		size    uint64
	}{
		"longest key":        {put(long(MaxKeyBytes), "v"), "", 0},
		"key too long":       {put(long(MaxKeyBytes+1), "v"), "key", MaxKeyBytes + 1},
		"deleting such a":    {del(long(MaxKeyBytes + 1)), "key", MaxKeyBytes + 1},
		"longest value":      {put("k", long(MaxValueBytes)), "", 0},
		"value too long":     {put("k", long(MaxValueBytes+1)), "value", MaxValueBytes + 1},
		"swap of such a":     {cas("k", long(MaxValueBytes+1), 0), "value", MaxValueBytes + 1},
		"append of such a":   {add("k", long(MaxValueBytes+1)), "value", MaxValueBytes + 1},
		"append up to limit": {add("half", long(MaxValueBytes/2)), "", 0},
	} {
		s := NewStore()
		execute(s, put("half", long(MaxValueBytes/2)))
		hash := s.Hash()
		_, applied := execute(s, c.command)
		for _, err := range []error{c.command.check(), applied} {
			var limit *LimitError
			if c.what == "" && err != nil || c.what != "" && !errors.As(err, &limit) {
				t.Errorf("%s: %v", name, err)
			} else if c.what != "" && (limit.What != c.what || limit.Size != c.size) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if refused := s.Hash() == hash; refused != (c.what != "") {
			t.Errorf("%s: the store changed: %v", name, !refused)
		}
	}
	s := NewStore()
	execute(s, put("half", long(MaxValueBytes/2)))
	hash := s.Hash()
	var limit *LimitError
	if _, err := execute(s, add("half", long(MaxValueBytes/2+1))); !errors.As(err, &limit) || limit.Size != MaxValueBytes+1 || s.Hash() != hash {
		t.Errorf("append beyond the limit: %v", err)
	}
}

func TestList(t *testing.T) {
	s := NewStore()
	for _, key := range []string{"a", "ab", "abc", "abd", "b", "a\x00", "\xff\xff", "zz"} {
		execute(s, put(key, "v"+key))
	}
	for _, c := range []struct {
		prefix, after string
		limit         int
		want          string
		more          bool
	}{
		{"", "", 0, "a a\x00 ab abc abd b zz \xff\xff", false},
		{"ab", "", 0, "ab abc abd", false},
		{"ab", "", 2, "ab abc", true},
		{"ab", "", 3, "ab abc abd", false},
		{"ab", "abc", 2, "abd", false},
		{"ab", "a", 1, "ab", true},
		{"ab", "b", 0, "", false},
		{"a", "a", 1, "a\x00", true},
		{"", "zz", 0, "\xff\xff", false},
		{"\xff", "", 0, "\xff\xff", false},
		{"abcd", "", 0, "", false},
	} {
		items, more := s.List([]byte(c.prefix), []byte(c.after), c.limit)
		var keys []string
		for _, item := range items {
			keys = append(keys, string(item.Key))
			if string(item.Value) != "v"+string(item.Key) {
				t.Errorf("%q has value %q", item.Key, item.Value)
			}
		}
		if got := strings.Join(keys, " "); got != c.want || more != c.more {
			t.Errorf("list %q after %q limit %d: %q %v, want %q %v", c.prefix, c.after, c.limit, got, more, c.want, c.more)
		}
	}
}

func TestListBounds(t *testing.T) {
	s := NewStore()
	for i := range MaxListItems + 10 {
		execute(s, put(fmt.Sprintf("small/%05d", i), ""))
	}
	for i := range 4 {
		execute(s, put(fmt.Sprintf("large/%d", i), strings.Repeat("x", MaxListBytes*4/10)))
	}
	execute(s, put("whole", strings.Repeat("x", MaxValueBytes)))
	execute(s, put("whole2", "x"))
	if items, more := s.List([]byte("small/"), nil, MaxListItems+10); len(items) != MaxListItems || !more {
		t.Errorf("%d small items, more %v; want %d, true", len(items), more, MaxListItems)
	}
	if items, more := s.List([]byte("large/"), nil, 0); len(items) != 2 || !more {
		t.Errorf("%d large items, more %v; want 2, true", len(items), more)
	}
	if items, more := s.List([]byte("whole"), nil, 0); len(items) != 1 || !more {
		t.Errorf("%d items, more %v; want the one that fills the answer, true", len(items), more)
	}
}

// TestView: a view stays as it was while the store goes on, also for readers in
// other goroutines.
func TestView(t *testing.T) {
	s := NewStore()
	for i := range 500 {
		execute(s, put(fmt.Sprintf("%04d", i), "old"))
	}
	view := s.View()
	done := make(chan int)
	for range 2 {
		go func() {
			wrong := 0
			for range 30 {
				for after := []byte(nil); ; {
					items, more := view.List(nil, after, 100)
					for _, item := range items {
						if string(item.Value) != "old" {
							wrong++
						}
					}
					if !more {
						break
					}
					after = items[len(items)-1].Key
				}
			}
			done <- wrong
		}()
	}
	for i := range 2000 {
		execute(s, add(fmt.Sprintf("%04d", i%700), "new"))
		if i%3 == 0 {
			execute(s, del(fmt.Sprintf("%04d", i%500)))
		}
		if i%100 == 0 {
			s.View()
		}
	}
	for range 2 {
		if wrong := <-done; wrong != 0 {
			t.Errorf("%d items of the view changed", wrong)
		}
	}
	if view.Revision() != 500 || view.Len() != 500 {
		t.Errorf("the view is at revision %d with %d keys", view.Revision(), view.Len())
	}
}

// storeTwin is a store in the simplest form.
type storeTwin struct {
	items    map[string]KeyValue
	revision uint64
}

func (w *storeTwin) execute(c *Command) {
	key := string(c.Key)
	old, found := w.items[key]
	switch {
	case c.Op == OpDelete && found:
		w.revision++
		delete(w.items, key)
		return
	case c.Op == OpDelete, c.Op == OpCompareAndSwap && old.ModRevision != c.Revision:
		return
	}
	w.revision++
	if !found {
		old.CreateRevision = w.revision
	}
	value := c.Value
	if c.Op == OpAppend {
		value = slices.Concat(old.Value, value)
	}
	w.items[key] = KeyValue{c.Key, value, old.CreateRevision, w.revision, old.Version + 1}
}

func randomCommand(random *rand.Rand, revision uint64) *Command {
	key := fmt.Sprintf("k%d", random.IntN(30))
	value := strings.Repeat("v", random.IntN(4)) + fmt.Sprint(random.IntN(100))
	switch random.IntN(6) {
	case 0:
		return del(key)
	case 1, 2:
		return cas(key, value, uint64(random.Int64N(int64(min(revision, 10))+1))*(1+revision/10))
	case 3:
		return add(key, value)
	}
	return put(key, value)
}

func TestStoreAgainstTwin(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 3))
		s, w := NewStore(), &storeTwin{items: map[string]KeyValue{}}
		for range 600 {
			c := randomCommand(random, s.Revision())
			if old, ok := w.items[string(c.Key)]; ok && c.Op == OpCompareAndSwap && random.IntN(2) == 0 {
				c.Revision = old.ModRevision
			}
			execute(s, c)
			w.execute(c)
			got, ok := s.Get(c.Key)
			want, exists := w.items[string(c.Key)]
			if ok != exists || ok && (!bytes.Equal(got.Value, want.Value) || got.CreateRevision != want.CreateRevision ||
				got.ModRevision != want.ModRevision || got.Version != want.Version) || s.Revision() != w.revision || s.Len() != len(w.items) {
				t.Fatalf("seed %d: after %v %q: %+v at %d, the twin: %+v at %d", seed, c.Op, c.Key, got, s.Revision(), want, w.revision)
			}
		}
		// The sum kept up to date command by command is what a walk finds.
		sum := uint64(0)
		s.items.Scan(func(key string, it *item) bool {
			sum += s.hash(key, it)
			return true
		})
		if sum != s.sum {
			t.Fatalf("seed %d: sum %x, its items %x", seed, s.sum, sum)
		}
	}
}

// TestStoreHash: the hash is of the contents, however they came about, and of all
// of them; and it is the same in every process.
func TestStoreHash(t *testing.T) {
	build := func(commands ...*Command) uint64 {
		s := NewStore()
		for _, c := range commands {
			execute(s, c)
		}
		return s.Hash()
	}
	base := build(put("a", "1"), put("b", "2"))
	if got := build(put("a", "1"), cas("b", "2", 0)); got != base {
		t.Error("the same contents by another command give another hash")
	}
	for name, commands := range map[string][]*Command{
		"value":                 {put("a", "1"), put("b", "3")},
		"key":                   {put("a", "1"), put("c", "2")},
		"border of key, value":  {put("a", "1"), put("b2", "")},
		"revisions":             {put("b", "2"), put("a", "1")},
		"version and revisions": {put("a", "1"), put("b", "2"), put("b", "2")},
		"missing key":           {put("a", "1")},
		"revision alone":        {put("a", "1"), put("b", "2"), put("c", "3"), del("c")},
	} {
		if build(commands...) == base {
			t.Errorf("%s: different contents, one hash", name)
		}
	}
	const want = 0x4de6b45cb54e77f
	if base != want {
		t.Errorf("hash of fixed contents is %#x, want %#x", base, uint64(want))
	}
}
