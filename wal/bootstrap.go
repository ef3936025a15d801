package wal

import (
	"crypto/rand"
	"fmt"
	"path/filepath"

	"lockstep.example/raft"
	"lockstep.example/raft/vfs"
)

const directoryIDSize = 16 // bytes

// Bootstrap implements raft.Persister: it makes an empty directory that of the
// given server, with s as the beginning of its log. id.Directory and
// id.BootCounter are set here. A crash leaves the directory empty or done:
//
//  1. The first segment is written and synced under its preliminary name.
//  2. So is the boot counter, under its name.
//  3. The identity file is written; its appearance is the moment it is done.
//  4. The segment gets its name. If a crash comes before that, Open does it.
//
// raft.ErrBootstrapped if the directory is a server's already,
// *WrongDirectoryError if Options asked for another one. After a
// *raft.StorageError open the directory again to see which of the two it is.
func (w *WAL) Bootstrap(id raft.Identity, s raft.Stage) error {
	if w.failed != nil {
		return w.failed
	}
	if w.identity.Server != "" {
		return fmt.Errorf("bootstrap %s: %w: the directory belongs to server %s of cluster %s",
			w.dir, raft.ErrBootstrapped, w.identity.Server, w.identity.Cluster)
	}
	if id.Server == "" || len(id.Server) > maxServerID {
		return fmt.Errorf("bootstrap %s: %w: server id %q; an id has 1 to %d bytes", w.dir, raft.ErrConfig, id.Server, maxServerID)
	}
	if n := len(encodeIdentity(id)); n+2*directoryIDSize > maxRecordSize {
		return fmt.Errorf("bootstrap %s: %w: an identity of %d bytes; the limit is %d: shorten the cluster's name", w.dir, raft.ErrConfig, n, maxRecordSize)
	}
	if err := w.expect(id); err != nil {
		return fmt.Errorf("bootstrap: %w", err)
	}
	id.Directory, id.BootCounter = make([]byte, directoryIDSize), 1
	_, _ = rand.Read(id.Directory) // never fails, by its contract
	if err := w.bootstrap(id, s); err != nil {
		w.failed = failed("bootstrap", w.dir, err)
		return fmt.Errorf("bootstrap: %w", w.failed)
	}
	return nil
}

func (w *WAL) bootstrap(id raft.Identity, s raft.Stage) error {
	w.adopt(id)
	w.Stage(s)
	// A hint counts up to the end of the log before its frame. The bootstrap
	// entry is committed from birth, so a second frame says so.
	w.Stage(raft.Stage{CommitIndex: s.CommitIndex})
	w.mu.Lock()
	frames := w.staged
	w.staged = nil
	w.mu.Unlock()

	need := int64(0)
	for i := range frames {
		need += frames[i].size()
	}
	first, err := w.newSegment(1, need)
	if err != nil {
		return err
	}
	w.enter(first)
	for i := range frames {
		if err := w.put(&frames[i]); err != nil {
			return err
		}
	}
	if err := w.sync(); err != nil {
		return err
	}
	// The names of step 1 and 2 must not depend on the sync of step 3.
	if err := w.writeFile(bootName, encodeBoot(id)); err != nil {
		return err
	}
	if err := w.writeFile(identityName, encodeIdentity(id)); err != nil {
		return err
	}
	if err := w.publish(); err != nil {
		return err
	}
	w.recovered = &raft.Recovered{
		Identity: w.Identity(), HardState: w.chain.hard, FirstIndex: 1, CommitIndex: w.chain.commit,
	}
	if s.Batch.Count > 0 {
		w.recovered.Batches = []raft.Batch{s.Batch}
	}
	return nil
}

func (w *WAL) writeFile(name string, content []byte) error {
	path := filepath.Join(w.dir, name)
	return failed("write", path, vfs.WriteFile(w.fs, path, content))
}
