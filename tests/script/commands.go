package script

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing/synctest"
	"time"

	"lockstep.example/raft/tests"
)

// verb is one command of the language.
type verb struct {
	usage       string
	least, most int // number of arguments; most < 0: any
	run         func(r *run, args []string) error
}

var verbs map[string]verb

func verbNames() string { return strings.Join(slices.Sorted(maps.Keys(verbs)), ", ") }

func init() {
	verbs = map[string]verb{
		"nodes":     {"nodes N", 1, 1, runNodes},
		"timeout":   {"timeout SERVER", 1, 1, runTimeout},
		"elect":     {"elect SERVER", 1, 1, runElect},
		"settle":    {"settle", 0, 0, func(r *run, _ []string) error { return r.settle() }},
		"wait":      {"wait DURATION", 1, 1, runWait},
		"clock":     {"clock", 0, 0, runClock},
		"propose":   {"propose SERVER COMMAND...", 2, -1, runPropose},
		"call":      {"call SERVER COMMAND", 2, 2, runCall},
		"read":      {"read SERVER", 1, 1, runRead},
		"hold":      {"hold LINK [KIND] [reply] [once]", 1, 4, runHold},
		"release":   {"release [LINK [KIND] [reply] [once]]", 0, 4, runRelease},
		"pass":      {"pass LINK [KIND] [reply] [once]", 1, 4, runPass},
		"drop":      {"drop [LINK [KIND] [reply] [once]]", 0, 4, runDrop},
		"held":      {"held", 0, 0, runHeld},
		"cut":       {"cut LINK", 1, 1, runCut},
		"restore":   {"restore LINK", 1, 1, runRestore},
		"partition": {"partition SERVERS SERVERS...", 1, -1, runPartition},
		"heal":      {"heal", 0, 0, runHeal},
		"crash":     {"crash SERVER... [keep]", 1, -1, runCrash},
		"start":     {"start SERVER...", 1, -1, runStart},
		"disk":      {"disk SERVER hold|release", 2, 2, runDisk},
		"send":      {"send FROM->TO KIND FIELD VALUE ...", 2, -1, runSend},
		"state":     {"state [SERVER...]", 0, -1, runState},
		"applied":   {"applied [SERVER...]", 0, -1, runApplied},
		"show":      {"show KIND...", 1, -1, runShow},
		"hide":      {"hide KIND...", 1, -1, runHide},
	}
}

// parseServer reads the number of a server, which counts from 1.
func parseServer(word string) (index int, err error) {
	n, err := strconv.Atoi(word)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q is no server; servers are 1, 2, 3 and so on", word)
	}
	return n - 1, nil
}

func (r *run) server(word string) (index int, err error) {
	if index, err = parseServer(word); err == nil && index >= r.c.N {
		err = fmt.Errorf("there is no server %d; there are %d", index+1, r.c.N)
	}
	return index, err
}

// up returns a server that runs; down one that does not.
func (r *run) up(word string) (index int, err error) {
	if index, err = r.server(word); err == nil && !r.w.servers[index].running() {
		err = fmt.Errorf("server %d is down", index+1)
	}
	return index, err
}

func (r *run) down(word string) (index int, err error) {
	if index, err = r.server(word); err == nil && r.w.servers[index].running() {
		err = fmt.Errorf("server %d is up", index+1)
	}
	return index, err
}

// these returns the servers named, by the given function; all if none is.
func (r *run) these(words []string, each func(string) (int, error)) (servers []int, err error) {
	if len(words) == 0 {
		for i := range r.c.N {
			servers = append(servers, i)
		}
	}
	for _, word := range words {
		i, err := each(word)
		if err != nil {
			return nil, err
		}
		if slices.Contains(servers, i) {
			return nil, fmt.Errorf("server %d is named twice", i+1)
		}
		servers = append(servers, i)
	}
	return servers, nil
}

const maxNodes = 9

func runNodes(r *run, args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil || n < 1 || n > maxNodes {
		return fmt.Errorf("%q is no number of servers; it is 1 to %d", args[0], maxNodes)
	}
	r.nodes(n)
	return nil
}

func runTimeout(r *run, args []string) error {
	i, err := r.up(args[0])
	if err != nil {
		return err
	}
	return r.timeout(i)
}

// runElect makes a server leader where the election is not what the script is
// about.
func runElect(r *run, args []string) error {
	i, err := r.up(args[0])
	if err != nil {
		return err
	}
	if err := r.timeout(i); err != nil {
		return err
	}
	if err := r.settle(); err != nil {
		return err
	}
	term, leads := r.c.Server(i).State()
	if !leads {
		return fmt.Errorf("server %d is not elected; use timeout and settle to see why", i+1)
	}
	r.w.story.take()
	r.report("%d leads term %d", i+1, term)
	return nil
}

func runWait(r *run, args []string) error {
	d, err := time.ParseDuration(args[0])
	if err != nil || d <= 0 || d > time.Hour || d%tick != 0 {
		return fmt.Errorf("%q is no duration; 300ms or 2s is", args[0])
	}
	began := time.Now()
	r.pass(d, func() bool { return time.Since(began) >= d })
	return nil
}

// runClock tells how long the servers have run, in virtual time.
func runClock(r *run, _ []string) error {
	r.report("the clock shows %d ms", time.Since(r.w.story.began).Milliseconds())
	return nil
}

func runPropose(r *run, args []string) error {
	i, err := r.up(args[0])
	if err != nil {
		return err
	}
	for _, word := range args[1:] {
		command, err := parseCommand(word)
		if err != nil {
			return err
		}
		number, term, leads := r.c.Server(i).Start(command)
		if leads {
			r.report("%d takes %s as number %d in term %d", i+1, short(command), number, term)
		} else {
			r.report("%d refuses %s: it does not lead", i+1, short(command))
		}
		synctest.Wait()
	}
	return nil
}

// parseCommand reads a command to propose: x, or x+64KiB for one that is filled up
// to that size.
func parseCommand(word string) ([]byte, error) {
	text, size, padded := strings.Cut(word, "+")
	if !padded {
		return []byte(text), nil
	}
	n, err := strconv.Atoi(strings.TrimSuffix(size, "KiB"))
	if err != nil || n < 1 || n > 1024 || !strings.HasSuffix(size, "KiB") {
		return nil, fmt.Errorf("%q is no size of a command; 1KiB to 1024KiB are", size)
	}
	return append([]byte(text), strings.Repeat(".", n<<10-len(text))...), nil
}

// short writes a command without what fills it up.
func short(command []byte) string {
	text := strings.TrimRight(string(command), ".")
	if fill := len(command) - len(text); fill > 0 {
		return fmt.Sprintf("%s+%dKiB", text, len(command)>>10)
	}
	return text
}

func runState(r *run, args []string) error {
	servers, err := r.these(args, r.server)
	if err != nil {
		return err
	}
	for _, i := range servers {
		s := r.c.Server(i)
		if s == nil {
			r.report("%d is down", i+1)
			continue
		}
		shown, ok := s.(tests.Inspector)
		if !ok {
			return fmt.Errorf("this adapter's servers do not show their state")
		}
		now, vote := shown.Inspect(), "nobody"
		if now.VotedFor != "" {
			vote = name(now.VotedFor)
		}
		r.report("%d is %s in term %d, voted for %s, log %d/%d, commit %d, applied %d",
			i+1, now.Role, now.Term, vote, now.LastIndex, now.LastTerm, now.Commit, now.Applied)
	}
	return nil
}

func runApplied(r *run, args []string) error {
	servers, err := r.these(args, r.server)
	if err != nil {
		return err
	}
	for _, i := range servers {
		if r.w.servers[i].running() {
			r.report("%d has applied: %s", i+1, list(r.w.servers[i].hasApplied()))
		} else {
			r.report("%d is down", i+1)
		}
	}
	return nil
}

func list(words []string) string {
	if len(words) == 0 {
		return "nothing"
	}
	return strings.Join(words, " ")
}

var kinds = []string{"prevote", "vote", "append", "heartbeat", "read"}

// applies is what show and hide call the lines of what is applied.
const applies = "applies"

func checkKind(word string) error {
	if !slices.Contains(kinds, word) {
		return fmt.Errorf("%q is no kind of message; there are: %s", word, strings.Join(kinds, ", "))
	}
	return nil
}

func runShow(r *run, args []string) error { return r.setHidden(args, false) }
func runHide(r *run, args []string) error { return r.setHidden(args, true) }

func (r *run) setHidden(words []string, hidden bool) error {
	for _, kind := range words {
		if err := checkKind(kind); err != nil && kind != applies {
			return err
		}
		r.w.mu.Lock()
		r.w.hidden[kind] = hidden
		r.w.mu.Unlock()
	}
	return nil
}
