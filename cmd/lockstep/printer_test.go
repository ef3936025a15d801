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
	for read < queuedLines && lines.Scan() { // now there is room
		read++
	}
	dropped := p.dropped
	p.say("last")
	go func() {
		p.close()
		writer.Close()
	}()
	text := ""
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "line ") {
			read++
		} else {
			text += lines.Text() + "\n"
		}
	}
	if want := fmt.Sprintf("(%d lines were dropped, for nobody read them)\nlast\n", dropped); text != want || read+dropped != said {
		t.Errorf("it ended with %q, want %q; %d lines read of %d", text, want, read, said)
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
