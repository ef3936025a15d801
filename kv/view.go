package kv

import (
	"bytes"

	"github.com/tidwall/btree"
)

// View returns the store as it is now, for reading from any goroutine while the
// store goes on. It takes constant time: the two share what neither changes.
func (s *Store) View() View { return &view{items: s.items.Copy(), revision: s.revision} }

// View is a state of the store that never changes. What it returns is shared and
// not to be written.
type View interface {
	Revision() uint64
	Len() int
	Get(key []byte) (KeyValue, bool)
	// List returns, in order, the keys that begin with prefix and are above
	// after, at most limit of them (0: MaxListItems) and at most MaxListBytes
	// unless the first alone has more. more tells that others follow: ask again
	// with the last key as after.
	List(prefix, after []byte, limit int) (items []KeyValue, more bool)
}

type view struct {
	items    *btree.Map[string, *item]
	revision uint64
}

func (v *view) Revision() uint64 { return v.revision }
func (v *view) Len() int         { return v.items.Len() }

func (v *view) Get(key []byte) (KeyValue, bool) {
	it, ok := v.items.Get(string(key))
	if !ok {
		return KeyValue{}, false
	}
	return it.keyValue(bytes.Clone(key)), true
}

func (it *item) keyValue(key []byte) KeyValue {
	return KeyValue{Key: key, Value: it.value, CreateRevision: it.create, ModRevision: it.mod, Version: it.version}
}

func (v *view) List(prefix, after []byte, limit int) (items []KeyValue, more bool) {
	if limit <= 0 || limit > MaxListItems {
		limit = MaxListItems
	}
	from, size := string(prefix), 0
	if string(after) >= from {
		from = string(after) + "\x00" // the lowest key above it
	}
	v.items.Ascend(from, func(key string, it *item) bool {
		if len(key) < len(prefix) || key[:len(prefix)] != string(prefix) {
			return false
		}
		size += len(key) + len(it.value)
		if len(items) == limit || len(items) > 0 && size > MaxListBytes {
			more = true
			return false
		}
		items = append(items, it.keyValue([]byte(key)))
		return true
	})
	return items, more
}
