package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"lockstep.example/raft"
	"lockstep.example/raft/vfs"
)

// Member is one server of a local cluster.
type Member struct {
	ID      raft.ServerID `json:"id"`
	Address string        `json:"address"` // host:port, kept for the life of the data
}

// Description is what the cluster file holds.
type Description struct {
	Format  int      `json:"format"`
	Name    string   `json:"name"`
	Members []Member `json:"servers"`
	// Bootstrapped is set once every directory is bootstrapped. From then on a
	// directory that is gone is never made anew: a server that forgot its votes
	// could vote twice in a term.
	Bootstrapped bool `json:"bootstrapped"`
}

// ErrNoCluster says that a directory holds no local cluster.
var ErrNoCluster = errors.New("no cluster here")

// MaxServers bounds a local cluster.
const MaxServers = 9

const (
	fileName       = "cluster.json"
	lockName       = "up.lock"
	fileFormat     = 1
	defaultMembers = 3
)

// Load reads the cluster file of a directory. ErrNoCluster if it has none.
func Load(dir string) (Description, error) {
	path := filepath.Join(dir, fileName)
	data, err := vfs.ReadFile(vfs.OS, path)
	if errors.Is(err, fs.ErrNotExist) {
		return Description{}, fmt.Errorf("%w: %s does not exist", ErrNoCluster, path)
	}
	var d Description
	if err == nil {
		err = json.Unmarshal(data, &d)
	}
	switch {
	case err != nil:
		return d, fmt.Errorf("read %s: %w", path, err)
	case d.Format != fileFormat:
		return d, fmt.Errorf("read %s: its format is %d, this program reads %d; use the program that wrote it", path, d.Format, fileFormat)
	case len(d.Members) == 0:
		return d, fmt.Errorf("read %s: it names no server; restore it from a copy", path)
	}
	return d, nil
}

func (d *Description) save(dir string) error {
	data, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, fileName)
	if err := vfs.WriteFile(vfs.OS, path, append(data, '\n')); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// Addresses returns where servers listen.
func Addresses(members []Member) []string {
	var list []string
	for _, m := range members {
		list = append(list, m.Address)
	}
	return list
}

func (d *Description) configuration() raft.Configuration {
	addresses := map[raft.ServerID]string{}
	for _, m := range d.Members {
		addresses[m.ID] = m.Address
	}
	return raft.NewConfiguration(addresses)
}
