package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"lockstep.example/raft"
)

// app is one run of the program, with its surroundings.
type app struct {
	in  io.Reader
	out io.Writer
	err io.Writer
	env func(string) string
}

// run executes a command line and returns the exit code. Whatever goes wrong is
// told here, in one line.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if isUsage(err) {
		err = fmt.Errorf("%w; see \"%s --help\"", err, command.CommandPath())
	}
	line := err.Error()
	if errors.Is(err, raft.ErrPanic) {
		line, _, _ = strings.Cut(line, "\n") // the log has the stack
	}
	line = strings.ReplaceAll(line, "\n", "; ")
	name := strings.TrimPrefix(strings.TrimPrefix(command.CommandPath(), "lockstep"), " ")
	if name != "" && !strings.HasPrefix(line, name+": ") && !strings.HasPrefix(line, name+" ") { // some say it themselves
		line = name + ": " + line
	}
	code := exitCode(err)
	if told := (*toldError)(nil); wantsJSON(command, args) && !errors.As(err, &told) {
		// If this fails too, standard error has it all the same.
		_ = printJSON(a.out, fields{"error": line, "exit": code, "outcome": outcomeOf(code)})
	}
	fmt.Fprintf(a.err, "lockstep: %s\n", line)
	return code
}

// toldError is an error that is part of the JSON printed already.
type toldError struct{ error }

func (e *toldError) Unwrap() error { return e.error }

// wantsJSON tells whether the command line asks for JSON; it may be wrong, so
// that its flags were not all read.
func wantsJSON(c *cobra.Command, args []string) bool {
	if f := c.Flags().Lookup("json"); f != nil && f.Changed {
		return f.Value.String() == "true"
	}
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	return slices.Contains(args, "--json")
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "lockstep",
		Short: "A replicated, linearizable key-value store",
		Long: `Lockstep keeps a key-value store on several servers in step by Raft. Every
write is on the disks of a majority before it is acknowledged, every read sees
all writes acknowledged before it began, and both go on while a majority of the
servers runs.`,
		Example: `  lockstep up                  # three servers on this machine, until Ctrl-C
  lockstep put color blue      # in another terminal
  lockstep get color`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArguments,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(flagError)
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error { return noneEmpty(c) }
	root.SetVersionTemplate("lockstep {{.Version}}\n")
	root.AddGroup(
		&cobra.Group{ID: "servers", Title: "Servers:"},
		&cobra.Group{ID: "clients", Title: "Clients:"},
		&cobra.Group{ID: "tools", Title: "Tools:"},
	)
	root.SetHelpCommandGroupID("tools")
	root.SetCompletionCommandGroupID("tools")
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("servers", a.upCommand(), a.initCommand(), a.serveCommand())
	add("clients", a.getCommand(), a.putCommand(), a.appendCommand(), a.delCommand(), a.casCommand(), a.listCommand(), a.statusCommand())
	add("tools", a.benchCommand(), a.versionCommand())
	root.AddCommand(exitCodesTopic(), findingTopic())
	strictHelp(root)
	return root
}

// noArguments is cobra.NoArgs with the usage exit code; on the root it also
// catches unknown commands.
func noArguments(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if c.HasSubCommands() {
		return usage("there is no command %q%s", args[0], suggestion(c, args[0]))
	}
	return usage("it takes no argument, and got %q", args[0])
}

// arguments demands exactly the named arguments.
func arguments(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return usage("%s is missing", names[len(args)])
		}
		if len(args) > len(names) {
			return usage("%q is one argument too many", args[len(names)])
		}
		return nil
	}
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this program",
		Example: "  lockstep version",
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(a.out, "lockstep %s\n", version())
			return err
		},
	}
}

// version tells what was built, from what the go command left in the binary.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	text, dirty := info.Main.Version, ""
	if text == "" {
		text = "(devel)"
	}
	revision := ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = ", changed"
		}
	}
	if revision != "" && !strings.Contains(text, revision) {
		text += " (" + revision + dirty + ")"
	}
	return text + " " + info.GoVersion
}
