package microscope

import (
	"maps"
	"regexp"
	"slices"
	"testing"
)

// A schedule is printed and read again without loss.
func TestSchedulesCanBeWritten(t *testing.T) {
	every := append(slices.Clone(stories), sampled...)
	for _, story := range every {
		for at, s := range story.steps {
			for _, other := range []step{s, {verb: lose, channel: channel{1, 0, "beat", true}, nth: 3}, {verb: skip}} {
				written := schedule{story, []deviation{{at, other}, {at + 2, s}}}
				got, err := parseSchedule(written.String(), every)
				if err != nil || got.String() != written.String() || !slices.Equal(got.deviations, written.deviations) {
					t.Fatalf("%q is read as %q, %v", written, got, err)
				}
			}
		}
	}
	for _, bad := range []string{"", "Nothing", "L7StepDown; read 0", "L7StepDown; 3 red 0", "L7StepDown; 3 0>x beat", "L7StepDown; 3 0>1 beat 0", "L7StepDown; 3 pass 1"} {
		if got, err := parseSchedule(bad, stories); err == nil {
			t.Errorf("%q is read as %q", bad, got)
		}
	}
}

// Steps at different servers lead to one state in either order; at one server, or
// when a write is applied before a read begins, they do not.
func TestWhatCommutes(t *testing.T) {
	for _, c := range []struct {
		about string
		story *story
		at    int
		a, b  string
		same  bool
	}{
		{"messages to two servers", tell("a", "", "read 0"), 1, "0>1 beat 1", "0>2 beat 1", true},
		{"a message and its answer", tell("a", "", "read 0", "0>1 beat"), 2, "0>2 beat 1", "1>0 beat' 1", true},
		{"two answers to one server", tell("a", "", "read 0", "0>1 beat", "0>2 beat"), 3, "1>0 beat' 1", "2>0 beat' 1", false},
		{"reads of two servers", tell("a", "", "read 0"), 1, "read 1", "read 2", true},
		{"a write is applied, a read begins elsewhere", tell("a", "", "write 0", "0>1 append"), 2, "1>0 append' 1", "read 2", false},
	} {
		ends := map[uint64]bool{}
		for _, order := range [][]string{{c.a, c.b}, {c.b, c.a}} {
			s := schedule{story: c.story}
			for i, text := range order {
				taken, err := parseStep(text)
				if err != nil {
					t.Fatal(err)
				}
				s.deviations = append(s.deviations, deviation{c.at + i, taken})
			}
			o := run(t, s, manner{choices: true, from: c.at + 2})
			if o.err != nil || o.strayed || len(o.points) != 1 {
				t.Fatalf("%s: %v, strayed %v, %d points", c.about, o.err, o.strayed, len(o.points))
			}
			ends[o.points[0].key] = true
		}
		if same := len(ends) == 1; same != c.same {
			t.Errorf("%s: one state in either order: %v", c.about, same)
		}
	}
}

// What a read sees that was let go by the very answer that committed a write is
// for the scheduler to say: both are right.
var sawWhat = regexp.MustCompile(`saw \d+`)

// Pruning must lose nothing: with and without it, the runs of a search come to the
// same ends. The order of goroutines within one step is the scheduler's, so an end
// may be rare: one that only the whole search came to counts if it comes there
// again, and no search with pruning comes there in three.
func TestPruningLosesNothing(t *testing.T) {
	short := tell("short", "", "write 0", "0>1 append", "1>0 append'")
	ends := func(prune bool) (map[string]bool, int) {
		seen, visited, runs := map[string]bool{}, map[uint64]int{}, 0
		var explore func(from schedule, left int)
		explore = func(from schedule, left int) {
			first := 0
			if n := len(from.deviations); n > 0 {
				first = from.deviations[n-1].at + 1
			}
			o := run(t, from, manner{choices: true, from: first})
			if o.err != nil || o.strayed {
				t.Fatalf("%v: %v, strayed %v", from, o.err, o.strayed)
			}
			runs++
			seen[sawWhat.ReplaceAllString(o.end, "answered")] = true
			for _, p := range o.points {
				visited[p.key] = max(visited[p.key], left+1)
			}
			for i, p := range o.points {
				for _, c := range p.choices {
					if left > 0 && !(prune && visited[c.key] >= left) {
						explore(schedule{short, append(slices.Clone(from.deviations), deviation{first + i, c.step})}, left-1)
					}
				}
			}
		}
		explore(schedule{story: short}, 2)
		return seen, runs
	}
	all, runs := ends(false)
	some, fewer := ends(true)
	lost := func() bool {
		return slices.ContainsFunc(slices.Collect(maps.Keys(all)), func(end string) bool { return !some[end] })
	}
	for again := 0; again < 2 && lost(); again++ {
		more, _ := ends(true)
		maps.Copy(some, more)
		whole, _ := ends(false)
		maps.DeleteFunc(all, func(end string, _ bool) bool { return !whole[end] })
	}
	if lost() {
		t.Errorf("%d ends without pruning, %d with it", len(all), len(some))
		for end := range all {
			if !some[end] {
				t.Errorf("only without: %s", end)
			}
		}
	}
	if fewer >= runs || len(all) < 5 {
		t.Errorf("%d runs without pruning, %d with it, %d ends: nothing is shown", runs, fewer, len(all))
	}
	t.Logf("%d runs, %d with pruning, %d different ends", runs, fewer, len(all))
}
