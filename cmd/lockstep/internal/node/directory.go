package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"lockstep.example/raft"
	"lockstep.example/raft/vfs"
)

// Names of files; those of a server's directory are in wal/FORMAT.md.
const (
	identityName  = "identity"
	bootName      = "boot"
	clusterName   = "cluster.json"
	segmentSuffix = ".segment"
)

// Owner tells whose a directory is: the cluster's id and the server's, from its
// identity file. fs.ErrNotExist if it has none. It changes nothing, and does not
// verify what it reads: that is for opening the log.
func Owner(dir string) (cluster string, id raft.ServerID, err error) {
	path := filepath.Join(dir, identityName)
	data, err := vfs.ReadFile(vfs.OS, path)
	if err != nil {
		return "", "", err
	}
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		text, err := strconv.Unquote(value)
		switch {
		case err == nil && key == "cluster":
			cluster = text
		case err == nil && key == "server":
			id = raft.ServerID(text)
		}
	}
	if cluster == "" || id == "" {
		return "", "", fmt.Errorf("read %s: the file is damaged; bring the whole directory back from where it is intact", path)
	}
	return cluster, id, nil
}

// checkServer refuses what is certainly no server's directory, so that opening
// the log leaves no trace there. A directory that lost its identity file alone is
// one: the log says what is wrong with it.
func checkServer(dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: there is no such directory; name the one that \"lockstep init\" or \"lockstep up\" made for this server (a lost one must be restored from a copy, never made anew)", dir)
	}
	names, err := list(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if own(name) {
			return nil
		}
	}
	why := ""
	for _, name := range names {
		if name == clusterName {
			return fmt.Errorf("%s is the directory of \"lockstep up\", which has one directory for each server; name one of those, such as %s", dir, filepath.Join(dir, "n1"))
		}
	}
	if len(names) == 0 {
		why = ": the directory is empty"
	}
	return &refusal{fmt.Sprintf("%s holds no server%s. If this server ever ran, restore the directory from a copy; "+
		"if it never ran, run \"lockstep init\" for it once", dir, why), raft.ErrNotBootstrapped}
}

// checkFree refuses a directory that holds what is no server's.
func checkFree(dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	names, err := list(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !own(name) && name != "lock" {
			return fmt.Errorf("%s is not empty: it holds %s, which is no server's; give the server a directory of its own", dir, name)
		}
	}
	return nil
}

// own tells whether a server writes a file of this name, also one that a crash
// left half written.
func own(name string) bool {
	name = strings.TrimSuffix(name, ".tmp")
	return name == identityName || name == bootName || name == "segment" || strings.HasSuffix(name, segmentSuffix)
}

func list(dir string) ([]string, error) {
	names, err := vfs.OS.List(dir)
	if err != nil {
		return nil, advise(dir, err)
	}
	return names, nil
}

// refusal is an error in words for whoever runs the program.
type refusal struct {
	text  string
	cause error
}

func (e *refusal) Error() string { return e.text }
func (e *refusal) Unwrap() error { return e.cause }

// advise replaces the advice of an error that is not the disk's fault.
func advise(dir string, err error) error {
	path := dir
	var storage *raft.StorageError
	var where *fs.PathError
	if errors.As(err, &where) {
		path = where.Path
	} else if errors.As(err, &storage) {
		path = storage.Path
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return &refusal{path + ": permission denied; run this as the user who owns the directory, or let this one read and write there", err}
	case errors.Is(err, syscall.EROFS):
		return &refusal{path + ": the file system is read-only; make it writable, or use a directory elsewhere", err}
	case errors.Is(err, syscall.ENOTDIR):
		return &refusal{path + ": this is a file, or goes through one; name a directory", err}
	}
	return err
}
