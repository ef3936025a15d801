package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"lockstep.example/raft/kv"
)

const shownRunes = 50 // of a value, in a table

func (a *app) listCommand() *cobra.Command {
	var t target
	var o listOptions
	c := &cobra.Command{
		Use:   "list [PREFIX]",
		Short: "List keys in order",
		Long: `List the keys that begin with PREFIX, or all, in the order of their bytes. Long
values are cut short; --json prints them whole. A list of more than 1,000 keys
or 1 MiB is read in parts, each of them linearizable.`,
		Example: `  lockstep list
  lockstep list user/ --limit 10`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage("%q is one argument too many", args[1])
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.prefix = args[0]
			}
			if o.limit < 1 {
				return usage("--limit is %d; give at least 1", o.limit)
			}
			return a.withClerk(c, &t, func(ctx context.Context, clerk *kv.Clerk) error { return a.list(ctx, clerk, &t, o) })
		},
	}
	t.flags(c, defaultTimeout)
	c.Flags().IntVar(&o.limit, "limit", 100, "list at most so many keys")
	c.Flags().StringVar(&o.after, "after", "", "list only keys after this one, to go on with a list")
	c.Flags().BoolVar(&o.stale, "stale", false, "read what one server has, leader or not; newer writes may be missing")
	return c
}

type listOptions struct {
	prefix, after string
	limit         int
	stale         bool
}

func (a *app) list(ctx context.Context, clerk *kv.Clerk, t *target, o listOptions) error {
	var items []kv.KeyValue
	page := kv.ListOptions{Prefix: []byte(o.prefix), After: []byte(o.after), Stale: o.stale}
	var last kv.ListResult
	for {
		var err error
		page.Limit = min(o.limit-len(items), kv.MaxListItems)
		if last, err = clerk.List(ctx, page); err != nil {
			return err
		}
		items = append(items, last.Items...)
		if !last.More || len(items) >= o.limit || len(last.Items) == 0 {
			break
		}
		page.After = items[len(items)-1].Key
	}
	if t.json {
		list := []fields{}
		for _, kv := range items {
			list = append(list, item(kv))
		}
		return printJSON(a.out, fields{"items": list, "more": last.More, "revision": last.Revision, "stale": last.Stale})
	}
	if len(items) > 0 {
		rows := [][]string{{"KEY", "REVISION", "VALUE"}}
		for _, kv := range items {
			rows = append(rows, []string{printable(kv.Key), strconv.FormatUint(kv.ModRevision, 10), shown(kv.Value)})
		}
		if err := printTable(a.out, rows, 1); err != nil {
			return err
		}
	}
	if last.More {
		fmt.Fprintf(a.err, "there are more keys: raise --limit, or go on with --after %s\n", shellLine([]string{string(items[len(items)-1].Key)}))
	}
	return nil
}

// shown is a value in a table: on one line, and not too long.
func shown(value []byte) string {
	if len(value) == 0 {
		return `""`
	}
	text := []rune(printable(value[:min(len(value), shownRunes)]))
	if len(text) <= shownRunes && len(value) <= shownRunes {
		return string(text)
	}
	return string(text[:min(len(text), shownRunes)]) + fmt.Sprintf("... (%d bytes)", len(value))
}

// item is a key with its value, in JSON.
func item(kv kv.KeyValue) fields {
	return fields{
		"create_revision": kv.CreateRevision, "mod_revision": kv.ModRevision, "version": kv.Version,
	}.bytes("key", kv.Key).bytes("value", kv.Value)
}

func parseRevision(s string) (uint64, error) {
	revision, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, usage("REVISION %q is not a number; 0 means that the key must not exist", s)
	}
	return revision, nil
}
