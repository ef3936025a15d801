package tests

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// storyLine is one line of a timeline, before lines that say the same are folded.
type storyLine struct {
	at, until   time.Duration // until: the last of a row, 0 if it is none
	server      string        // empty: the scenario or a client
	role, entry string
	what        string
}

// told is a line as it is printed: one or more storyLines that say the same.
type told struct {
	storyLine
	servers []string
}

const (
	foldSpan  = 300 * time.Millisecond // lines further apart are not folded
	foldLook  = 20                     // nor are lines with more others between them
	textWidth = 120                    // of the last column: longer text goes on below
)

const legend = "time in seconds of virtual time; role: the latest leader and its term; entry: index.term in the log\n"

// tell prints lines in order of time, under the legend.
func tell(lines []storyLine, dropped int) string {
	slices.SortStableFunc(lines, func(a, b storyLine) int { return cmp.Compare(a.at, b.at) })
	all := fold(lines)
	who, entry := len("who"), len("entry")
	for _, t := range all {
		who, entry = max(who, len(crowd(t.servers))), max(entry, len(t.entry))
	}
	var b strings.Builder
	b.WriteString(legend)
	line := func(time, servers, role, in, what string) {
		text := fmt.Sprintf("%9s  %-*s  %-9s  %-*s  %s", time, who, servers, role, entry, in, what)
		b.WriteString(strings.TrimRight(text, " ") + "\n")
	}
	line("time", "who", "role", "entry", "what")
	if dropped > 0 {
		fmt.Fprintf(&b, "(%d earlier lines)\n", dropped)
	}
	for _, t := range all {
		what := t.what
		if t.until > 0 {
			what += fmt.Sprintf(", until %.4f", t.until.Seconds())
		}
		texts := wrap(what)
		line(fmt.Sprintf("%.4f", t.at.Seconds()), crowd(t.servers), t.role, t.entry, texts[0])
		for _, text := range texts[1:] {
			line("", "", "", "", text)
		}
	}
	return b.String()
}

// fold makes one line of those in which several servers do the same at about the
// same time. A line moves up to the first one of its kind only if nothing between
// them is of its own server or of the scenario: nothing seems to happen before
// its cause.
func fold(lines []storyLine) []told {
	var all []told
next:
	for _, line := range lines {
		for i := len(all) - 1; i >= max(0, len(all)-foldLook); i-- {
			t := &all[i]
			if line.server == "" || t.server == "" || line.at-t.at > foldSpan || slices.Contains(t.servers, line.server) {
				break
			}
			if t.role == line.role && t.entry == line.entry && t.what == line.what && (t.until > 0) == (line.until > 0) {
				t.servers = append(t.servers, line.server)
				t.until = max(t.until, line.until)
				continue next
			}
		}
		all = append(all, told{line, nil})
		if line.server != "" {
			all[len(all)-1].servers = []string{line.server}
		}
	}
	return all
}

// crowd names servers in order.
func crowd(servers []string) string {
	slices.Sort(servers)
	return strings.Join(servers, " ")
}

const indent = "  " // of the lines that go on

// wrap cuts text into lines no longer than the column, at spaces where it can.
func wrap(text string) []string {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		for len(line) > textWidth {
			cut := strings.LastIndexByte(line[:textWidth], ' ')
			if cut < len(indent) {
				break // one long word, perhaps behind an indent
			}
			lines = append(lines, line[:cut])
			line = indent + line[cut+1:]
		}
		lines = append(lines, line)
	}
	return lines
}
