package wal

import (
	"testing"

	"lockstep.example/raft"
	"lockstep.example/raft/vfs"
)

// BenchmarkFlush is one durable batch of 4 KiB: about one fdatasync.
func BenchmarkFlush(b *testing.B) {
	w := create(b, vfs.OS, b.TempDir(), Options{Logger: quiet})
	batch := entries(4<<10, 1)
	b.SetBytes(int64(len(batch.Body)))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		w.Stage(raft.Stage{FirstIndex: uint64(i) + 2, Batch: batch, CommitIndex: uint64(i)})
		if _, err := w.Flush(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBootstrap is what a new server waits for before it can start.
func BenchmarkBootstrap(b *testing.B) {
	for b.Loop() {
		w := create(b, vfs.OS, b.TempDir(), Options{Logger: quiet})
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
