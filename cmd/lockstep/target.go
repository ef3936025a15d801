package main

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lockstep.example/raft/cmd/lockstep/internal/local"
)

const (
	defaultDir     = "lockstep-data"
	serversEnv     = "LOCKSTEP_SERVERS"
	defaultTimeout = 5 * time.Second
)

// target is where a client command goes, and how long it may take.
type target struct {
	cluster string
	servers []string
	timeout time.Duration
	json    bool

	dir string // found: the cluster's directory, if one told where the servers are
}

// flags gives a client command the flags all of them have.
func (t *target) flags(c *cobra.Command, timeout time.Duration) {
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&t.cluster, "cluster", "", "directory of the cluster that \"lockstep up\" runs (default \""+defaultDir+"\")")
	f.StringSliceVar(&t.servers, "servers", nil, "addresses of servers, as host:port,host:port; any of them will do")
	f.DurationVar(&t.timeout, "timeout", timeout, "how long to try")
	f.BoolVar(&t.json, "json", false, "print one JSON object; see \"lockstep help clusters\"")
}

func findingTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "clusters",
		Short: "How a client finds its cluster, and what --json prints",
		Long: `A client command finds the servers in the first of these that is given:

  --cluster DIR          the directory of a cluster that "lockstep up" runs
  --servers A,B,C        addresses (host:port); one that answers is enough
  LOCKSTEP_SERVERS       the same, in the environment
  ./` + defaultDir + `        the cluster that "lockstep up" runs here by default

With --json it prints one JSON object. Keys and values are bytes: those that are
UTF-8 are in "key" and "value", others in "key_base64" and "value_base64". If it
fails, for a wrong command line too, the object has "error", "exit" (see "lockstep
help exit-codes") and "outcome": "none" if nothing was changed, "unknown", or
"done" if only the answer could not be printed.`,
	}
}

// find finds the servers; their IDs are known only if a directory tells.
func (t *target) find(env func(string) string) ([]local.Member, error) {
	switch {
	case t.timeout <= 0:
		return nil, usage("--timeout is %v; give more than 0, such as 5s", t.timeout)
	case t.cluster != "" && len(t.servers) > 0:
		return nil, usage("--cluster and --servers both say where the cluster is; give one of them")
	case t.cluster != "":
		return t.fromDir(t.cluster)
	case len(t.servers) > 0:
		return fromList("--servers", t.servers)
	case env(serversEnv) != "":
		return fromList(serversEnv, strings.Split(env(serversEnv), ","))
	}
	return t.fromDir(defaultDir)
}

func (t *target) fromDir(dir string) ([]local.Member, error) {
	t.dir = dir
	d, err := local.Load(dir)
	if errors.Is(err, local.ErrNoCluster) {
		return nil, usage("no cluster: %s holds none; start one with \"lockstep up\", or name one by --cluster DIR, --servers HOST:PORT,... or %s", dir, serversEnv)
	}
	return d.Members, err
}

func fromList(source string, list []string) ([]local.Member, error) {
	var members []local.Member
	for _, address := range list {
		address = strings.TrimSpace(address)
		if err := checkAddress(address); err != nil {
			return nil, usage("%s: %w", source, err)
		}
		members = append(members, local.Member{Address: address})
	}
	return members, nil
}

// checkAddress wants host:port with both parts.
func checkAddress(a string) error {
	host, port, err := net.SplitHostPort(a)
	if err != nil || host == "" || port == "" {
		return usage("%q is not an address; give host:port, such as 127.0.0.1:7001", a)
	}
	if n, err := strconv.Atoi(port); err == nil && (n < 0 || n > 65535) {
		return usage("%q is not an address: ports go from 1 to 65535", a)
	}
	return nil
}
