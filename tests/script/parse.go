package script

import (
	"fmt"
	"os"
	"strings"
)

// Script is a file of blocks.
type Script struct {
	File   string
	blocks []block
	rest   []string // comments after the last block
}

// block is some commands and what they must print.
type block struct {
	lead     []string // comments and blank lines before the commands
	lines    []string // the commands as written, comments between them included
	commands []command
	output   int // line of the first line of want
	want     []string
	tight    bool // a comment follows at once, without a blank line
}

type command struct {
	line int
	name string
	args []string
}

// Error is what is wrong with a script, and where.
type Error struct {
	File   string
	Line   int
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Reason) }

const separator = "----"

// Load reads and parses a file.
func Load(file string) (*Script, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return Parse(file, string(text))
}

// Parse parses the text of a script; file is its name in errors, which are of type
// *Error.
func Parse(file, text string) (*Script, error) {
	s := &Script{File: file}
	bad := func(line int, format string, args ...any) (*Script, error) {
		return nil, &Error{file, line, fmt.Sprintf(format, args...)}
	}
	var b block
	inOutput := false
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range lines {
		number, words := i+1, strings.Fields(line)
		switch {
		case inOutput && len(words) > 0 && words[0][0] != '#':
			b.want = append(b.want, line)
		case inOutput:
			b.tight = len(words) > 0
			s.blocks = append(s.blocks, b)
			b, inOutput = block{}, false
			if len(words) > 0 {
				b.lead = []string{line}
			}
		case line == separator:
			if len(b.commands) == 0 {
				return bad(number, "%s without a command before it", separator)
			}
			b.output, inOutput = number+1, true
		case len(words) == 0 && len(b.commands) > 0:
			return bad(b.commands[0].line, "no %s after the commands of this block", separator)
		case len(words) == 0 || words[0][0] == '#':
			if len(b.commands) > 0 {
				b.lines = append(b.lines, line)
			} else {
				b.lead = append(b.lead, line)
			}
		default:
			c := command{number, words[0], words[1:]}
			if err := c.check(len(s.blocks) == 0 && len(b.commands) == 0); err != nil {
				return bad(number, "%v", err)
			}
			b.lines, b.commands = append(b.lines, line), append(b.commands, c)
		}
	}
	switch {
	case inOutput:
		s.blocks = append(s.blocks, b)
	case len(b.commands) > 0:
		return bad(b.commands[0].line, "no %s after the commands of this block", separator)
	default:
		s.rest = b.lead
	}
	if len(s.blocks) == 0 {
		return bad(1, "no command in this file")
	}
	return s, nil
}

// check refuses what no run could make sense of.
func (c command) check(first bool) error {
	v, ok := verbs[c.name]
	switch {
	case !ok:
		return fmt.Errorf("unknown command %q; there are: %s", c.name, verbNames())
	case first != (c.name == "nodes"):
		return fmt.Errorf("nodes is the first command of a script, and only the first")
	case len(c.args) < v.least || v.most >= 0 && len(c.args) > v.most:
		return fmt.Errorf("usage: %s", v.usage)
	}
	return nil
}

// Format returns the text of the script with the given transcripts, one a block.
func (s *Script) Format(transcripts [][]string) string {
	var text strings.Builder
	write := func(lines ...string) {
		for _, line := range lines {
			text.WriteString(line)
			text.WriteByte('\n')
		}
	}
	for i, b := range s.blocks {
		write(b.lead...)
		write(b.lines...)
		write(separator)
		write(transcripts[i]...)
		if last := i == len(s.blocks)-1; !b.tight && (!last || len(s.rest) > 0) {
			write("")
		}
	}
	write(s.rest...)
	return text.String()
}

// Rule returns what the first line of the file says it is about: "# Rule: ...".
func (s *Script) Rule() (rule string, ok bool) {
	if len(s.blocks[0].lead) == 0 {
		return "", false
	}
	return strings.CutPrefix(s.blocks[0].lead[0], "# Rule: ")
}

// timeouts lists the servers whose election timers the script lets fire, in order.
func (s *Script) timeouts() (order []int) {
	for _, b := range s.blocks {
		for _, c := range b.commands {
			if c.name == "timeout" || c.name == "elect" {
				if i, err := parseServer(c.args[0]); err == nil {
					order = append(order, i)
				}
			}
		}
	}
	return order
}
