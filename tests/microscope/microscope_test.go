package microscope

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// How many schedules a story gets when nobody asks for more.
const (
	usual = 400
	few   = 100 // with -short
)

// TestMicroscope enumerates the schedules around each story. LOCKSTEP_SCHEDULES
// or LOCKSTEP_FOR asks for more, in all: LOCKSTEP_SCHEDULES=1000000, or
// LOCKSTEP_FOR=10m with -timeout 0.
func TestMicroscope(t *testing.T) {
	every := append(append([]*story(nil), stories...), sampled...)
	b, long := askedFor(t, len(every))
	progress := &progress{began: time.Now(), silent: !long}
	t.Cleanup(func() {
		if !t.Failed() {
			t.Logf("%v, 0 stale", progress)
		}
	})
	for i, s := range every {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			b := b
			b.began = time.Now()
			x := &search{t: t, story: s, budget: b, tell: progress.note}
			search := x.all
			if i >= len(stories) {
				search = x.sample
			}
			if err := search(); err != nil {
				t.Fatal(err)
			}
			if x.strayed > x.run/100 {
				t.Errorf("%d of %d schedules never repeated what others had done before", x.strayed, x.run)
			}
			t.Log(x)
		})
	}
}

// TestSchedule runs the one schedule that LOCKSTEP_SCHEDULE names, and tells it.
func TestSchedule(t *testing.T) {
	text := os.Getenv("LOCKSTEP_SCHEDULE")
	if text == "" {
		t.Skip("LOCKSTEP_SCHEDULE names no schedule")
	}
	s, err := parseSchedule(text, append(stories, sampled...))
	if err != nil {
		t.Fatal(err)
	}
	for range tries {
		o := run(t, s, manner{tell: true})
		if o.err == nil && o.strayed {
			o.err = errors.New("a step of LOCKSTEP_SCHEDULE cannot be taken where it stands")
		}
		if o.err != nil {
			t.Fatalf("%v\n%s", o.err, strings.Join(o.lines, "\n"))
		}
	}
	t.Logf("passed %d times: %s", tries, run(t, s, manner{}).end)
}

// askedFor is the budget of one of so many stories, and whether it was asked for.
func askedFor(t *testing.T, stories int) (b budget, long bool) {
	if text := os.Getenv("LOCKSTEP_SCHEDULES"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("LOCKSTEP_SCHEDULES=%q is not a number", text)
		}
		return budget{schedules: (n + stories - 1) / stories}, true
	}
	if text := os.Getenv("LOCKSTEP_FOR"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatalf("LOCKSTEP_FOR=%q is not a duration", text)
		}
		// As many stories run at a time as there are cores.
		at := min(runtime.GOMAXPROCS(0), stories)
		return budget{d: d * time.Duration(at) / time.Duration(stories)}, true
	}
	if testing.Short() {
		return budget{schedules: few}, false
	}
	return budget{schedules: usual}, false
}

func (s *search) String() string {
	if s.visited == nil {
		return fmt.Sprintf("%s: %d schedules sampled, with up to %d deviations", s.story.name, s.run, s.depth)
	}
	return fmt.Sprintf("%s: %d schedules: every one with less than %d deviations, and part of those with as many; %d more are the same as one of these; %d did not repeat",
		s.story.name, s.run, s.depth, s.pruned, s.strayed)
}

// progress counts over all stories, and tells now and then how far they are.
type progress struct {
	began  time.Time
	silent bool
	run    atomic.Int64

	mu   sync.Mutex
	told time.Time
}

func (p *progress) note(s *search) {
	p.run.Add(1)
	if p.silent {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.told) > 5*time.Second {
		p.told = time.Now()
		fmt.Fprintf(os.Stderr, "%v; now %v\n", p, s)
	}
}

func (p *progress) String() string {
	n, took := p.run.Load(), time.Since(p.began)
	return fmt.Sprintf("%d schedules in %v, %.0f/s", n, took.Round(time.Second/10), float64(n)/took.Seconds())
}
