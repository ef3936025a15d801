package script

import (
	"context"
	"fmt"
	"time"

	"lockstep.example/raft/tests"
)

// noDeadline: a forged request waits for its answer as long as the run lasts.
var noDeadline time.Time

func runCrash(r *run, args []string) error {
	keep := args[len(args)-1] == "keep"
	if keep {
		args = args[:len(args)-1]
	}
	if len(args) == 0 {
		return fmt.Errorf("usage: %s", verbs["crash"].usage)
	}
	servers, err := r.these(args, r.up)
	if err != nil {
		return err
	}
	for _, i := range servers {
		r.w.servers[i].end(keep)
	}
	r.c.Crash(servers...)
	return nil
}

func runStart(r *run, args []string) error {
	servers, err := r.these(args, r.down)
	if err != nil {
		return err
	}
	for _, i := range servers {
		delete(r.stubs, i)
		r.c.Start(i)
	}
	return nil
}

func runDisk(r *run, args []string) error {
	i, err := r.up(args[0])
	if err != nil {
		return err
	}
	switch args[1] {
	case "hold":
		r.w.servers[i].holdDisk()
	case "release":
		r.w.servers[i].releaseDisk()
	default:
		return fmt.Errorf("a disk is told to hold or to release its flushes, not to %q", args[1])
	}
	return nil
}

// runRead asks for a linearizable read; its answer is told when it comes.
func runRead(r *run, args []string) error {
	i, err := r.up(args[0])
	if err != nil {
		return err
	}
	reader, ok := r.c.Server(i).(tests.Reader)
	if !ok {
		return fmt.Errorf("this adapter's servers serve no reads")
	}
	s := r.w.servers[i]
	r.calls.Go(func() {
		if reader.Read(r.ctx) == nil {
			s.tell(anApply, "%d answers the read: %s", i+1, list(s.hasApplied()))
		} else if r.ctx.Err() == nil {
			s.tell(anApply, "%d cannot answer the read", i+1)
		}
	})
	return nil
}

// callPatience is how long a client waits for the outcome of its proposal.
const callPatience = 3 * time.Second

// runCall proposes as a client does, who wants to know what became of it.
func runCall(r *run, args []string) error {
	i, err := r.up(args[0])
	if err != nil {
		return err
	}
	proposer, ok := r.c.Server(i).(tests.Proposer)
	if !ok {
		return fmt.Errorf("this adapter's servers tell no outcome of proposals")
	}
	command, err := parseCommand(args[1])
	if err != nil {
		return err
	}
	s := r.w.servers[i]
	r.calls.Go(func() {
		ctx, cancel := context.WithTimeout(r.ctx, callPatience)
		defer cancel()
		number, outcome := proposer.Propose(ctx, command)
		if r.ctx.Err() != nil {
			return
		}
		switch outcome {
		case tests.Acknowledged:
			s.tell(anApply, "%d acknowledges %s at number %d", i+1, short(command), number)
		case tests.Rejected:
			s.tell(anApply, "%d rejects %s: it will never be applied", i+1, short(command))
		default:
			s.tell(anApply, "%d does not know what becomes of %s", i+1, short(command))
		}
	})
	return nil
}
