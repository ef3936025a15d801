package local

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"lockstep.example/raft"
	"lockstep.example/raft/cmd/lockstep/internal/node"
	"lockstep.example/raft/vfs"
)

// prepare locks a directory and returns the cluster it holds, after making one
// of n servers if it holds none (0: three). The cluster file is written before
// the first directory is bootstrapped and marked after the last one, so that a
// crash in between is made good by the next run.
func prepare(dir string, n int) (d Description, lock io.Closer, err error) {
	if n < 0 || n > MaxServers {
		return d, nil, fmt.Errorf("%d servers: a cluster on one machine has 1 to %d; choose 3 or 5", n, MaxServers)
	}
	if err := vfs.MakeDir(vfs.OS, dir); err != nil {
		return d, nil, err
	}
	if lock, err = lockDir(dir); err != nil {
		return d, nil, err
	}
	defer func() {
		if err != nil {
			lock.Close()
		}
	}()
	d, err = Load(dir)
	switch {
	case errors.Is(err, ErrNoCluster):
		if err = checkNoServers(dir); err != nil {
			break
		}
		if d, err = describe(cmp.Or(n, defaultMembers)); err == nil {
			err = d.save(dir)
		}
	case err == nil && n != 0 && n != len(d.Members):
		err = fmt.Errorf("%s holds a cluster of %d servers, not %d; leave out -n to run it, or choose another directory", dir, len(d.Members), n)
	}
	if err == nil && !d.Bootstrapped {
		err = d.bootstrap(dir)
	}
	return d, lock, err
}

// checkNoServers refuses to make a cluster where servers of another one are: the
// file that describes it was lost, and theirs is data that somebody wrote.
func checkNoServers(dir string) error {
	paths, err := filepath.Glob(filepath.Join(escape(dir), "*", "identity"))
	if err != nil || len(paths) == 0 {
		return err
	}
	var found []string
	for _, path := range paths {
		cluster, id, err := node.Owner(filepath.Dir(path))
		if err != nil {
			return err
		}
		found = append(found, fmt.Sprintf("%s (server %s of cluster %s)", filepath.Dir(path), id, cluster))
	}
	return fmt.Errorf("%s is gone, but there are %s; restore %s from a copy, run each of them with \"lockstep serve\", or make a new cluster in another directory",
		filepath.Join(dir, fileName), strings.Join(found, ", "), fileName)
}

// escape has a path stand for itself in a pattern.
func escape(path string) string {
	if filepath.Separator == '\\' {
		return path // there is no escape, and such names are rare
	}
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

// lockDir makes sure that one process runs the cluster. The lock ends with the
// process, so it is never stale.
func lockDir(dir string) (io.Closer, error) {
	path := filepath.Join(dir, lockName)
	lock, err := vfs.OS.Lock(path)
	for range 10 { // Running may hold it for a moment
		if !errors.Is(err, vfs.ErrLocked) {
			break
		}
		time.Sleep(10 * time.Millisecond)
		lock, err = vfs.OS.Lock(path)
	}
	if errors.Is(err, vfs.ErrLocked) {
		pid, _ := os.ReadFile(path)
		return nil, fmt.Errorf("%s: its cluster is up already, run by process %s; use it, or stop that process first", dir, strings.TrimSpace(string(pid)))
	}
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		lock.Close()
		return nil, err
	}
	return lock, nil
}

// Running tells whether a process may run the cluster of a directory. If it
// cannot be found out the answer is yes.
func Running(dir string) bool {
	path := filepath.Join(dir, lockName)
	if _, err := os.Stat(path); err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	lock, err := vfs.OS.Lock(path)
	if err != nil {
		return true
	}
	lock.Close()
	return false
}

// describe invents a cluster of n servers. The name is random in part, so that
// servers of two clusters never take each other for their own.
func describe(n int) (Description, error) {
	ports, err := FreePorts(n)
	if err != nil {
		return Description{}, err
	}
	d := Description{Format: fileFormat, Name: "local-" + strings.ToLower(rand.Text()[:6])}
	for i, port := range ports {
		d.Members = append(d.Members, Member{
			ID:      raft.ServerID("n" + strconv.Itoa(i+1)),
			Address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		})
	}
	return d, nil
}

func (d *Description) bootstrap(dir string) error {
	c := d.configuration()
	for _, m := range d.Members {
		_, err := node.Bootstrap(filepath.Join(dir, string(m.ID)), d.Name, m.ID, c)
		if err != nil && !errors.Is(err, raft.ErrBootstrapped) {
			return err
		}
	}
	d.Bootstrapped = true
	return d.save(dir)
}

// Ports are chosen below those that systems hand out to outgoing connections
// (from 32768 on under Linux): one of these could be taken by such a connection
// whenever the cluster is down.
const (
	firstPort = 10000
	lastPort  = 29999
)

// FreePorts finds n loopback ports on which nobody listens.
func FreePorts(n int) ([]int, error) {
	var ports []int
	for range 200 {
		port := firstPort + mathrand.IntN(lastPort-firstPort+1)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		defer l.Close() // only at the end, so that no port is found twice
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("found only %d of %d free ports between %d and %d on 127.0.0.1; end what listens there", len(ports), n, firstPort, lastPort)
}
