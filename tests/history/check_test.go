package history

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCheck: histories that a store can have told, and ones that it cannot.
func TestCheck(t *testing.T) {
	for _, h := range histories {
		t.Run(h.name, func(t *testing.T) {
			s := script{New()}
			h.write(s)
			report := s.Check(Steps)
			err := report.Err()
			if h.wants == "" {
				if err != nil {
					t.Fatalf("refused:\n%v", err)
				}
				return
			}
			if !errors.Is(err, ErrViolated) {
				t.Fatalf("not refused: %v", err)
			}
			if text := report.String(); !strings.Contains(text, h.wants) || !strings.Contains(text, "\n> ") {
				t.Errorf("refused without a word of %q, or no operation is marked:\n%s", h.wants, text)
			}
		})
	}
}

// TestCounterExample: of a long history the report shows what matters: the first
// answer that cannot be and what was before it, and none of what came later.
func TestCounterExample(t *testing.T) {
	s := script{New()}
	var long *Operation
	for i := range 100 {
		if i == 55 {
			long = s.Begin(3, put("long"))
		}
		v := fmt.Sprint("v", i)
		s.do(1, put(v), done())
		if i == 60 {
			s.do(2, get, value("v58"))
			continue
		}
		s.do(2, get, value(v))
	}
	s.End(long, done())
	dir := t.TempDir()
	t.Setenv("LOCKSTEP_VISUALIZE", dir)
	report := s.Check(Steps)
	text := report.String()
	for _, want := range []string{`key "k"`, `get("k") -> "v58"`, "\n> ", `leads to: "v60"`, `put("k", "v60")`, `put("k", "long") -> unknown`, "(93 earlier operations)"} {
		if !strings.Contains(text, want) {
			t.Errorf("no word of %q in:\n%s", want, text)
		}
	}
	if strings.Contains(text, "v61") || strings.Count(text, "\n") > maxShown+4 {
		t.Errorf("more than the counter-example is told:\n%s", text)
	}
	pages, err := filepath.Glob(filepath.Join(dir, "*.html"))
	if err != nil || len(pages) != 1 || report.Page != pages[0] {
		t.Fatalf("pages %v, the report names %q (%v)", pages, report.Page, err)
	}
	if page, err := os.ReadFile(pages[0]); err != nil || !strings.Contains(string(page), "v58") {
		t.Errorf("the page does not show the read (%v)", err)
	}
}

// TestUndecided: a search that reaches its bound is no proof, and soon over.
func TestUndecided(t *testing.T) {
	s := script{New()}
	for i := range 200 { // in no order do any two of these follow from each other
		s.do(i, app(fmt.Sprint(i, ";")), unknown)
	}
	s.do(1, get, value("nothing like it"))
	report := s.Check(100_000)
	if err := report.Err(); !errors.Is(err, ErrUndecided) || !strings.Contains(err.Error(), `key "k": 100000 steps`) {
		t.Errorf("%v", err)
	}
}

// TestRandomStore: whatever a correct store tells concurrent clients is accepted,
// with every tenth answer lost and every tenth request refused; and not accepted
// once a single answer has another number or value.
func TestRandomStore(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 3))
		s := script{New()}
		simulate(s, random)
		if err := s.Check(Steps).Err(); err != nil {
			t.Fatalf("seed %d: refused:\n%v", seed, err)
		}
		ops := s.Operations()
		i := falsify(ops, random)
		if i >= 0 && Check(ops, Steps).Verdict != Violated {
			t.Fatalf("seed %d: accepted, although %v is false", seed, &ops[i])
		}
	}
}

// simulate has five clients work on two keys of a store that executes each
// operation at one instant between its beginning and its end.
func simulate(s script, random *rand.Rand) {
	type pending struct {
		op     *Operation
		answer Answer
		ran    bool
	}
	store := trueStore{keys: map[string]trueKey{}}
	clients := make([]*pending, 5)
	for i := range 300 {
		c := random.IntN(len(clients))
		p := clients[c]
		switch {
		case p == nil:
			call := Call{Kind: Kind(1 + random.IntN(5)), Key: fmt.Sprint("k", random.IntN(2)), Value: fmt.Sprint("<", i, ">")}
			if call.Kind == CompareAndSwap && random.IntN(4) > 0 {
				call.Revision = store.keys[call.Key].mod
			}
			clients[c] = &pending{op: s.Begin(c, call)}
		case !p.ran:
			if p.ran = true; random.IntN(10) == 0 {
				p.answer = never
			} else {
				p.answer = store.do(p.op.Call)
			}
		default:
			clients[c] = nil
			if random.IntN(10) > 0 || p.op.Call.Kind == Get && p.answer.Outcome == NotExecuted {
				s.End(p.op, p.answer)
			}
		}
	}
}

// trueStore is what the model should be like.
type trueStore struct {
	keys     map[string]trueKey
	revision uint64
}

type trueKey struct {
	value                string
	create, mod, version uint64
}

func (s *trueStore) do(c Call) Answer {
	k, exists := s.keys[c.Key]
	switch c.Kind {
	case Get:
		return Answer{Done, exists, k.value, k.create, k.mod, k.version, s.revision}
	case Delete:
		if exists {
			s.revision++
			delete(s.keys, c.Key)
		}
		return Answer{Done, exists, "", k.create, k.mod, k.version, s.revision}
	case CompareAndSwap:
		if k.mod != c.Revision {
			return conflict(k.mod, s.revision)
		}
	case Append:
		c.Value = k.value + c.Value
	}
	s.revision++
	k.value, k.mod, k.version = c.Value, s.revision, k.version+1
	if !exists {
		k.create = s.revision
	}
	s.keys[c.Key] = k
	return wrote(k.create, k.mod, k.version)
}

// falsify changes one answer so that it cannot be, and returns its place; -1 if
// there is none that is fit for it.
func falsify(ops []Operation, random *rand.Rand) int {
	for range 100 {
		i := random.IntN(len(ops))
		a := &ops[i].Answer
		if a.Outcome != Done || !a.Found {
			continue
		}
		switch random.IntN(4) {
		case 0:
			a.Version += 1000
		case 1:
			a.CreateRevision = a.ModRevision + 1
		case 2:
			a.ModRevision = a.Revision + 1
		default:
			if ops[i].Call.Kind != Get {
				continue
			}
			a.Value += "?"
		}
		return i
	}
	return -1
}
