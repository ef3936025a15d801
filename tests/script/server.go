package script

import (
	"fmt"
	"slices"
	"time"

	"lockstep.example/raft/tests"
)

// server is one server through all its lives.
type server struct {
	w     *world
	index int

	// guarded by world.mu
	life    int // counts starts and crashes: odd while it runs
	applied []string
	drawnAt time.Time     // when its election deadline was last drawn
	drawn   time.Duration // and how far beyond the minimum
	gate    chan struct{} // not nil while its flushes are held: closed to let them go
	keepAll bool          // the next crash loses nothing
	forged  bool          // down, and the script speaks in its name

	// crashed is what the adapter made of Disk.AfterCrash. Only the goroutine that
	// runs the script uses it.
	crashed func(contents any, keep func(staged int) int) any
}

// tell adds to the transcript what the server does.
func (s *server) tell(r rank, format string, args ...any) {
	s.w.story.stir()
	s.w.story.add(happening{server: s.index, rank: r, text: fmt.Sprintf(format, args...)})
}

// begin is the start of a life; it gives the disk back to the adapter as the
// adapter left it.
func (s *server) begin(disk *tests.Disk) (life int) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.life++
	s.applied, s.forged = nil, false
	if s.crashed != nil {
		disk.AfterCrash = s.crashed
	}
	return s.life
}

// wrapDisk makes crashes of the disk lose what the script says: all that is not
// flushed, or nothing.
func (s *server) wrapDisk(disk *tests.Disk) {
	s.crashed = disk.AfterCrash
	if s.crashed == nil {
		return
	}
	disk.AfterCrash = func(contents any, _ func(int) int) any {
		return s.crashed(contents, func(staged int) int {
			s.w.mu.Lock()
			defer s.w.mu.Unlock()
			if s.keepAll {
				return staged
			}
			return 0
		})
	}
}

// end is the end of a life: what the server still does does not count, and its
// disk no longer keeps it waiting.
func (s *server) end(keepAll bool) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.life++
	s.keepAll = keepAll
	s.openLocked()
}

// lives tells whether the given life of the server goes on.
func (s *server) lives(life int) bool {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	return s.life == life && !s.w.closed
}

// running tells whether the server is up.
func (s *server) running() bool {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	return s.life%2 == 1
}

func (s *server) apply(a tests.Applied) {
	s.w.mu.Lock()
	s.applied = append(s.applied, short(a.Command))
	hidden := s.w.hidden[applies]
	s.w.mu.Unlock()
	s.w.story.stir()
	if !hidden {
		s.tell(anApply, "%d applies %d/%d %s", s.index+1, a.Index, a.Term, short(a.Command))
	}
}

func (s *server) hasApplied() []string {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	return slices.Clone(s.applied)
}

// flushTime says how long a flush takes; while the script holds the disk it does
// not return.
func (s *server) flushTime() time.Duration {
	s.w.mu.Lock()
	gate := s.gate
	s.w.mu.Unlock()
	if gate != nil {
		<-gate
	}
	return 2*time.Millisecond + time.Duration(s.index)*7013
}

// forge is that the script begins to speak for the server.
func (s *server) forge() {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.forged = true
}

func (s *server) holdDisk() {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if s.gate == nil {
		s.gate = make(chan struct{})
	}
}

func (s *server) releaseDisk() {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.openLocked()
}

// openLocked lets flushes go on. world.mu must be held.
func (s *server) openLocked() {
	if s.gate != nil {
		close(s.gate)
		s.gate = nil
	}
}
