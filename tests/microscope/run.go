package microscope

import (
	"strings"
	"testing"
	"testing/synctest"
)

// point is one point of decision of a run: the state, and what could be done in it
// instead of the story's next step.
type point struct {
	key     uint64 // what happened so far, and how much of the story is told
	choices []choice
}

// outcome is what became of a run.
type outcome struct {
	points  []point     // from the first that was asked for
	end     string      // what could be seen after the last step
	lines   []string    // what happened, for people; only if asked for
	left    []deviation // where it left the story
	err     error
	strayed bool // a deviation could not be taken: the run did not repeat its prefix
}

// manner says how a run is made and what it is to remember.
type manner struct {
	choices bool // list them, at the points
	from    int  // and after
	tell    bool
	stray   func(choices []choice) *step // leaves the story at random; nil: no
}

// run runs one schedule from the start, in a bubble of its own.
func run(t *testing.T, s schedule, how manner) (o outcome) {
	synctest.Test(t, func(*testing.T) {
		v := &verdict{}
		done := make(chan struct{})
		go func() { // FailNow ends this goroutine
			defer close(done)
			defer v.end()
			w := newWorld(v, s.story.servers)
			w.follow(s, how, &o)
			o.end = w.consequences()
			w.finish()
		}()
		<-done
		o.err = v.err
		if how.tell {
			o.lines = append(o.lines, "what the servers did:")
			for _, l := range v.log {
				_, story, _ := strings.Cut(l, "\n") // its heading names a seed, and there is none
				o.lines = append(o.lines, story)
			}
		}
	})
	return o
}

// follow takes the steps of a schedule: those of its story, but where it deviates.
// A step of the story that cannot be taken is passed over.
func (w *world) follow(s schedule, how manner, o *outcome) {
	told, deviations, seen := 0, s.deviations, ""
	for taken := 0; !w.Failed(); taken++ {
		for told < len(s.story.steps) && !w.possible(s.story.steps[told]) {
			told++
		}
		var choices []choice
		if how.choices && taken >= how.from {
			choices = w.choices(s.story, told)
			o.points = append(o.points, point{stateKey(w.trace.sum, told), choices})
		}
		var next step
		switch {
		case len(deviations) > 0 && deviations[0].at == taken:
			next, deviations = deviations[0].step, deviations[1:]
		case told == len(s.story.steps):
			o.strayed = len(deviations) > 0
			return
		default:
			next = s.story.steps[told]
			if how.stray != nil {
				if other := how.stray(choices); other != nil {
					next = *other
					o.left = append(o.left, deviation{taken, next})
					break
				}
			}
			told++
		}
		if how.tell {
			o.lines = append(o.lines, w.line(taken, next))
		}
		if !w.possible(next) {
			o.strayed = true
			return
		}
		if next.verb == skip {
			told++
		}
		w.do(next)
		if how.tell {
			if now := w.consequences(); now != seen {
				o.lines = append(o.lines, "       "+now)
				seen = now
			}
		}
	}
}
