package kv

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"

	"github.com/tidwall/btree"
)

// Store is the state machine: keys in order, each with its value and revisions.
// It executes commands and answers reads; it knows nothing of sessions, servers
// or time. It is not safe for concurrent use, its views are.
//
// The revision is one for the whole store, raised by each command that changes
// something. Of each key the store keeps the revision that made it, the one that
// last changed it, and how often it changed.
//
// The hash is a sum of one hash a key, so it is kept up to date by subtracting
// the old and adding the new, whatever the order of the keys.
type Store struct {
	view
	sum    uint64
	hasher hash.Hash
}

// item is one key's state. It is replaced, never changed: views share it.
type item struct {
	value                []byte
	create, mod, version uint64
	hash                 uint64
}

// NewStore returns an empty store, at revision 0.
func NewStore() *Store {
	return &Store{view: view{items: btree.NewMap[string, *item](0)}, hasher: sha256.New()}
}

// Execute runs one encoded command and appends its result to dst. Whatever the
// command is, the same store makes the same of it.
func (s *Store) Execute(_ uint64, command, dst []byte) []byte {
	c, err := DecodeCommand(command)
	var r result
	switch {
	case errors.Is(err, ErrUnsupported):
		r.status = statusUnsupported
	case err != nil:
		r.status = statusMalformed
	case len(c.Key) == 0:
		r.status = statusEmptyKey
	case len(c.Key) > MaxKeyBytes:
		r.status, r.size = statusLongKey, uint64(len(c.Key))
	default:
		r = s.run(&c)
	}
	r.revision = s.revision
	return r.append(dst)
}

// run executes a command whose key is good.
func (s *Store) run(c *Command) result {
	key := string(c.Key)
	old, _ := s.items.Get(key)
	switch c.Op {
	case OpDelete:
		if old == nil {
			return result{status: statusMissing}
		}
		s.revision++
		s.items.Delete(key)
		s.sum -= old.hash
		return result{create: old.create, mod: old.mod, version: old.version}
	case OpCompareAndSwap:
		if actual := old.modRevision(); actual != c.Revision {
			r := result{status: statusConflict, mod: actual}
			if old != nil {
				r.create, r.version = old.create, old.version
			}
			return r
		}
	}
	var kept []byte // what stays in front of the new value
	if c.Op == OpAppend && old != nil {
		kept = old.value
	}
	if size := len(kept) + len(c.Value); size > MaxValueBytes {
		return result{status: statusLongValue, size: uint64(size)}
	}
	return s.set(key, old, append(append(make([]byte, 0, len(kept)+len(c.Value)), kept...), c.Value...))
}

// set gives key a value, which the store keeps.
func (s *Store) set(key string, old *item, value []byte) result {
	s.revision++
	it := &item{value: value, create: s.revision, mod: s.revision, version: 1}
	if old != nil {
		it.create, it.version = old.create, old.version+1
		s.sum -= old.hash
	}
	it.hash = s.hash(key, it)
	s.sum += it.hash
	s.items.Set(key, it)
	return result{create: it.create, mod: it.mod, version: it.version}
}

func (it *item) modRevision() uint64 {
	if it == nil {
		return 0
	}
	return it.mod
}

// hash is what one key adds to the sum: of everything the store knows of it.
func (s *Store) hash(key string, it *item) uint64 {
	var head [32]byte
	for i, v := range [...]uint64{uint64(len(key)), it.create, it.mod, it.version} {
		binary.LittleEndian.PutUint64(head[8*i:], v)
	}
	s.hasher.Reset()
	s.hasher.Write(head[:])
	s.hasher.Write([]byte(key))
	s.hasher.Write(it.value)
	return binary.LittleEndian.Uint64(s.hasher.Sum(head[:0]))
}

// Hash returns a hash of all keys and the revision, in constant time: equal on
// stores with equal contents, different with near certainty otherwise.
func (s *Store) Hash() uint64 { return combine(s.sum, uint64(s.items.Len()), s.revision) }

// combine makes one hash of several numbers.
func combine(parts ...uint64) uint64 {
	var b []byte
	for _, v := range parts {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	sum := sha256.Sum256(b)
	return binary.LittleEndian.Uint64(sum[:])
}
