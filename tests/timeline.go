package tests

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
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
// server applies, acknowledges or rejects in a row becomes one line. What servers
// do alike at about the same time becomes one line when it is told: see story.go.
type timeline struct {
	lines   []storyLine
	dropped int
	rows    map[rowKey]*row
	leader  leadership // the latest one seen
}

const (
	maxLines = 600
	rowSpan  = 500 * time.Millisecond // a row is no longer than this
)

// leadership is who led which term.
type leadership struct {
	server string
	term   uint64
}

type rowKey struct {
	server string
	kind   EventKind
}

type row struct {
	first, last Event
	count       int
	leader      leadership // when it began
}

func newTimeline() *timeline { return &timeline{rows: map[rowKey]*row{}} }

func (l *timeline) add(e Event) {
	switch e.Kind {
	case Holds: // entries are seen each time they are sent: too many to read
	case Applies, Acknowledges, Rejects:
		key := rowKey{e.Server, e.Kind}
		if r := l.rows[key]; r != nil && e.At-r.first.At < rowSpan {
			r.last = e
			r.count++
			return
		}
		l.end(key)
		l.rows[key] = &row{e, e, 1, l.leader}
	case Started:
		l.endAll(e.Server)
		if l.leader.server == e.Server {
			l.leader = leadership{}
		}
		l.line(storyLine{at: e.At, server: e.Server, what: "starts"})
	case Leads:
		if e.Term >= l.leader.term {
			l.leader = leadership{e.Server, e.Term}
		}
		l.line(storyLine{at: e.At, server: e.Server, role: role(e.Term), what: "leads"})
	default:
		l.endAll(e.Server)
		if e.Server == "" { // the scenario's: what came before it is told before it
			l.endRows()
		}
		l.line(storyLine{at: e.At, server: e.Server, role: l.leader.roleOf(e.Server), what: e.What})
	}
}

func role(term uint64) string { return fmt.Sprint("leader ", term) }

func (l leadership) roleOf(server string) string {
	if server == "" || server != l.server {
		return ""
	}
	return role(l.term)
}

func (l *timeline) endAll(server string) {
	for _, kind := range []EventKind{Applies, Acknowledges, Rejects} {
		l.end(rowKey{server, kind})
	}
}

// end writes the line of a row.
func (l *timeline) end(key rowKey) {
	r := l.rows[key]
	if r == nil {
		return
	}
	delete(l.rows, key)
	line := storyLine{at: r.first.At, server: key.server, role: r.leader.roleOf(key.server)}
	if r.count > 1 {
		line.until = r.last.At
	}
	numbers := fmt.Sprintf("number %d, %.20q", r.first.Number, r.first.Content)
	if r.count > 1 {
		numbers = fmt.Sprintf("numbers %d to %d", r.first.Number, r.last.Number)
	}
	switch key.kind {
	case Applies:
		line.entry = fmt.Sprintf("%d.%d", r.first.Index, r.first.Term)
		if r.count > 1 {
			line.entry += fmt.Sprintf("-%d.%d", r.last.Index, r.last.Term)
		}
		line.what = "applies " + numbers
	case Acknowledges:
		line.what = "the client has seen " + numbers + " applied"
	case Rejects:
		line.what = fmt.Sprintf("rejects %d proposals", r.count)
	}
	l.line(line)
}

func (l *timeline) line(line storyLine) {
	if len(l.lines) == maxLines {
		l.lines = append(l.lines[:0], l.lines[1:]...)
		l.dropped++
	}
	l.lines = append(l.lines, line)
}

// endRows ends all rows, always in the same order.
func (l *timeline) endRows() {
	keys := slices.SortedFunc(maps.Keys(l.rows), func(a, b rowKey) int {
		return cmp.Or(cmp.Compare(a.server, b.server), cmp.Compare(a.kind, b.kind))
	})
	for _, key := range keys {
		l.end(key)
	}
}

// String tells the run in order of time. It ends every row.
func (l *timeline) String() string {
	l.endRows()
	return tell(l.lines, l.dropped)
}
