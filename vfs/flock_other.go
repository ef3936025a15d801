//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package vfs

import (
	"errors"
	"os"
)

// lockFile says so where the system has no file locks: two servers on one
// directory would destroy it, so going on without is not an option.
func lockFile(*os.File) error { return errors.ErrUnsupported }
