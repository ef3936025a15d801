package tests

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func applies(server string, number, index, term uint64, command string) Event {
	return Event{Kind: Applies, Server: server, Number: number, Index: index, Term: term, Content: command}
}

func holds(server string, index, term, prevTerm uint64, content string) Event {
	return Event{Kind: Holds, Server: server, Index: index, Term: term, PrevTerm: prevTerm, Content: content}
}

// good is a run in which nothing is wrong: s0 leads, s1 restarts, s1 leads.
var good = []Event{
	{Kind: Started, Server: "s0"}, {Kind: Started, Server: "s1"},
	{Kind: Leads, Server: "s0", Term: 2},
	holds("s0", 2, 2, 1, "sentinel"), holds("s0", 3, 2, 2, "command a"),
	applies("s0", 1, 3, 2, "a"),
	{Kind: Acknowledges, Server: "s0", Number: 1, Content: "a"},
	applies("s1", 1, 3, 2, "a"),
	{Kind: Started, Server: "s1"},
	applies("s1", 1, 3, 2, "a"),
	{Kind: Rejects, Server: "s1", Content: "b"},
	{Kind: Leads, Server: "s1", Term: 3},
	holds("s1", 4, 3, 2, "sentinel"), holds("s1", 5, 3, 3, "command c"), holds("s1", 3, 2, 2, "command a"),
	applies("s1", 2, 5, 3, "c"),
	applies("s0", 2, 5, 3, "c"),
}

// TestMonitors adds to the good run one thing that must be seen.
func TestMonitors(t *testing.T) {
	bad := []struct {
		name    string
		events  []Event
		applied map[string]uint64 // in the end; default: two each
		breach  string            // empty: none
	}{
		{"nothing", nil, nil, ""},
		{"the same leader again", []Event{{Kind: Leads, Server: "s1", Term: 3}}, nil, ""},
		{"two leaders in a term", []Event{{Kind: Leads, Server: "s0", Term: 3}}, nil, "two leaders in term 3: s1 and s0"},
		{"another entry of the same term", []Event{holds("s0", 5, 3, 3, "command x")}, nil, `index 5 of term 3 is "command c"`},
		{"another predecessor", []Event{holds("s0", 5, 3, 2, "command c")}, nil, "after term 2 at s0"},
		{"a falling term in the log", []Event{holds("s0", 6, 3, 4, "command d")}, nil, "after an entry of term 4"},
		{"a gap", []Event{applies("s0", 4, 7, 3, "e")}, nil, "s0 applies number 4 after number 2"},
		{"a number twice", []Event{applies("s0", 2, 5, 3, "c")}, nil, "s0 applies number 2 after number 2"},
		{"a falling index", []Event{applies("s0", 3, 5, 3, "d")}, nil, "s0 applies index 5"},
		{"a falling term", []Event{applies("s0", 3, 6, 2, "d")}, nil, "term 2 (number 3) after index 5 of term 3"},
		{"a life that does not begin at 1", []Event{{Kind: Started, Server: "s0"}, applies("s0", 2, 5, 3, "c")}, nil, "after number 0"},
		{"another command", []Event{applies("s0", 3, 6, 3, "d"), applies("s1", 3, 6, 3, "e")}, nil, `s1 applies "e"`},
		{"another term", []Event{applies("s0", 3, 6, 3, "d"), applies("s1", 3, 6, 4, "d")}, nil, "number 3: s0 applied"},
		{"another command after a restart", []Event{{Kind: Started, Server: "s0"}, applies("s0", 1, 3, 2, "z")}, nil, `s0 applies "z"`},
		{"acknowledged elsewhere", []Event{{Kind: Acknowledges, Number: 2, Content: "x"}}, nil, `"x" was acknowledged at number 2, where "c" is applied`},
		{"applied elsewhere", []Event{{Kind: Acknowledges, Number: 3, Content: "x"}, applies("s0", 3, 6, 3, "d")}, nil, "was acknowledged at number 3"},
		{"rejected, then applied", []Event{{Kind: Rejects, Server: "s0", Content: "d"}, applies("s0", 3, 6, 3, "d")}, nil, `s0 rejected "d"`},
		{"applied, then rejected", []Event{{Kind: Rejects, Server: "s0", Content: "c"}}, nil, `s0 rejected "c"`},
		{"acknowledged and lost", []Event{{Kind: Acknowledges, Number: 3, Content: "d"}}, nil, "is applied nowhere"},
		{"one that stays behind", nil, map[string]uint64{"s0": 2, "s1": 1}, "s1 has applied 1 commands in the end"},
		{"one that lost an acknowledged command", nil, map[string]uint64{"s0": 2, "s1": 0}, "s1 has applied 0 commands"},
	}
	for _, test := range bad {
		t.Run(test.name, func(t *testing.T) {
			applied := test.applied
			if applied == nil {
				applied = map[string]uint64{"s0": 2, "s1": 2}
			}
			breaches := observe(append(append([]Event{}, good...), test.events...), applied)
			if got := strings.Join(breaches, "\n"); test.breach == "" && got != "" || !strings.Contains(got, test.breach) {
				t.Errorf("the monitors say %q, expected %q", got, test.breach)
			}
		})
	}
}

// TestEachMonitor: each monitor by itself finds its own kind of breach.
func TestEachMonitor(t *testing.T) {
	tests := []struct {
		monitor Monitor
		events  []Event
	}{
		{&oneLeader{}, []Event{{Kind: Leads, Server: "s0", Term: 3}}},
		{&logMatching{}, []Event{holds("s0", 5, 3, 3, "command x")}},
		{&inOrder{}, []Event{applies("s0", 4, 7, 3, "e")}},
		{&agreement{}, []Event{applies("s1", 2, 5, 3, "x")}},
		{&acknowledged{}, []Event{{Kind: Acknowledges, Number: 2, Content: "x"}}},
	}
	for _, test := range tests {
		for _, e := range good {
			if err := test.monitor.Observe(e); err != nil {
				t.Errorf("%T on a good run: %v", test.monitor, err)
			}
		}
		if test.monitor.Observe(test.events[0]) == nil {
			t.Errorf("%T did not see its breach", test.monitor)
		}
	}
}

func observe(events []Event, applied map[string]uint64) (breaches []string) {
	monitors := Monitors()
	for _, e := range events {
		for _, m := range monitors {
			if err := m.Observe(e); err != nil {
				breaches = append(breaches, err.Error())
			}
		}
	}
	for _, m := range monitors {
		if err := m.Finish(applied); err != nil {
			breaches = append(breaches, err.Error())
		}
	}
	return breaches
}

func TestTimeline(t *testing.T) {
	l := newTimeline()
	for _, e := range good {
		l.add(e)
	}
	l.add(Event{Kind: Noted, What: strings.Repeat("word ", textWidth/5+2)})
	var story []string
	for line := range strings.SplitSeq(l.String(), "\n") {
		story = append(story, strings.Join(strings.Fields(line), " "))
	}
	for _, line := range []string{
		"0.0000 s0 s1 starts",
		"0.0000 s0 leader 2 leads",
		`0.0000 s0 leader 2 3.2-5.3 applies numbers 1 to 2`,
		`0.0000 s1 3.2 applies number 1, "a"`,
		`0.0000 s0 leader 2 the client has seen number 1, "a" applied`,
		"0.0000 s1 3.2-5.3 applies numbers 1 to 2",
		"0.0000 s1 rejects 1 proposals",
		"0.0000" + strings.Repeat(" word", textWidth/5),
		"word word",
	} {
		if !slices.Contains(story, line) {
			t.Errorf("the timeline lacks %q:\n%s", line, strings.Join(story, "\n"))
		}
	}
	for range 2 * maxLines {
		l.add(Event{Kind: Noted, What: "again"})
	}
	const head = 3 // two of the legend, and one that counts the others
	if n := strings.Count(l.String(), "\n"); n != maxLines+head {
		t.Errorf("the timeline has %d lines, the limit is %d", n, maxLines+head)
	}
}

// TestTimelineFolds: lines that say the same become one, unless something of
// their own server or of the scenario lies between them.
func TestTimelineFolds(t *testing.T) {
	note := func(ms time.Duration, server, what string) Event {
		return Event{At: ms * time.Millisecond, Server: server, Kind: Noted, What: what}
	}
	for _, test := range []struct {
		events []Event
		lines  []string
	}{
		{[]Event{note(0, "s1", "x"), note(1, "s0", "y"), note(2, "s2", "x")}, []string{"s1 s2: x", "s0: y"}},
		{[]Event{note(0, "s1", "x"), note(1, "s2", "y"), note(2, "s2", "x")}, []string{"s1: x", "s2: y", "s2: x"}},
		{[]Event{note(0, "s1", "x"), note(1, "", "y"), note(2, "s2", "x")}, []string{"s1: x", ": y", "s2: x"}},
		{[]Event{note(0, "s1", "x"), note(2, "s1", "x")}, []string{"s1: x", "s1: x"}},
		{[]Event{note(0, "s1", "x"), note(900, "s2", "x")}, []string{"s1: x", "s2: x"}},
	} {
		l := newTimeline()
		for _, e := range test.events {
			l.add(e)
		}
		var got []string
		for _, told := range fold(l.lines) {
			got = append(got, crowd(told.servers)+": "+told.what)
		}
		if !slices.Equal(got, test.lines) {
			t.Errorf("%q, expected %q", got, test.lines)
		}
	}
}

// TestWrap: long lines are cut at spaces, and a word longer than a line is not.
func TestWrap(t *testing.T) {
	word := strings.Repeat("w", textWidth+1)
	for _, row := range []struct {
		text string
		want []string
	}{
		{"short", []string{"short"}},
		{"two\nlines", []string{"two", "lines"}},
		{"a " + word, []string{"a " + word}},
		{"begin " + word + " end", []string{"begin", "  " + word + " end"}},
		{word + " end", []string{word + " end"}},
	} {
		if got := wrap(row.text); !slices.Equal(got, row.want) {
			t.Errorf("%q is wrapped as %q; want %q", row.text, got, row.want)
		}
	}
}
