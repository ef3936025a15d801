package main

import (
	"fmt"
	"io"
	"os"
)

// progress is the line that lives while tests run: on a terminal one that is
// rewritten, elsewhere one at the end of each pass.
type progress struct {
	w        io.Writer
	terminal bool

	pass, passes    int
	done, succeeded int
}

func newProgress(f *os.File) *progress {
	info, err := f.Stat()
	return &progress{w: f, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

func (p *progress) begin(pass, passes int) {
	if pass > 1 {
		p.end()
	}
	p.pass, p.passes, p.done, p.succeeded = pass, passes, 0, 0
	if p.terminal {
		fmt.Fprint(p.w, p.line("compiles"))
	}
}

func (p *progress) ended(name string, o outcome) {
	p.done++
	if o == passed {
		p.succeeded++
	}
	if p.terminal {
		fmt.Fprint(p.w, p.line(name))
	}
}

func (p *progress) line(now string) string {
	// Without wrapping, for a line that wraps cannot be rewritten.
	return fmt.Sprintf("\r\x1b[K\x1b[?7lpass %d of %d: %d scenarios run, %d pass; %s\x1b[?7h", p.pass, p.passes, p.done, p.succeeded, now)
}

func (p *progress) end() {
	if p.terminal {
		fmt.Fprint(p.w, "\r\x1b[K")
		return
	}
	fmt.Fprintf(p.w, "pass %d of %d: %d scenarios run, %d pass\n", p.pass, p.passes, p.done, p.succeeded)
}
