// Command lockstep runs and uses the replicated key-value store: "lockstep up"
// starts a cluster on this machine, "lockstep put" and its kin use one,
// "lockstep bench" measures one. "lockstep help" tells the rest.
//
// Each command has a file of its own here. What runs a server is in
// internal/node, what runs a cluster of processes in internal/local, what
// measures in internal/load and internal/failover.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	stopSignals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup ignores it
		stopSignals = append(stopSignals, syscall.SIGHUP)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), stopSignals...)
	// A second signal kills; not one that comes with the first, for some programs
	// send theirs to the process and to its group.
	context.AfterFunc(ctx, func() { time.AfterFunc(300*time.Millisecond, cancel) })
	// To write to a pipe that nobody reads is an error like others, so that it
	// ends neither up with its servers, nor a write without a word.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Getenv}
	code := a.run(ctx, os.Args[1:])
	cancel()
	os.Exit(code)
}
