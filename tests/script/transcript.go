package script

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"
)

// transcript collects what happens, from any goroutine, and puts it in an order
// that does not depend on theirs: by time; within one instant by server, then
// roles before messages before what is applied.
type transcript struct {
	began time.Time

	mu    sync.Mutex // a leaf
	lines []happening
	last  time.Time // when something other than a heartbeat happened
}

type happening struct {
	at      time.Duration
	server  int
	rank    rank
	text    string
	repeats bool // a message that nobody answers: it is sent again and again
}

type rank uint8

const (
	aRole    rank = iota
	aMessage      // messages of one instant are told in the order of their text
	anApply       // and an answer that waited for it
)

func (t *transcript) add(h happening) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h.at = time.Since(t.began)
	t.lines = append(t.lines, h)
}

// stir notes that something happens, whether or not it is told.
func (t *transcript) stir() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = time.Now()
}

func (t *transcript) quietFor() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Since(t.last)
}

// take returns what has happened since it was last called. A message that was sent
// several times to no avail is told once, with a count.
func (t *transcript) take() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	slices.SortStableFunc(t.lines, func(a, b happening) int {
		order := cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.server, b.server), cmp.Compare(a.rank, b.rank))
		if order == 0 && a.rank == aMessage {
			return cmp.Compare(a.text, b.text)
		}
		return order
	})
	var told []string
	place, times := map[string]int{}, map[string]int{}
	for _, h := range t.lines {
		if h.repeats {
			times[h.text]++
			if times[h.text] > 1 {
				continue
			}
			place[h.text] = len(told)
		}
		told = append(told, h.text)
	}
	for text, n := range times {
		if n > 1 {
			told[place[text]] = fmt.Sprintf("%s x%d", text, n)
		}
	}
	t.lines = nil
	return told
}
