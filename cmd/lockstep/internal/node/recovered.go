package node

import (
	"fmt"

	"lockstep.example/raft"
)

// recovered is a store that was looked into before Raft is: the address to
// listen on is in the log, and the transport must exist before the server.
type recovered struct {
	raft.Persister
	contents raft.Recovered
}

// Recover implements raft.Persister.
func (r *recovered) Recover() (raft.Recovered, error) { return r.contents, nil }

// lookInto recovers a store and returns the latest configuration in its log.
func lookInto(store raft.Persister) (*recovered, raft.Configuration, error) {
	var latest raft.Configuration
	contents, err := store.Recover()
	if err != nil {
		return nil, latest, err
	}
	if contents.Empty {
		return nil, latest, fmt.Errorf("%w: making it was begun and never ended; run \"lockstep init\" for it again", raft.ErrNotBootstrapped)
	}
	const header = 13 // bytes before an entry's data; see raft.Batch
	for _, b := range contents.Batches {
		err := b.Walk(func(kind raft.EntryKind, _ uint64, raw []byte) (err error) {
			if kind == raft.EntryConfiguration {
				latest, err = raft.DecodeConfiguration(raw[header:])
			}
			return err
		})
		if err != nil {
			return nil, latest, err
		}
	}
	return &recovered{store, contents}, latest, nil
}
