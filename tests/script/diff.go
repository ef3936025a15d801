package script

import (
	"fmt"
	"slices"
	"strings"
)

// Compare returns where the transcripts differ from those in the file, for people;
// empty if nowhere.
func (s *Script) Compare(transcripts [][]string) string {
	var text strings.Builder
	for i, b := range s.blocks {
		if slices.Equal(b.want, transcripts[i]) {
			continue
		}
		var commands []string
		for _, c := range b.commands {
			commands = append(commands, strings.Join(append([]string{c.name}, c.args...), " "))
		}
		at, lines := diff(b.want, transcripts[i])
		fmt.Fprintf(&text, "%s:%d: after %q (-: the file says, +: it happened)\n", s.File, b.output+at, strings.Join(commands, "; "))
		for _, line := range lines {
			text.WriteString("\t" + line + "\n")
		}
	}
	return text.String()
}

// diff returns the lines of both, each after a space if it is in both, - if only
// wanted, + if only got; and how many wanted lines come before the first that is
// not in both. It keeps as many lines as can be kept: best[i][k] of want[i:] and
// got[k:].
func diff(want, got []string) (at int, lines []string) {
	best := make([][]int, len(want)+1)
	for i := range best {
		best[i] = make([]int, len(got)+1)
	}
	for i := len(want) - 1; i >= 0; i-- {
		for k := len(got) - 1; k >= 0; k-- {
			best[i][k] = max(best[i+1][k], best[i][k+1])
			if want[i] == got[k] {
				best[i][k] = best[i+1][k+1] + 1
			}
		}
	}
	at = -1
	differs := func(i int) {
		if at < 0 {
			at = i
		}
	}
	i, k := 0, 0
	for i < len(want) || k < len(got) {
		switch {
		case i < len(want) && k < len(got) && want[i] == got[k]:
			lines = append(lines, "  "+want[i])
			i, k = i+1, k+1
		case i < len(want) && (k == len(got) || best[i+1][k] >= best[i][k+1]):
			differs(i)
			lines = append(lines, "- "+want[i])
			i++
		default:
			differs(i)
			lines = append(lines, "+ "+got[k])
			k++
		}
	}
	return max(at, 0), lines
}
