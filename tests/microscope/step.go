package microscope

import (
	"fmt"
	"strconv"
	"strings"
)

// verb says what a step does.
type verb uint8

const (
	deliver verb = iota // a held message arrives
	lose                // a held message is lost, and its caller is told
	read                // a client asks a server to read
	write               // a client asks a server, which leads, to write
	pass                // time passes: an election timeout of server 1, the shortest
	beat                // time passes: an interval of heartbeats
	restart             // a server crashes and starts again
	freeze              // a server stands still, as if stopped by a signal
	thaw                // and goes on
	skip                // leaves out a step of the story
)

var verbs = [...]string{"deliver", "lose", "read", "write", "pass", "beat", "restart", "freeze", "thaw", "skip"}

// step is one thing that happens in a schedule, before everything settles.
type step struct {
	verb    verb
	server  int     // of read, write, restart, freeze, thaw
	channel channel // of deliver and lose
	nth     int     // of its channel; 0 is the oldest held, -1 the newest
}

// ofMessage tells whether the step is about a held message.
func (s step) ofMessage() bool { return s.verb == deliver || s.verb == lose }

// String is how a step is written in a story or a schedule: "read 0",
// "1>0 beat' 2", "lose 1>0 beat' 2". Without a number it is the oldest message of
// its channel; "last" is the newest.
func (s step) String() string {
	switch s.verb {
	case deliver, lose:
		text := s.channel.String()
		if s.verb == lose {
			text = "lose " + text
		}
		switch s.nth {
		case 0:
			return text
		case -1:
			return text + " last"
		}
		return fmt.Sprint(text, " ", s.nth)
	case pass, beat, skip:
		return verbs[s.verb]
	}
	return fmt.Sprint(verbs[s.verb], " ", s.server)
}

// parseStep reads what String writes.
func parseStep(text string) (step, error) {
	words := strings.Fields(text)
	bad := fmt.Errorf("%q is not a step", text)
	if len(words) == 0 {
		return step{}, bad
	}
	s := step{}
	for v, name := range verbs {
		if words[0] == name && verb(v) != deliver {
			s.verb, words = verb(v), words[1:]
			break
		}
	}
	switch s.verb {
	case pass, beat, skip:
		if len(words) != 0 {
			return step{}, bad
		}
		return s, nil
	case deliver, lose:
		return parseMessage(s, words, bad)
	}
	if len(words) != 1 {
		return step{}, bad
	}
	var err error
	if s.server, err = strconv.Atoi(words[0]); err != nil {
		return step{}, bad
	}
	return s, nil
}

func parseMessage(s step, words []string, bad error) (step, error) {
	if len(words) < 2 || len(words) > 3 {
		return step{}, bad
	}
	from, to, ok := strings.Cut(words[0], ">")
	var errs [2]error
	s.channel.from, errs[0] = strconv.Atoi(from)
	s.channel.to, errs[1] = strconv.Atoi(to)
	if !ok || errs[0] != nil || errs[1] != nil {
		return step{}, bad
	}
	s.channel.method, s.channel.reply = strings.CutSuffix(words[1], "'")
	if len(words) == 3 {
		if words[2] == "last" {
			s.nth = -1
			return s, nil
		}
		var err error
		if s.nth, err = strconv.Atoi(words[2]); err != nil || s.nth < 1 {
			return step{}, bad
		}
	}
	return s, nil
}

// deviation is a step that a schedule takes at a place where the story has another
// one to tell; the story goes on after it.
type deviation struct {
	at   int // how many steps were taken before
	step step
}

// schedule is a story and where it is left.
type schedule struct {
	story      *story
	deviations []deviation
}

// String is the value of LOCKSTEP_SCHEDULE that runs the schedule again.
func (s schedule) String() string {
	text := s.story.name
	for _, d := range s.deviations {
		text += fmt.Sprintf("; %d %v", d.at, d.step)
	}
	return text
}

// parseSchedule reads what String writes.
func parseSchedule(text string, stories []*story) (schedule, error) {
	parts := strings.Split(text, ";")
	var s schedule
	for _, candidate := range stories {
		if candidate.name == strings.TrimSpace(parts[0]) {
			s.story = candidate
		}
	}
	if s.story == nil {
		return s, fmt.Errorf("no story is called %q", parts[0])
	}
	for _, part := range parts[1:] {
		place, what, _ := strings.Cut(strings.TrimSpace(part), " ")
		at, err := strconv.Atoi(place)
		if err != nil {
			return s, fmt.Errorf("%q does not begin with a number of steps", part)
		}
		taken, err := parseStep(what)
		if err != nil {
			return s, err
		}
		s.deviations = append(s.deviations, deviation{at, taken})
	}
	return s, nil
}
