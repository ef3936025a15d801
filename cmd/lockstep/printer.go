package main

import (
	"fmt"
	"io"
	"time"
)

const (
	queuedLines   = 256             // that wait to be printed
	printPatience = 2 * time.Second // for the last lines, at the end
)

// printer prints lines without ever making whoever says them wait: one goroutine
// prints, behind a queue. A line that finds the queue full is dropped and counted;
// so is one that cannot be printed, silently. Its methods must not be called by
// two goroutines at once.
type printer struct {
	queue   chan string
	done    chan struct{} // closed when the goroutine ends
	dropped int
}

func newPrinter(w io.Writer) *printer {
	p := &printer{queue: make(chan string, queuedLines), done: make(chan struct{})}
	go func() {
		defer close(p.done)
		for text := range p.queue {
			_, _ = io.WriteString(w, text) // nobody is left to be told
		}
	}()
	return p
}

func (p *printer) say(line string) {
	text := line + "\n"
	if p.dropped > 0 {
		text = fmt.Sprintf("(%d lines were dropped, for nobody read them)\n%s", p.dropped, text)
	}
	select {
	case p.queue <- text:
		p.dropped = 0
	default:
		p.dropped++
	}
}

// close waits until all is printed, for a while. If nobody reads, the goroutine
// waits on and ends with the process.
func (p *printer) close() {
	close(p.queue)
	select {
	case <-p.done:
	case <-time.After(printPatience):
	}
}
