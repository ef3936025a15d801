package microscope

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// search enumerates the schedules of one story.
//
// It begins with the story itself, goes on with every schedule that leaves it
// once, then with every one that leaves it twice, and so on: of two schedules the
// one closer to the story comes first, and most bugs need few deviations. A
// schedule that has left the story for the last time follows it to the end; every
// point after that is one where another could leave it, and the run tells what
// could be done there instead.
//
// Two schedules that differ only in the order of steps which do not concern one
// another lead to the same state (see trace). visited keeps, for each state that
// was looked at, with how many deviations left; a schedule that arrives there with
// no more is not run. Nothing is lost: whatever can follow from there, within the
// bound, was or will be seen.
//
// When there is no time for all schedules with so many deviations, each first
// deviation gets its share of the time that is left.
type search struct {
	t      *testing.T
	story  *story
	budget budget
	tell   func(s *search) // progress

	visited map[uint64]int8 // deviations left, plus one
	depth   int             // deviations of the schedules run now
	stop    int             // end of the share
	cut     bool            // not all schedules with depth deviations were run

	run, pruned int
	strayed     int // schedules none of whose runs repeated what their prefix had done before
}

// maxVisited bounds the memory of a search. What is not kept may be run again.
const maxVisited = 6 << 20

var errCut = errors.New("the share of the time is used up")

// all runs schedules, those with fewest deviations first, until the budget is
// used up. It returns the first failure.
func (s *search) all() error {
	for s.depth = 0; !s.cut; s.depth++ {
		s.visited = map[uint64]int8{}
		s.stop = s.run + s.budget.left(s.run)
		err := s.explore(schedule{story: s.story}, s.depth)
		if err != nil && !errors.Is(err, errCut) {
			return err
		}
		s.cut = s.cut || err != nil
	}
	s.depth--
	return nil
}

// explore runs a schedule and all those that go on from it with at most left more
// deviations. Those with fewer were run before, when depth was lower: they are
// run again only to see where they lead.
func (s *search) explore(from schedule, left int) error {
	if s.run >= s.stop || s.budget.left(s.run) == 0 {
		return errCut
	}
	first := 0
	if n := len(from.deviations); n > 0 {
		first = from.deviations[n-1].at + 1
	}
	o := s.repeat(from, manner{choices: true, from: first})
	if left == 0 {
		s.run++
		s.tell(s)
	}
	switch {
	case o.err != nil:
		return failure(s.t, from)
	case o.strayed:
		s.strayed++
		return nil
	case s.visited[o.points[0].key] > int8(left):
		s.pruned++ // as the run showed: the story cannot go on where it would have
		return nil
	}
	for _, p := range o.points {
		s.visit(p.key, left)
	}
	if left == 0 {
		return nil
	}
	return s.leave(from, first, o.points, left-1)
}

// repeat runs a schedule until it repeats what its prefix did before. When several
// goroutines wait for one lock, as after a freeze, which of them goes first is the
// scheduler's choice: a run may come out where the next step cannot be taken. It
// was a legal run, and was checked, but it is not the one that was asked for.
func (s *search) repeat(from schedule, how manner) (o outcome) {
	for range tries {
		if o = run(s.t, from, how); o.err != nil || !o.strayed {
			break
		}
	}
	return o
}

func (s *search) visit(key uint64, left int) {
	if was, known := s.visited[key]; known || len(s.visited) < maxVisited {
		s.visited[key] = max(was, int8(left)+1)
	}
}

// leave explores every schedule that leaves this one at one of its points.
func (s *search) leave(from schedule, first int, points []point, left int) error {
	total := 0
	for _, p := range points {
		total += len(p.choices)
	}
	for i, p := range points {
		for _, c := range p.choices {
			total--
			if s.visited[c.key] > int8(left) {
				s.pruned++
				continue
			}
			if len(from.deviations) == 0 {
				s.stop = s.run + max(1, s.budget.left(s.run)/(total+1))
			}
			next := from
			next.deviations = append(from.deviations[:len(from.deviations):len(from.deviations)], deviation{first + i, c.step})
			err := s.explore(next, left)
			switch {
			case errors.Is(err, errCut) && len(from.deviations) == 0 && s.budget.left(s.run) > 0:
				s.cut = true
			case err != nil:
				return err
			}
		}
	}
	return nil
}

// sample runs schedules that leave a story at random, by LOCKSTEP_SEED, and
// returns the first failure. That tells its own schedule: the seed need not be kept.
func (s *search) sample() error {
	seed, _ := strconv.ParseUint(os.Getenv("LOCKSTEP_SEED"), 10, 64) // 0 if it is none
	random := rand.New(rand.NewPCG(seed, 1))
	for s.budget.left(s.run) > 0 {
		often := 2 + random.IntN(20)
		o := run(s.t, schedule{story: s.story}, manner{choices: true, stray: func(choices []choice) *step {
			if s.run == 0 || random.IntN(often) > 0 {
				return nil // the first is the story itself
			}
			return &choices[random.IntN(len(choices))].step
		}})
		s.run++
		s.depth = max(s.depth, len(o.left))
		s.tell(s)
		if o.err != nil {
			return failure(s.t, schedule{s.story, o.left})
		}
	}
	return nil
}

// budget is how many schedules a search may run, or for how long.
type budget struct {
	schedules int
	began     time.Time     // real time
	d         time.Duration // 0: as long as it takes
}

// left estimates how many schedules are left after run of them; 0 at the end.
func (b budget) left(run int) int {
	if b.d == 0 {
		return max(0, b.schedules-run)
	}
	spent := time.Since(b.began)
	if spent >= b.d {
		return 0
	}
	return 1 + int(float64(run)*float64(b.d-spent)/float64(spent+1))
}

// tries is how often a schedule that failed is run again to see it fail, and one
// that strayed to see it repeat. Within one step the order of goroutines is the
// scheduler's own.
const tries = 50

// failure tells a schedule that failed so that it can be read and run again.
func failure(t *testing.T, failed schedule) error {
	for range tries {
		if o := run(t, failed, manner{tell: true}); o.err != nil {
			return fmt.Errorf("%w\n%s: %s\n%s\nrun it again: LOCKSTEP_SCHEDULE=%q go test ./tests/microscope -run TestSchedule -v",
				o.err, failed.story.name, failed.story.about, strings.Join(o.lines, "\n"), failed.String())
		}
	}
	return fmt.Errorf("schedule %q failed once, and not in %d more runs", failed, tries)
}
