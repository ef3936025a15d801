package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"lockstep.example/raft/cmd/lockstep/internal/local"
	"lockstep.example/raft/cmd/lockstep/internal/node"
	"lockstep.example/raft/rpc"
)

// probeTimeout bounds the question whether servers run without their "up".
const probeTimeout = time.Second

// afterthought is what finding out about a failure may add to the timeout.
const afterthought = 500 * time.Millisecond

// checkUp fails at once if the directory's "up" does not run and no server
// answers, for then trying again is in vain. Servers may have been started by
// hand, so that "up" alone tells nothing.
func (t *target) checkUp(ctx context.Context, client *rpc.Client, members []local.Member) error {
	if t.dir == "" || local.Running(t.dir) {
		return nil
	}
	for _, s := range node.Statuses(ctx, client, local.Addresses(members), min(t.timeout, probeTimeout)) {
		if s.Err == nil {
			return nil
		}
	}
	if ctx.Err() != nil {
		return interrupted(ctx.Err())
	}
	return coded(exitUnavailable, "the cluster in %s is not up: no server answers; start it with: %s", t.dir, upLine(t.dir))
}

// upLine is the command that runs the cluster of a directory.
func upLine(dir string) string {
	command := []string{"up"}
	if dir != defaultDir {
		command = append(command, "--dir", dir)
	}
	return programName() + " " + shellLine(command)
}

// unavailable says in short why an operation was not done in time. The error
// itself tells of the latest attempt alone, so the servers are asked how they do.
func (t *target) unavailable(c *cobra.Command, client *rpc.Client, members []local.Member) error {
	what := c.Name()
	if args := c.Flags().Args(); len(args) > 0 {
		what += " " + printable([]byte(args[0]))
	}
	statuses := node.Statuses(c.Context(), client, local.Addresses(members), min(t.timeout, afterthought))
	why, answers := "", 0
	for _, s := range statuses {
		if s.Err == nil {
			what, _, _ := strings.Cut(s.Why, ";") // status has the rest
			why = s.ID + ": " + what
			answers++
		}
	}
	if answers > 0 {
		return coded(exitUnavailable, "%s: no server could do it within %v (%d of %d answer; %s); see \"lockstep status\"",
			what, t.timeout, answers, len(statuses), why)
	}
	first := strings.TrimSpace(string(members[0].ID) + " " + members[0].Address)
	start := "start the servers"
	if t.dir != "" {
		start = "start the cluster with \"" + upLine(t.dir) + "\""
	}
	return coded(exitUnavailable, "%s: no server answered within %v (%d asked; %s: %s); %s, or see \"lockstep status\"",
		what, t.timeout, len(statuses), first, silence(statuses[0].Err), start)
}

// silence says why a server does not answer, without what was asked of whom.
func silence(err error) string {
	var call *rpc.CallError
	if errors.As(err, &call) {
		err = call.Err
	}
	var number syscall.Errno
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "none within the timeout"
	case errors.As(err, &number):
		return number.Error()
	}
	return strings.ReplaceAll(fmt.Sprint(err), "\n", "; ")
}
