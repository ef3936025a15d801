package tests

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// EventKind says what happened.
type EventKind uint8

const (
	Noted        EventKind = iota // What, told by the scenario or the harness
	Started                       // a life of the server begins; it applies from number 1 again
	Leads                         // the server acts as the leader of Term
	Holds                         // the log of the server holds an entry: Index, Term, PrevTerm, Content
	Applies                       // Number, Index, Term, Content
	Acknowledges                  // the proposal of Content was acknowledged at Number
	Rejects                       // the proposal of Content was rejected: never applied
)

// Event is one thing that happened in a run; which fields count depends on Kind.
type Event struct {
	At       time.Duration // since the run began, in virtual time
	Server   string
	Kind     EventKind
	Term     uint64
	Index    uint64
	Number   uint64
	PrevTerm uint64
	Content  string // of an entry: its kind and bytes; of Applies and later: the command
	What     string
}

// timeline keeps the story of a run for people: the last maxLines lines. What a
// server applies, acknowledges or rejects in a row becomes one line.
type timeline struct {
	lines   []storyLine
	dropped int
	rows    map[rowKey]*row
}

const (
	maxLines = 600
	rowSpan  = 500 * time.Millisecond // a row is no longer than this
)

type storyLine struct {
	at   time.Duration
	text string
}

type rowKey struct {
	server string
	kind   EventKind
}

type row struct {
	first, last Event
	count       int
}

func newTimeline() *timeline { return &timeline{rows: map[rowKey]*row{}} }

func (l *timeline) add(e Event) {
	switch e.Kind {
	case Holds: // entries are seen each time they are sent: too many to read
	case Applies, Acknowledges, Rejects:
		key := rowKey{e.Server, e.Kind}
		if r := l.rows[key]; r != nil && r.first.Term == e.Term && e.At-r.first.At < rowSpan {
			r.last = e
			r.count++
			return
		}
		l.end(key)
		l.rows[key] = &row{e, e, 1}
	case Started:
		l.endAll(e.Server)
		l.line(e, "starts")
	case Leads:
		l.line(e, "leads")
	default:
		l.endAll(e.Server)
		l.line(e, e.What)
	}
}

func (l *timeline) endAll(server string) {
	for _, kind := range []EventKind{Applies, Acknowledges, Rejects} {
		l.end(rowKey{server, kind})
	}
}

var verbs = map[EventKind]string{Applies: "applies", Acknowledges: "acknowledges", Rejects: "rejects"}

// end writes the line of a row.
func (l *timeline) end(key rowKey) {
	r := l.rows[key]
	if r == nil {
		return
	}
	delete(l.rows, key)
	what := fmt.Sprintf("%s number %d, %.20q", verbs[key.kind], r.first.Number, r.first.Content)
	switch {
	case key.kind == Rejects:
		what = fmt.Sprintf("rejects %d proposals, until %.4f s", r.count, r.last.At.Seconds())
	case r.count > 1:
		what = fmt.Sprintf("%s numbers %d to %d, until %.4f s", verbs[key.kind], r.first.Number, r.last.Number, r.last.At.Seconds())
	}
	l.line(r.first, what)
}

func (l *timeline) line(e Event, what string) {
	term, index := "", ""
	if e.Term != 0 {
		term = fmt.Sprint("term ", e.Term)
	}
	if e.Index != 0 {
		index = fmt.Sprint("index ", e.Index)
	}
	if len(l.lines) == maxLines {
		l.lines = slices.Delete(l.lines, 0, 1)
		l.dropped++
	}
	text := fmt.Sprintf("%9.4f s  %-3s %-9s %-11s %s", e.At.Seconds(), e.Server, term, index, what)
	l.lines = append(l.lines, storyLine{e.At, strings.TrimRight(text, " ")})
}

// String tells the run in order of time. It ends every row.
func (l *timeline) String() string {
	for key := range l.rows {
		l.end(key)
	}
	slices.SortStableFunc(l.lines, func(a, b storyLine) int { return cmp.Compare(a.at, b.at) })
	var b strings.Builder
	if l.dropped > 0 {
		fmt.Fprintf(&b, "(%d earlier lines)\n", l.dropped)
	}
	for _, line := range l.lines {
		b.WriteString(line.text)
		b.WriteByte('\n')
	}
	return b.String()
}
