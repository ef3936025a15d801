package script

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
)

// TestBadScripts: what is wrong with a script is told with its line, before the run
// where it can be. Each row is a script from line 1 on; none is line 1 itself.
func TestBadScripts(t *testing.T) {
	const start = "nodes 3\n----\n\n"
	for _, row := range []struct {
		script string
		line   int
		reason string
	}{
		// The form of the file.
		{"", 1, "no command in this file"},
		{"# only a comment\n", 1, "no command in this file"},
		{"nodes 3\n", 1, "no ---- after the commands of this block"},
		{start + "settle\n\nstate\n----\n", 4, "no ---- after the commands of this block"},
		{start + "----\n", 4, "---- without a command before it"},
		{"settle\n----\n", 1, "nodes is the first command of a script"},
		{start + "nodes 3\n----\n", 4, "nodes is the first command of a script, and only the first"},
		{start + "# a comment\nfly 1\n----\n", 5, `unknown command "fly"; there are: applied, call, clock, `},
		{start + "propose 1\n----\n", 4, "usage: propose SERVER COMMAND..."},
		{start + "settle now\n----\n", 4, "usage: settle"},

		// Servers.
		{"nodes many\n----\n", 1, `"many" is no number of servers; it is 1 to 9`},
		{"nodes 10\n----\n", 1, `"10" is no number of servers; it is 1 to 9`},
		{start + "propose 0 x\n----\n", 4, `"0" is no server; servers are 1, 2, 3 and so on`},
		{start + "state\npropose s1 x\n----\n", 5, `"s1" is no server`},
		{start + "propose 4 x\n----\n", 4, "there is no server 4; there are 3"},
		{start + "crash 2\npropose 2 x\n----\n", 5, "server 2 is down"},
		{start + "crash 2\ncall 2 x\n----\n", 5, "server 2 is down"},
		{start + "crash 2\nread 2\n----\n", 5, "server 2 is down"},
		{start + "crash 2\ntimeout 2\n----\n", 5, "server 2 is down"},
		{start + "crash 2\ndisk 2 hold\n----\n", 5, "server 2 is down"},
		{start + "crash 2\ncrash 2\n----\n", 5, "server 2 is down"},
		{start + "start 2\n----\n", 4, "server 2 is up"},
		{start + "crash 2 2\n----\n", 4, "server 2 is named twice"},
		{start + "crash keep\n----\n", 4, "usage: crash SERVER... [keep]"},
		{start + "state 4\n----\n", 4, "there is no server 4"},
		{start + "applied 4\n----\n", 4, "there is no server 4"},

		// Time.
		{start + "wait soon\n----\n", 4, `"soon" is no duration; 300ms or 2s is`},
		{start + "wait 50us\n----\n", 4, `"50us" is no duration`},
		{start + "elect 1\ntimeout 1\n----\n", 5, "server 1 leads: it has no election timer"},
		{start + "elect 1\ntimeout 2\n----\n", 5, "the election timer of server 2 has not fired within 2s: it hears a leader"},
		{start + "partition 1 2,3\nelect 1\n----\n", 5, "server 1 is not elected; use timeout and settle to see why"},

		// Network.
		{start + "hold 1-2\n----\n", 4, `"1-2" is no link; a link is 1->2, *->2 or 1->*`},
		{start + "hold 1->9\n----\n", 4, "there is no server 9"},
		{start + "hold 1->2 letter\n----\n", 4, `"letter" is no kind of message; there are: prevote, vote, append, heartbeat, read`},
		{start + "hold 1->2 append twice\n----\n", 4, `"twice" means nothing here`},
		{start + "hold 1->2\nhold 1->2\n----\n", 5, `"1->2" is held already`},
		{start + "hold 1->2\nrelease 1->2 append\n----\n", 5, `"1->2 append" is not held; name it as in its hold command`},
		{start + "drop 1->2\n----\n", 4, `"1->2" is not held`},
		{start + "hold 1->2\npass 1->2\n----\n", 5, `"1->2" has caught no message`},
		{start + "cut 1\n----\n", 4, `"1" is no link`},
		{start + "partition 1,2 2,3\n----\n", 4, "server 2 is in two groups"},
		{start + "partition 1,4\n----\n", 4, "there is no server 4"},
		{start + "show letters\n----\n", 4, `"letters" is no kind of message`},

		// Commands, disks, forged messages.
		{start + "propose 1 x+7\n----\n", 4, `"7" is no size of a command`},
		{start + "call 1 x+2MiB\n----\n", 4, `"2MiB" is no size of a command`},
		{start + "disk 1 eject\n----\n", 4, `a disk is told to hold or to release its flushes, not to "eject"`},
		{start + "send 2->1 vote term 5 log 1/1\n----\n", 4, "server 2 is up; only for a server that is down messages can be forged"},
		{start + "crash 1 2\nsend 2->1 vote term 5 log 1/1\n----\n", 5, "server 1 is down"},
		{start + "crash 2\nsend 2-1 vote term 5 log 1/1\n----\n", 5, `"2-1" is no link from one server to another`},
		{start + "crash 2\nsend 2->1 letter term 5\n----\n", 5, `"letter" is no kind of message`},
		{start + "crash 2\nsend 2->1 vote term\n----\n", 5, `"term" has no value`},
		{start + "crash 2\nsend 2->1 vote term 5\n----\n", 5, "log is missing"},
		{start + "crash 2\nsend 2->1 vote term five log 1/1\n----\n", 5, `term is a number, not "five"`},
		{start + "crash 2\nsend 2->1 vote term 5 log 1\n----\n", 5, `log is index/term, not "1"`},
		{start + "crash 2\nsend 2->1 vote term 5 log 1/1/1\n----\n", 5, `log is index/term, not "1/1/1"`},
		{start + "crash 2\nsend 2->1 vote term 5 log 1/1 colour 3\n----\n", 5, "colour means nothing here"},
		{start + "crash 2\nsend 2->1 vote term 5 term 6 log 1/1\n----\n", 5, "term is told twice"},
		{start + "crash 2\nsend 2->1 append term 5 prev 1/1 commit 1 entries 5,x\n----\n", 5, `entries are numbers with commas between them, not "5,x"`},
	} {
		err := runText(t, row.script)
		var bad *Error
		if !errors.As(err, &bad) {
			t.Errorf("%q: %v", row.script, err)
			continue
		}
		if bad.Line != row.line || !strings.Contains(bad.Reason, row.reason) || !strings.HasPrefix(err.Error(), "bad.txt:") {
			t.Errorf("%q:\n got  %v\n want line %d, %s", row.script, err, row.line, row.reason)
		}
	}
}

// runText parses and runs a script.
func runText(t *testing.T, text string) (err error) {
	t.Helper()
	s, err := Parse("bad.txt", text)
	if err != nil {
		return err
	}
	synctest.Test(t, func(t *testing.T) { _, err = s.Run(t, Lockstep) })
	return err
}

// TestCompare: a difference is told with its line, what was expected, what happened.
func TestCompare(t *testing.T) {
	s, err := Parse("some.txt", "# Rule: none.\nnodes 3\n----\n\nstate 1\nstate 2\n----\none\ntwo\nthree\n")
	if err != nil {
		t.Fatal(err)
	}
	if difference := s.Compare([][]string{nil, {"one", "two", "three"}}); difference != "" {
		t.Errorf("of equal transcripts: %s", difference)
	}
	want := "some.txt:9: after \"state 1; state 2\" (-: the file says, +: it happened)\n\t  one\n\t- two\n\t+ zwei\n\t  three\n\t+ four\n"
	if got := s.Compare([][]string{nil, {"one", "zwei", "three", "four"}}); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
