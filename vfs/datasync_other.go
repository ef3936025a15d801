//go:build !linux

package vfs

import "os"

// syncData does the whole sync where there is no lesser one to be had.
func syncData(f *os.File) error { return f.Sync() }
