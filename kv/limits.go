package kv

// Limits of the store. They are checked before a command enters the log, and
// again, with the same answer on every server, when it is applied.
const (
	MaxKeyBytes   = 4 << 10 // of a key, a prefix and a start-after key
	MaxValueBytes = 1 << 20 // of a value, also of the one that an Append leads to
	MaxListItems  = 1000    // keys in one answer of List
	MaxListBytes  = 1 << 20 // keys and values in one answer of List, unless its first item alone is longer
)

// checkKey refuses a key that no command may have.
func checkKey(key []byte) error {
	if len(key) == 0 {
		return ErrEmptyKey
	}
	return checkSize("key", len(key), MaxKeyBytes)
}

func checkSize(what string, size, limit int) error {
	if size > limit {
		return &LimitError{What: what, Size: uint64(size), Limit: uint64(limit)}
	}
	return nil
}
