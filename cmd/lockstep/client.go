package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"lockstep.example/raft/cmd/lockstep/internal/local"
	"lockstep.example/raft/kv"
	"lockstep.example/raft/rpc"
)

// withClerk runs an operation of a client command, within its timeout.
func (a *app) withClerk(c *cobra.Command, t *target, operation func(context.Context, *kv.Clerk) error) error {
	return a.withValue(c, t, "", func(ctx context.Context, clerk *kv.Clerk, _ []byte) error { return operation(ctx, clerk) })
}

// withValue runs an operation that needs the value which an argument stands for.
// The value is read before the time of the operation begins: whoever types it
// does so at leisure.
func (a *app) withValue(c *cobra.Command, t *target, argument string, operation func(context.Context, *kv.Clerk, []byte) error) error {
	members, err := t.find(a.env)
	if err != nil {
		return err
	}
	value, err := a.value(c.Context(), argument)
	if err != nil {
		return err
	}
	client := rpc.NewClient(rpc.ClientConfig{})
	defer client.Close()
	if err := t.checkUp(c.Context(), client, members); err != nil {
		return err
	}
	clerk, err := kv.NewClerk(kv.ClerkConfig{
		Servers: local.Addresses(members), Caller: client,
		AttemptTimeout: min(2*time.Second, t.timeout/4), // a server that hangs must leave time for the others
	})
	if err != nil {
		return err
	}
	defer clerk.Close()
	ctx, cancel := context.WithTimeout(c.Context(), t.timeout)
	defer cancel()
	err = operation(ctx, clerk, value)
	switch {
	case err != nil && c.Context().Err() != nil && exitCode(err) != exitUnprinted:
		return interrupted(err)
	case errors.Is(err, kv.ErrUnavailable) && exitCode(err) == exitUnavailable:
		return t.unavailable(c, client, members)
	}
	return err
}

// interrupted says what a signal left behind.
func interrupted(err error) error {
	if errors.Is(err, kv.ErrUnknown) {
		return coded(exitUnknown, "interrupted; outcome unknown: the write may have been done, or not; read the key to find out")
	}
	return coded(exitFailed, "interrupted; nothing was changed")
}

func (a *app) getCommand() *cobra.Command {
	var t target
	var stale, raw bool
	c := &cobra.Command{
		Use:   "get KEY",
		Short: "Read a key",
		Long: `Print the value of a key, and a newline. The read is linearizable: it sees every
write acknowledged before it began.`,
		Example: `  lockstep get color
  lockstep get color --stale --servers 127.0.0.1:7002`,
		Args: arguments("KEY"),
		RunE: func(c *cobra.Command, args []string) error {
			if raw && t.json {
				return usage("--raw and --json print the value in two ways; give one of them")
			}
			return a.withClerk(c, &t, func(ctx context.Context, clerk *kv.Clerk) error {
				read := clerk.Get
				if stale {
					read = clerk.GetStale
				}
				r, err := read(ctx, []byte(args[0]))
				if err == nil && !r.Found {
					err = coded(exitNotFound, "there is no key %s", printable([]byte(args[0])))
				}
				if err != nil {
					return err
				}
				if t.json {
					return printJSON(a.out, item(r.KeyValue).with("revision", r.Revision).with("stale", r.Stale))
				}
				if _, err := a.out.Write(r.Value); err != nil || raw {
					return err
				}
				_, err = fmt.Fprintln(a.out)
				return err
			})
		},
	}
	t.flags(c, defaultTimeout)
	c.Flags().BoolVar(&stale, "stale", false, "read what one server has, leader or not; newer writes may be missing")
	c.Flags().BoolVar(&raw, "raw", false, "print the bytes of the value and nothing else")
	return c
}

func (a *app) putCommand() *cobra.Command {
	return a.writeCommand(&cobra.Command{
		Use:   "put KEY VALUE",
		Short: "Give a key a value",
		Long: `Give a key a value; with "-" for the value it is read from standard input, as it
is: a newline at its end is part of it. A key has 1 byte to 4 KiB, a value up to
1 MiB. What begins with "-" and is no flag goes after "--".`,
		Example: `  lockstep put color blue
  lockstep put celsius -- -5
  printf %s blue | lockstep put color -`,
	}, (*kv.Clerk).Put)
}

func (a *app) appendCommand() *cobra.Command {
	return a.writeCommand(&cobra.Command{
		Use:   "append KEY VALUE",
		Short: "Add to the end of a key's value",
		Long: `Add to the end of a key's value; a missing key is made. With "-" for the value it
is read from standard input. It happens once, however often it must be sent.`,
		Example: `  lockstep append log "one more line"`,
	}, (*kv.Clerk).Append)
}

// writeCommand completes a command that takes a key and a value.
func (a *app) writeCommand(c *cobra.Command, write func(*kv.Clerk, context.Context, []byte, []byte) (kv.WriteResult, error)) *cobra.Command {
	var t target
	c.Args = arguments("KEY", "VALUE")
	c.RunE = func(c *cobra.Command, args []string) error {
		return a.withValue(c, &t, args[1], func(ctx context.Context, clerk *kv.Clerk, value []byte) error {
			r, err := write(clerk, ctx, []byte(args[0]), value)
			return a.written(&t, []byte(args[0]), r, err)
		})
	}
	t.flags(c, defaultTimeout)
	return c
}

func (a *app) casCommand() *cobra.Command {
	var t target
	c := &cobra.Command{
		Use:   "cas KEY REVISION VALUE",
		Short: "Give a key a value if nobody changed it meanwhile",
		Long: `Give a key a value if its revision is still the given one; 0 means that the key
must not exist. put, append and cas print the revision of a key, list and
"get --json" show it ("mod_revision"). With "-" for the value it is read from
standard input. Exit code 4: the key has another revision.`,
		Example: `  lockstep cas lock 0 "mine"`,
		Args:    arguments("KEY", "REVISION", "VALUE"),
		RunE: func(c *cobra.Command, args []string) error {
			revision, err := parseRevision(args[1])
			if err != nil {
				return err
			}
			return a.withValue(c, &t, args[2], func(ctx context.Context, clerk *kv.Clerk, value []byte) error {
				r, err := clerk.CompareAndSwap(ctx, []byte(args[0]), value, revision)
				return a.written(&t, []byte(args[0]), r, err)
			})
		},
	}
	t.flags(c, defaultTimeout)
	return c
}

func (a *app) delCommand() *cobra.Command {
	var t target
	c := &cobra.Command{
		Use:     "del KEY",
		Short:   "Delete a key",
		Long:    `Delete a key. Exit code 3: there is no such key.`,
		Example: `  lockstep del color`,
		Args:    arguments("KEY"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.withClerk(c, &t, func(ctx context.Context, clerk *kv.Clerk) error {
				r, err := clerk.Delete(ctx, []byte(args[0]))
				if err == nil && !r.Found {
					err = coded(exitNotFound, "there is no key %s", printable([]byte(args[0])))
				}
				if err != nil {
					return err
				}
				return a.done(&t, r.Revision, fields{"revision": r.Revision}.bytes("key", []byte(args[0])))
			})
		},
	}
	t.flags(c, defaultTimeout)
	return c
}

// written tells what a write did.
func (a *app) written(t *target, key []byte, r kv.WriteResult, err error) error {
	if err != nil {
		return err
	}
	return a.done(t, r.ModRevision, fields{
		"revision": r.Revision, "create_revision": r.CreateRevision, "mod_revision": r.ModRevision, "version": r.Version,
	}.bytes("key", key))
}

// done prints the answer to a write. If that fails the write is done all the
// same, which the error and its exit code must not deny.
func (a *app) done(t *target, revision uint64, answer fields) error {
	var err error
	if t.json {
		err = printJSON(a.out, answer)
	} else {
		_, err = fmt.Fprintf(a.out, "ok, revision %d\n", revision)
	}
	if err != nil {
		return coded(exitUnprinted, "the write is done (revision %d), but its answer could not be printed: %w", revision, err)
	}
	return nil
}

// value returns the value an argument stands for, "-" being standard input. The
// goroutine that reads may outlive an interrupted command: a read cannot be
// called off. It ends with the process.
func (a *app) value(ctx context.Context, argument string) ([]byte, error) {
	if argument != "-" {
		return []byte(argument), nil
	}
	type input struct {
		value []byte
		err   error
	}
	read := make(chan input, 1)
	go func() {
		// One byte above the limit is enough to have it refused; the rest is not
		// worth reading.
		value, err := io.ReadAll(io.LimitReader(a.in, kv.MaxValueBytes+1))
		read <- input{value, err}
	}()
	select {
	case <-ctx.Done():
		return nil, interrupted(context.Cause(ctx))
	case in := <-read:
		if in.err != nil {
			return nil, fmt.Errorf("read the value from standard input: %w", in.err)
		}
		if len(in.value) > kv.MaxValueBytes {
			return nil, usage("limit exceeded: the value on standard input has more than the limit of %d bytes; nothing was changed", kv.MaxValueBytes)
		}
		return in.value, nil
	}
}
