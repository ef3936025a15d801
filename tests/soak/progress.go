package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// progress keeps a person informed: on a terminal by one line that is rewritten
// every second, elsewhere by a line every half minute.
type progress struct {
	c               *campaign
	out             *os.File
	ended, finished chan struct{}
}

func startProgress(c *campaign, out *os.File, quiet bool) *progress {
	p := &progress{c, out, make(chan struct{}), make(chan struct{})}
	go p.show(quiet)
	return p
}

func (p *progress) stop() {
	close(p.ended)
	<-p.finished
}

func (p *progress) show(quiet bool) {
	defer close(p.finished)
	if quiet {
		<-p.ended
		return
	}
	every, begin, end := 30*time.Second, "", "\n"
	if info, err := p.out.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		// Without wrapping, for a line that wraps cannot be rewritten.
		every, begin, end = time.Second, "\r\x1b[K\x1b[?7l", "\x1b[?7h"
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			fmt.Fprint(p.out, begin, p.c.line(), end)
		case <-p.ended:
			fmt.Fprint(p.out, begin, strings.TrimSuffix(end, "\n"))
			return
		}
	}
}

// line tells how far the campaign is.
func (c *campaign) line() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	elapsed := time.Since(c.began).Round(time.Second)
	of := ""
	if c.limit > 0 {
		of = fmt.Sprintf(" of %v", c.limit)
	}
	return fmt.Sprintf("%v%s: %d runs, %.2f simulated hours, %d histories, %d operations, %d lab passes, %d replays",
		elapsed, of, c.total.Runs, c.total.Simulated.Hours(), c.total.Histories, c.total.Checked, c.done[labs], c.done[replays])
}
