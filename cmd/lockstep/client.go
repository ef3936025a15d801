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
	err := func() error {
		members, err := t.find(a.env)
		if err != nil {
			return err
		}
		client := rpc.NewClient(rpc.ClientConfig{})
		defer client.Close()
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
		return operation(ctx, clerk)
	}()
	return a.report(t, err)
}

// report passes an error on, after printing it as JSON if that was asked for.
func (a *app) report(t *target, err error) error {
	if err == nil || !t.json {
		return err
	}
	outcome := "none"
	if exitCode(err) == exitUnknown {
		outcome = "unknown"
	}
	return errors.Join(err, printJSON(a.out, fields{"error": err.Error(), "exit": exitCode(err), "outcome": outcome}))
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
		Long: `Give a key a value; with "-" for the value it is read from standard input. A key
has 1 byte to 4 KiB, a value up to 1 MiB. What begins with "-" and is no flag goes
after "--".`,
		Example: `  lockstep put color blue
  lockstep put celsius -- -5
  echo blue | lockstep put color -`,
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
		return a.withClerk(c, &t, func(ctx context.Context, clerk *kv.Clerk) error {
			value, err := a.value(args[1])
			if err != nil {
				return err
			}
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
"get --json" show it ("mod_revision"). Exit code 4: it has another one.`,
		Example: `  lockstep cas lock 0 "mine"`,
		Args:    arguments("KEY", "REVISION", "VALUE"),
		RunE: func(c *cobra.Command, args []string) error {
			revision, err := parseRevision(args[1])
			if err != nil {
				return a.report(&t, err)
			}
			return a.withClerk(c, &t, func(ctx context.Context, clerk *kv.Clerk) error {
				value, err := a.value(args[2])
				if err != nil {
					return err
				}
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
				if t.json {
					return printJSON(a.out, fields{"revision": r.Revision}.bytes("key", []byte(args[0])))
				}
				_, err = fmt.Fprintf(a.out, "ok, revision %d\n", r.Revision)
				return err
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
	if t.json {
		return printJSON(a.out, fields{
			"revision": r.Revision, "create_revision": r.CreateRevision, "mod_revision": r.ModRevision, "version": r.Version,
		}.bytes("key", key))
	}
	_, err = fmt.Fprintf(a.out, "ok, revision %d\n", r.ModRevision)
	return err
}

// value returns the value an argument stands for, "-" being standard input.
func (a *app) value(argument string) ([]byte, error) {
	if argument != "-" {
		return []byte(argument), nil
	}
	// One byte above the limit is enough to have it refused; the rest is not
	// worth reading.
	value, err := io.ReadAll(io.LimitReader(a.in, kv.MaxValueBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the value from standard input: %w", err)
	}
	if len(value) > kv.MaxValueBytes {
		return nil, coded(exitUsage, "limit exceeded: the value on standard input has more than the limit of %d bytes; nothing was changed", kv.MaxValueBytes)
	}
	return value, nil
}
