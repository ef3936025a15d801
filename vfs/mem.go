package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
)

// Mem is a file system in memory that knows, of the data in files and of the
// names in directories apart, what was synced. Crash returns what a power loss
// would leave of it; Inject makes operations fail. NewMem makes one; its methods
// may be called from any goroutine.
type Mem struct {
	mu sync.Mutex

	// guarded by mu
	names   map[string]*node // as the program sees them
	durable map[string]*node // as of the last SyncDir of each directory
	moves   []move           // what changed between the two, oldest first
	locked  map[string]bool
	count   uint64
	inject  func(Op) Fault
}

// Op is an operation that is about to run.
type Op struct {
	Number uint64 // 1 for the first of this Mem; closing is not counted
	Kind   string // "create", "open", "rename", "remove", "mkdir", "list", "syncdir", "lock", "read", "write", "truncate", "sync", "size"
	Path   string // of a file: the name it was opened by
	Size   int    // bytes to read or write
}

// Fault makes an operation fail if Err is not nil.
type Fault struct {
	Err error
	// Written is how many bytes of a write reach the file before it fails.
	Written int
}

// node is a file or a directory.
type node struct {
	dir    bool
	path   string // the name it got last
	data   []byte // as the program sees it
	base   []byte // content that no power loss takes, but for later pieces
	shared bool   // data is base itself, until the first change
	pieces []piece
}

// move is one operation on a directory.
type move struct {
	kind   string // "create", "mkdir", "rename" or "remove"
	path   string // the name that comes, or with "remove" goes
	target *node
}

// NewMem returns a file system that holds nothing but its root.
func NewMem() *Mem {
	return &Mem{names: map[string]*node{}, durable: map[string]*node{}, locked: map[string]bool{}}
}

// Inject has f called before each operation from now on, with no lock held, so
// f may call Crash. What it returns decides whether the operation fails. nil
// ends it.
func (m *Mem) Inject(f func(Op) Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inject = f
}

// FailAt returns a function for Inject that fails the operation with the given
// number, a write after half of its bytes.
func FailAt(number uint64, err error) func(Op) Fault {
	return func(op Op) Fault {
		if op.Number != number {
			return Fault{}
		}
		return Fault{Err: err, Written: op.Size / 2}
	}
}

// begin counts an operation and asks whether it fails. The error says what was
// being done.
func (m *Mem) begin(kind, path string, size int) (Fault, error) {
	m.mu.Lock()
	m.count++
	op, inject := Op{Number: m.count, Kind: kind, Path: path, Size: size}, m.inject
	m.mu.Unlock()
	if inject == nil {
		return Fault{}, nil
	}
	fault := inject(op)
	if fault.Err != nil {
		return fault, fmt.Errorf("%s %s: %w", kind, path, fault.Err)
	}
	return Fault{}, nil
}

// lookup returns the node of a path, or nil. m.mu must be held.
func (m *Mem) lookup(path string) *node {
	if isRoot(path) {
		return &node{dir: true}
	}
	return m.names[path]
}

func isRoot(path string) bool { return filepath.Dir(path) == path }

// enter adds a name in a directory that must exist. m.mu must be held.
func (m *Mem) enter(kind, path string, n *node) error {
	if parent := m.lookup(filepath.Dir(path)); parent == nil || !parent.dir {
		return &fs.PathError{Op: kind, Path: path, Err: fs.ErrNotExist}
	}
	m.record(move{kind: kind, path: path, target: n})
	return nil
}

// record makes a move that may be lost until its directory is synced. m.mu must
// be held.
func (m *Mem) record(v move) {
	v.apply(m.names)
	v.target.path = v.path
	m.moves = append(m.moves, v)
}

// apply makes the move in one of the two views. A node has one name at most, also
// when an earlier move of it was lost.
func (v move) apply(names map[string]*node) {
	for name, n := range names {
		if n == v.target {
			delete(names, name)
		}
	}
	if v.kind != "remove" {
		names[v.path] = v.target
	}
}

// Create implements FS.
func (m *Mem) Create(path string) (File, error) {
	path = filepath.Clean(path)
	if _, err := m.begin("create", path, 0); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.lookup(path)
	switch {
	case n == nil:
		n = &node{}
		if err := m.enter("create", path, n); err != nil {
			return nil, err
		}
	case n.dir:
		return nil, &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	case len(n.data) > 0:
		n.truncate(0)
	}
	return &memFile{m: m, n: n, path: path}, nil
}

// Open implements FS.
func (m *Mem) Open(path string) (File, error) {
	path = filepath.Clean(path)
	if _, err := m.begin("open", path, 0); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.lookup(path)
	if n == nil || n.dir {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	return &memFile{m: m, n: n, path: path}, nil
}

// Rename implements FS.
func (m *Mem) Rename(from, to string) error {
	from, to = filepath.Clean(from), filepath.Clean(to)
	if _, err := m.begin("rename", from, 0); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if filepath.Dir(from) != filepath.Dir(to) {
		return errAcross(from, to)
	}
	n := m.names[from]
	if n == nil || n.dir {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	m.record(move{kind: "rename", path: to, target: n})
	return nil
}

// Remove implements FS.
func (m *Mem) Remove(path string) error {
	path = filepath.Clean(path)
	if _, err := m.begin("remove", path, 0); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.names[path]
	if n == nil || n.dir {
		return &fs.PathError{Op: "remove", Path: path, Err: fs.ErrNotExist}
	}
	m.record(move{kind: "remove", path: path, target: n})
	return nil
}

// Mkdir implements FS.
func (m *Mem) Mkdir(path string) error {
	path = filepath.Clean(path)
	if _, err := m.begin("mkdir", path, 0); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lookup(path) != nil {
		return &fs.PathError{Op: "mkdir", Path: path, Err: fs.ErrExist}
	}
	return m.enter("mkdir", path, &node{dir: true})
}

// List implements FS.
func (m *Mem) List(dir string) ([]string, error) {
	dir = filepath.Clean(dir)
	if _, err := m.begin("list", dir, 0); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := m.lookup(dir); n == nil || !n.dir {
		return nil, &fs.PathError{Op: "list", Path: dir, Err: fs.ErrNotExist}
	}
	var names []string
	for path := range m.names {
		if filepath.Dir(path) == dir {
			names = append(names, filepath.Base(path))
		}
	}
	slices.Sort(names)
	return names, nil
}

// SyncDir implements FS.
func (m *Mem) SyncDir(dir string) error {
	dir = filepath.Clean(dir)
	if _, err := m.begin("syncdir", dir, 0); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := m.lookup(dir); n == nil || !n.dir {
		return &fs.PathError{Op: "syncdir", Path: dir, Err: fs.ErrNotExist}
	}
	m.moves = slices.DeleteFunc(m.moves, func(v move) bool {
		here := filepath.Dir(v.path) == dir
		if here {
			v.apply(m.durable)
		}
		return here
	})
	return nil
}

// Lock implements FS. A crash ends every lock.
func (m *Mem) Lock(path string) (io.Closer, error) {
	path = filepath.Clean(path)
	if _, err := m.begin("lock", path, 0); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locked[path] {
		return nil, fmt.Errorf("lock %s: %w", path, ErrLocked)
	}
	if m.lookup(path) == nil {
		if err := m.enter("create", path, &node{}); err != nil {
			return nil, err
		}
	}
	m.locked[path] = true
	return &memLock{m: m, path: path}, nil
}

type memLock struct {
	m    *Mem
	path string
	once sync.Once
}

func (l *memLock) Close() error {
	err := errors.New("the lock was given back already")
	l.once.Do(func() {
		l.m.mu.Lock()
		defer l.m.mu.Unlock()
		delete(l.m.locked, l.path)
		err = nil
	})
	return err
}
