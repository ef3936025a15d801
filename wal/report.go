package wal

import (
	"fmt"
	"sync/atomic"
	"time"
)

// Report says what Open found in the directory.
type Report struct {
	Segments int
	Bytes    int64  // of frames, over all segments
	Frames   int    // intact ones
	Entries  uint64 // in the log that they add up to
	// TornBytes is how much a crash left of a flush that it cut short, and that
	// was overwritten with zeros; 0: nothing. Such a flush never returned, unless
	// the disk itself damaged the last one that did: no log can tell the two
	// apart.
	TornBytes  int64
	TornPath   string        // the file it was in
	TornOffset int64         // and where
	Duration   time.Duration // of reading, verifying and mending
}

func (r Report) String() string {
	s := fmt.Sprintf("%d entries in %d frames (%d bytes) of %d segments, read in %v",
		r.Entries, r.Frames, r.Bytes, r.Segments, r.Duration.Round(time.Microsecond))
	if r.TornBytes > 0 {
		s += fmt.Sprintf("; a torn tail of %d bytes was cut from %s at offset %d", r.TornBytes, r.TornPath, r.TornOffset)
	}
	return s
}

// Report returns what Open found. It may be called at any time.
func (w *WAL) Report() Report { return w.report }

// Stats counts what was done since Open.
type Stats struct {
	Flushes   uint64 // that had something to write
	Frames    uint64 // written
	Bytes     uint64 // written, in frames
	Rotations uint64 // segments begun, without the first
}

type counters struct{ flushes, frames, bytes, rotations atomic.Uint64 }

// Stats returns the counters. It may be called at any time, from any goroutine.
func (w *WAL) Stats() Stats {
	c := &w.stats
	return Stats{Flushes: c.flushes.Load(), Frames: c.frames.Load(), Bytes: c.bytes.Load(), Rotations: c.rotations.Load()}
}
