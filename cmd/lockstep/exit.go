package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"lockstep.example/raft/kv"
)

// Exit codes. exitCodesTopic documents them; they do not change.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitCompare     = 4
	exitUnknown     = 5
	exitUnavailable = 6
	exitUnprinted   = 7
)

func exitCodesTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "exit-codes",
		Short: "What the exit codes mean",
		Long: `Every command ends with one of these exit codes:

  0  it did what was asked
  1  it failed, and nothing was changed by it; of serve and up: a server stopped
     by itself, or could not start
  2  the command line is wrong, or a key or value is over a limit
  3  get, del: there is no such key
  4  cas: the key has another revision; nothing was changed
  5  the outcome is unknown: the write may or may not have happened, or happen
     later. Read before writing again
  6  no answer, or no leader, within the timeout; nothing was changed
  7  the write is done, but its answer could not be printed`,
	}
}

// codedError is an error that knows its exit code.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }

func coded(code int, format string, args ...any) error {
	return &codedError{code, fmt.Errorf(format, args...)}
}

// outcomeOf is what an exit code says of a write, in one word.
func outcomeOf(code int) string {
	switch code {
	case exitUnknown:
		return "unknown"
	case exitUnprinted:
		return "done"
	}
	return "none"
}

// usage makes the error of a wrong command line.
func usage(format string, args ...any) error { return coded(exitUsage, format, args...) }

// isUsage tells whether the help of the command would help.
func isUsage(err error) bool {
	var c *codedError
	return errors.As(err, &c) && c.code == exitUsage
}

func exitCode(err error) int {
	var c *codedError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &c):
		return c.code
	case errors.Is(err, kv.ErrUnknown): // first: it may wrap a refusal
		return exitUnknown
	case errors.Is(err, kv.ErrConflict):
		return exitCompare
	case errors.Is(err, kv.ErrLimit), errors.Is(err, kv.ErrEmptyKey):
		return exitUsage
	case errors.Is(err, kv.ErrUnavailable):
		return exitUnavailable
	}
	return exitFailed
}
