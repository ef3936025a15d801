package session

import "time"

// MaxStep bounds what one entry can add to the clock.
const MaxStep = time.Second

// clock adds up the time that leaders say has passed. It stands still while no
// entry is written, and between terms, so it may lag behind any real clock; it
// never runs ahead of the leaders' own, but for what one entry can add.
//
// Each entry tells t, the time since its leader took office. The first entry of
// a term adds nothing; the later ones add min(MaxStep, max(0, t - mark)), mark
// being the highest t of the term so far. It is the highest and not the last
// one, because the leader stamps commands before the log orders them: among
// many callers t goes up and down by a little, and counting every way up would
// let the clock run at several times its speed. If t falls by more than MaxStep
// it was no such shuffle: the mark was nonsense, or stamped in an earlier term of
// the same leader, and t takes its place.
type clock struct {
	now  time.Duration // added up since index 1
	term uint64        // of the last entry
	mark time.Duration
}

func (c *clock) advance(term uint64, t time.Duration) {
	if term != c.term {
		c.term, c.mark = term, t
		return
	}
	c.now += min(MaxStep, max(0, t-c.mark))
	if t > c.mark || c.mark-t > MaxStep {
		c.mark = t
	}
}
