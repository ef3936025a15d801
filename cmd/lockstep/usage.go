package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// flagError says in this program's words what is wrong with a flag.
func flagError(c *cobra.Command, err error) error {
	var value *pflag.InvalidValueError
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	switch {
	case errors.As(err, &value):
		return usage("--%s is %q; give %s", value.GetFlag().Name, value.GetValue(), kindOf(value.GetFlag()))
	case errors.As(err, &missing):
		return usage("--%s needs a value; give %s", missing.GetFlag().Name, kindOf(missing.GetFlag()))
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "":
		return usage("-%s looks like a flag, and %s has no such flag; if it is meant as it is put -- before it", unknown.GetSpecifiedShortnames(), c.CommandPath())
	case errors.As(err, &unknown):
		return usage("there is no flag --%s", unknown.GetSpecifiedName())
	}
	return usage("%w", err)
}

// kindOf says what the value of a flag looks like.
func kindOf(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "duration":
		return "a number with a unit, such as 5s"
	case "int":
		return "a whole number"
	case "intSlice":
		return "whole numbers, such as 1,64"
	case "bool":
		return "true, false or no value"
	}
	return f.Usage
}

// noneEmpty refuses flags that were given and say nothing: most come from a
// variable of a script that was never set.
func noneEmpty(c *cobra.Command) (err error) {
	c.Flags().Visit(func(f *pflag.Flag) {
		place := slices.Contains([]string{"dir", "cluster", "servers", "id", "listen"}, f.Name)
		if text := f.Value.String(); place && (text == "" || text == "[]") && err == nil {
			err = usage("--%s is empty; give a value or leave it out", f.Name)
		}
	})
	return err
}

// suggestion names the commands that may have been meant.
func suggestion(c *cobra.Command, word string) string {
	c.SuggestionsMinimumDistance = 2
	near := c.SuggestionsFor(word)
	if len(near) == 0 {
		return ""
	}
	return fmt.Sprintf("; did you mean \"%s\"?", strings.Join(near, "\" or \""))
}

// strictHelp has the help command fail for what it knows nothing of.
func strictHelp(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	for _, help := range root.Commands() {
		if help.Name() != "help" {
			continue
		}
		help.Run = nil
		help.RunE = func(_ *cobra.Command, args []string) error {
			c, rest, err := root.Find(args)
			if err != nil || c == root && len(args) > 0 || len(rest) > 0 {
				return usage("there is no help on %q%s", strings.Join(args, " "), suggestion(c, args[len(args)-1]))
			}
			c.InitDefaultHelpFlag()
			return c.Help()
		}
	}
}
