package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"lockstep.example/raft"
	"lockstep.example/raft/kv"
)

// outcome is what a command line led to.
type outcome struct {
	code     int
	out, err string
}

// lockstep runs a command line inside this process.
func lockstep(t *testing.T, stdin string, args ...string) outcome {
	t.Helper()
	var out, err bytes.Buffer
	a := &app{in: strings.NewReader(stdin), out: &out, err: &err, env: func(string) string { return "" }}
	code := a.run(t.Context(), args)
	return outcome{code, out.String(), err.String()}
}

func TestWrongCommandLines(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, test := range []struct{ line, want string }{
		{"bogus", `there is no command "bogus"`},
		{"--bogus", "there is no flag --bogus"},
		{"get k --bogus", "there is no flag --bogus"},
		{"gte k", `did you mean "get"?`},
		{"help gte", `there is no help on "gte"; did you mean "get"?`},
		{"bench failvoer", `did you mean "failover"?`},
		{"get k --raw --json=true", "--raw and --json"},
		{"put c -5", "-5 looks like a flag"},
		{"get", "KEY is missing"},
		{"put k", "VALUE is missing"},
		{"put k v w", `"w" is one argument too many`},
		{"cas k v", "VALUE is missing"},
		{"cas k one v", `REVISION "one" is not a number`},
		{"cas k -1 v", "put -- before it"},
		{"list a b", `"b" is one argument too many`},
		{"list --limit 0", "--limit is 0"},
		{"status now", `it takes no argument, and got "now"`},
		{"get k", "no cluster"},
		{"get k --timeout 0s", "--timeout is 0s"},
		{"get k --timeout 5", `--timeout is "5"; give a number with a unit, such as 5s`},
		{"get k --timeout", "--timeout needs a value"},
		{"list --limit x", `--limit is "x"; give a whole number`},
		{"get k --servers nowhere", `"nowhere" is not an address`},
		{"get k --servers 127.0.0.1:", "is not an address"},
		{"get k --cluster elsewhere", "no cluster: elsewhere holds none"},
		{"get k --cluster . --servers 127.0.0.1:1", "--cluster and --servers"},
		{"up -n 0", "-n is 0"},
		{"up -n 10", "-n is 10"},
		{"up now", "takes no argument"},
		{"serve", "--dir is missing"},
		{"serve --dir d --listen 7001", `"7001" is not an address`},
		{"init --dir d --id n1", "--cluster is missing"},
		{"init --dir d --id n1 --cluster c", "--servers is missing"},
		{"init --dir d --id n1 --cluster c --servers n1", "is not ID=host:port"},
		{"init --dir d --id n1 --cluster c --servers n2=h:1", "does not name n1"},
		{"init --dir d --id n1 --cluster c --servers n1=h:1,n1=h:2", "names n1 twice"},
		{"init --dir d --id n1 --cluster c --servers n1=h:1,n2=h:1", "the same address h:1"},
		{"init --dir d --id n1 --cluster c --servers n1=h:0", "port 0"},
		{"init --dir d --id n1 --cluster c --servers n1=h:1,n\x7f2=h:2", "cannot be seen"},
		{"bench --clients 0", "--clients names 0"},
		{"bench --size 15", "--size is 15"},
		{"bench --duration 1ns", "--duration is 1ns"},
		{"bench failover --rounds 0", "--rounds is 0"},
		{"bench failover --servers 2", "--servers is 2; give 3 to 9"},
		{"bench failover --restart 0s", "--restart is 0s"},
		{"up --dir=", "--dir is empty"},
		{"get k --cluster=", "--cluster is empty"},
		{"get k --servers=", "--servers is empty"},
		{"get k --servers h:70000", "ports go from 1"},
	} {
		got := lockstep(t, "", strings.Fields(test.line)...)
		if got.code != exitUsage || !strings.Contains(got.err, test.want) {
			t.Errorf("lockstep %s: exit code %d, %q; want %d and %q", test.line, got.code, got.err, exitUsage, test.want)
		}
		if strings.Count(got.err, "\n") != 1 || !strings.HasPrefix(got.err, "lockstep: ") || got.out != "" && !strings.Contains(test.line, "--json") {
			t.Errorf("lockstep %s: not one line on standard error alone: %q and %q", test.line, got.err, got.out)
		}
	}
}

func TestNoClusterNamesEveryWay(t *testing.T) {
	t.Chdir(t.TempDir())
	got := lockstep(t, "", "get", "k")
	for _, way := range []string{"lockstep up", "--cluster", "--servers", serversEnv, defaultDir} {
		if !strings.Contains(got.err, way) {
			t.Errorf("%q does not name %s", got.err, way)
		}
	}
}

// TestLimits needs no cluster: a key or value that no server would take is
// refused before anybody is asked.
func TestLimits(t *testing.T) {
	longKey, longValue := strings.Repeat("k", kv.MaxKeyBytes+1), strings.Repeat("v", kv.MaxValueBytes+1)
	for _, test := range []struct {
		name, stdin, want string
		args              []string
	}{
		{"empty key", "", "empty key", []string{"put", "", "v"}},
		{"empty key to read", "", "empty key", []string{"get", ""}},
		{"empty key to delete", "", "empty key", []string{"del", ""}},
		{"long key", "", "4096", []string{"put", longKey, "v"}},
		{"long key to read", "", "4096", []string{"get", longKey}},
		{"long prefix", "", "4096", []string{"list", longKey}},
		{"long value", "", "1048576", []string{"append", "k", longValue}},
		{"long value to swap", "", "1048576", []string{"cas", "k", "0", longValue}},
		{"long standard input", longValue, "1048576", []string{"put", "k", "-"}},
	} {
		got := lockstep(t, test.stdin, append(test.args, "--servers", "127.0.0.1:1", "--timeout", "1m")...)
		if got.code != exitUsage || !strings.Contains(got.err, test.want) {
			t.Errorf("%s: exit code %d, %q; want %d and %q", test.name, got.code, got.err, exitUsage, test.want)
		}
	}
}

func TestNobodyAnswers(t *testing.T) {
	for _, command := range [][]string{{"get", "k"}, {"get", "k", "--stale"}, {"put", "k", "v"}, {"list"}, {"status"}} {
		got := lockstep(t, "", append(command, "--servers", "127.0.0.1:1", "--timeout", "50ms", "--json")...)
		var object struct {
			Error string
			Exit  int
		}
		if err := json.Unmarshal([]byte(got.out), &object); err != nil {
			t.Fatalf("%v printed %q: %v", command, got.out, err)
		}
		if got.code != exitUnavailable || object.Exit != got.code || object.Error == "" {
			t.Errorf("%v: exit code %d, in JSON %d, %q; want %d", command, got.code, object.Exit, object.Error, exitUnavailable)
		}
	}
}

func TestExitCodes(t *testing.T) {
	refused := &raft.NotLeaderError{}
	for _, test := range []struct {
		err  error
		want int
	}{
		{nil, exitOK},
		{errors.New("whatever"), exitFailed},
		{usage("wrong"), exitUsage},
		{fmt.Errorf("put: %w", &kv.LimitError{What: "value"}), exitUsage},
		{fmt.Errorf("put: %w", kv.ErrEmptyKey), exitUsage},
		{coded(exitNotFound, "no key"), exitNotFound},
		{fmt.Errorf("cas: %w", &kv.ConflictError{}), exitCompare},
		{&kv.UnknownError{Cause: refused}, exitUnknown},
		{&kv.UnknownError{Cause: &kv.UnavailableError{Cause: context.DeadlineExceeded}}, exitUnknown},
		{&kv.SessionError{}, exitUnknown},
		{&kv.UnavailableError{Cause: refused}, exitUnavailable},
	} {
		if got := exitCode(test.err); got != test.want {
			t.Errorf("exit code of %v is %d, want %d", test.err, got, test.want)
		}
	}
	help := lockstep(t, "", "help", "exit-codes")
	for code := exitOK; code <= exitUnprinted; code++ {
		if !strings.Contains(help.out, fmt.Sprintf("\n  %d  ", code)) {
			t.Errorf("the help does not document exit code %d", code)
		}
	}
}

// TestHelp demands of every command a description and examples whose flags and
// arguments the command takes.
func TestHelp(t *testing.T) {
	a := &app{env: func(string) string { return "" }}
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		for _, child := range c.Commands() {
			visit(child)
		}
		if !c.Runnable() || c.Name() == "completion" || c.Parent() != nil && c.Parent().Name() == "completion" || c.Name() == "help" {
			return
		}
		if c.Short == "" || c.Example == "" {
			t.Errorf("%s: its help has no description or no example", c.CommandPath())
		}
		for line := range strings.Lines(c.Example) {
			checkExample(t, c, line)
		}
	}
	visit(a.root())
}

func checkExample(t *testing.T, c *cobra.Command, line string) {
	t.Helper()
	line, _, _ = strings.Cut(strings.TrimSpace(line), "#")
	at := strings.Index(line, "lockstep ")
	if at < 0 {
		t.Errorf("%s: the example %q does not run lockstep", c.CommandPath(), line)
		return
	}
	var args []string
	for i, part := range strings.Split(line[at+len("lockstep "):], `"`) { // odd parts are quoted
		if i%2 == 1 {
			args = append(args, part)
		} else {
			args = append(args, strings.Fields(part)...)
		}
	}
	found, rest, err := (&app{env: func(string) string { return "" }}).root().Find(args)
	if err == nil {
		err = found.ParseFlags(rest)
	}
	if err == nil && found.Args != nil {
		err = found.Args(found, found.Flags().Args())
	}
	if err != nil || found.Name() != c.Name() && c.HasParent() {
		t.Errorf("%s: its example %q runs %s: %v", c.CommandPath(), line, found.CommandPath(), err)
	}
}

func TestVersionAndCompletion(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"--version"}, {"completion", "bash"}, {"help", "clusters"}} {
		if got := lockstep(t, "", args...); got.code != exitOK || got.out == "" || got.err != "" {
			t.Errorf("lockstep %v: exit code %d, %d bytes, %q", args, got.code, len(got.out), got.err)
		}
	}
}

func TestBytesInJSON(t *testing.T) {
	f := fields{}.bytes("key", []byte("<grün>")).bytes("value", []byte{0xff, 0})
	var out bytes.Buffer
	if err := printJSON(&out, f); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), `{"key":"<grün>","value_base64":"/wA="}`+"\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}

func TestTableAndShell(t *testing.T) {
	var out bytes.Buffer
	if err := printTable(&out, [][]string{{"A", "B", "C"}, {"ü", "10", "x"}, {"longer", "9", ""}}, 1); err != nil {
		t.Fatal(err)
	}
	if want := "A        B  C\nü       10  x\nlonger   9\n"; out.String() != want {
		t.Errorf("the table is\n%s, want\n%s", out.String(), want)
	}
	if got, want := shellLine([]string{"put", "a b", "it's", ""}), `put 'a b' 'it'\''s' ''`; got != want {
		t.Errorf("the shell gets %s, want %s", got, want)
	}
	if got := shown(nil); got != `""` {
		t.Errorf("an empty value is shown as %q", got)
	}
	if got, want := shown([]byte("a\u202eb")), `"a\u202eb"`; got != want {
		t.Errorf("shown as %s, want %s", got, want)
	}
	if got, want := shown([]byte("a\xff\n")), `"a\xff\n"`; got != want {
		t.Errorf("shown as %s, want %s", got, want)
	}
	long := shown([]byte(strings.Repeat("x", 100)))
	if !strings.HasSuffix(long, "... (100 bytes)") || len(long) > 70 {
		t.Errorf("a long value is shown as %s", long)
	}
}
