package sim

import (
	"cmp"
	"slices"
	"time"
)

// fault is one entry of the menu (menu.go) the hand chooses from.
type fault struct {
	name   string
	weight int
	inject func(s *simulation)
	// possible tells whether this build can express it; nil: every build can.
	possible func() bool
}

// ending is a fault that ends by itself.
type ending struct {
	at   time.Duration // since the run began
	undo func()
}

// pause bounds the time between two faults.
const pause = 1500 * time.Millisecond

var menu = slices.Concat(crashes, disks, links, clocks)

// faults injects one fault after another until d has passed. Each ends by itself
// after a time of its own, so that several are on at once, now and then none.
func (s *simulation) faults(d time.Duration) {
	began := time.Now()
	total := 0
	for _, f := range menu {
		total += f.weight
	}
	for time.Since(began) < d {
		s.cluster.Sleep(s.upTo(pause))
		for len(s.until) > 0 && s.until[0].at <= s.elapsed() {
			undo := s.until[0].undo
			s.until = s.until[1:]
			undo()
		}
		draw := s.random(total)
		for _, f := range menu {
			if draw -= f.weight; draw >= 0 {
				continue
			}
			if f.possible == nil || f.possible() {
				s.cluster.Note("fault: %s", f.name)
				s.report.fault(f.name)
				f.inject(s)
			}
			break
		}
	}
}

// elapsed is virtual time since the run began.
func (s *simulation) elapsed() time.Duration { return time.Since(s.began) }

// after has undo called by the hand once d has passed.
func (s *simulation) after(d time.Duration, undo func()) {
	s.until = append(s.until, ending{s.elapsed() + d, undo})
	slices.SortStableFunc(s.until, func(a, b ending) int { return cmp.Compare(a.at, b.at) })
}

func (s *simulation) upTo(d time.Duration) time.Duration {
	return time.Duration(s.random(int(d)))
}

// any returns some server, one that runs if there is one: a fault of a server that
// is down would be undone by its start.
func (s *simulation) any() int {
	i := s.random(s.cluster.N)
	for k := range s.cluster.N {
		if j := (i + k) % s.cluster.N; s.cluster.Alive(j) {
			return j
		}
	}
	return i
}

// leader returns the server that leads the highest term, or some server.
func (s *simulation) leader() int {
	leader, highest := s.any(), uint64(0)
	for i, h := range s.hosts {
		if term, leads := h.state(); leads && term > highest {
			leader, highest = i, term
		}
	}
	return leader
}

// victim is the leader every other time.
func (s *simulation) victim() int {
	if s.random(2) == 0 {
		return s.leader()
	}
	return s.any()
}

// some returns n different servers.
func (s *simulation) some(n int) []int {
	var all []int
	for i := range s.cluster.N {
		all = append(all, i)
	}
	for i := range all {
		j := i + s.random(len(all)-i)
		all[i], all[j] = all[j], all[i]
	}
	return all[:n]
}
