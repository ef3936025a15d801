package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"

	"lockstep.example/raft/cmd/lockstep/internal/local"
)

// TestPrinterNeverWaits says far more than fits while nobody reads; it would
// hang otherwise.
func TestPrinterNeverWaits(t *testing.T) {
	reader, writer := io.Pipe()
	p := newPrinter(writer)
	const said = 4 * queuedLines
	for i := range said {
		p.say(fmt.Sprint("line ", i))
	}
	lines := bufio.NewScanner(reader)
	read := 0
	dropped := 0
	count := func() {
		var n int
		if strings.HasPrefix(lines.Text(), "line ") {
			read++
		} else if _, err := fmt.Sscanf(lines.Text(), "(%d lines were dropped", &n); err == nil {
			dropped += n
		}
	}
	for range queuedLines / 2 { // now there is room
		lines.Scan()
		count()
	}
	p.say("last")
	go func() {
		p.close()
		writer.Close()
	}()
	last := ""
	for lines.Scan() {
		count()
		last = lines.Text()
	}
	if last != "last" || dropped == 0 || read+dropped != said {
		t.Errorf("it ended with %q; %d lines read and %d dropped of %d", last, read, dropped, said)
	}
}

func TestUpSaysWhatIsWrong(t *testing.T) {
	var out strings.Builder
	r := &upReport{printer: newPrinter(&out), dir: "D", program: "lockstep", causes: map[string]string{}}
	died := local.Exited{Member: local.Member{ID: "n1"}, Pid: 7, Cause: "exit code 1: no disk", Restart: 1}
	r.tell(died)
	r.tell(died)
	died.Cause = "exit code 1: no port"
	r.tell(died)
	r.tell(local.Leaderless{Answers: 1, Servers: 3, See: "n2"})
	r.close()
	want := `n1 died (pid 7): exit code 1: no disk; starting it again in 1ns
n1 died (pid 7): again, for the same reason; starting it again in 1ns
n1 died (pid 7): exit code 1: no port; starting it again in 1ns
no leader yet: 1 of 3 answer; see D/n2.log
`
	if out.String() != want {
		t.Errorf("it says\n%swant\n%s", out.String(), want)
	}
}
