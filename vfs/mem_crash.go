package vfs

import (
	"maps"
	"path/filepath"
	"slices"
)

// sectorSize is how much a disk writes as one, in bytes. A crash may tear a
// write at every such border, and within as well, for not every disk keeps to it.
const sectorSize = 512

// Loss is one thing that was not synced and that a power loss may take.
type Loss struct {
	Kind   string // "write", "truncate", "create", "mkdir", "rename" or "remove"
	Path   string // for "rename" the new name
	Offset int64  // of a write: where in the file; of a truncate: the new length
	Size   int    // of a write: bytes, at most 512 and within one sector; else 1
}

// Crash returns the file system that a power loss at this moment would leave.
// keep is asked about everything that was not synced: first the operations on
// directories in their order, then the files by name, each write in pieces of
// one sector. It returns how many of the first Size bytes survive (0 takes all
// of it, Size or more keeps it; for what is not a write 0 or 1). nil keeps
// nothing. m itself goes on unharmed, so that one run can be crashed at each of
// its operations and in many ways. keep must not call m.
func (m *Mem) Crash(keep func(Loss) int) *Mem {
	if keep == nil {
		keep = func(Loss) int { return 0 }
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	names := maps.Clone(m.durable)
	for _, v := range m.moves {
		if keep(Loss{Kind: v.kind, Path: v.path, Size: 1}) > 0 {
			v.apply(names)
		}
	}
	after := NewMem()
	// Sorted, so parents come before what is in them: a name whose directory was
	// lost is lost with it.
	for _, path := range slices.Sorted(maps.Keys(names)) {
		if parent := after.lookup(filepath.Dir(path)); parent == nil || !parent.dir {
			continue
		}
		old := names[path]
		content := old.survivors(path, keep)
		n := &node{dir: old.dir, path: path, data: content, base: content, shared: true}
		after.names[path], after.durable[path] = n, n
	}
	return after
}

// survivors returns the content of a file after a power loss.
func (n *node) survivors(path string, keep func(Loss) int) []byte {
	content := slices.Clone(n.base)
	for _, p := range n.pieces {
		switch {
		case p.state == kept:
			content = p.apply(content)
		case p.cut:
			if keep(Loss{Kind: "truncate", Path: path, Offset: p.offset, Size: 1}) > 0 {
				content = p.apply(content)
			}
		default:
			for rest := p; len(rest.data) > 0; {
				size := min(len(rest.data), int(sectorSize-rest.offset%sectorSize))
				n := keep(Loss{Kind: "write", Path: path, Offset: rest.offset, Size: size})
				if n = min(max(n, 0), size); n > 0 {
					content = (&piece{offset: rest.offset, data: rest.data[:n]}).apply(content)
				}
				rest.offset, rest.data = rest.offset+int64(size), rest.data[size:]
			}
		}
	}
	return content
}
