package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"lockstep.example/raft"
	"lockstep.example/raft/cmd/lockstep/internal/node"
)

// serveStopTimeout bounds a clean stop.
const serveStopTimeout = 5 * time.Second

func (a *app) initCommand() *cobra.Command {
	var dir, id, cluster string
	var servers []string
	c := &cobra.Command{
		Use:   "init",
		Short: "Make the data directory of one server of a new cluster",
		Long: `Make the data directory of one server of a new cluster. Run it once for each
server, with the same name and the same list of servers; then run "lockstep
serve" for each. ("lockstep up" does both for a cluster on one machine.)

Never run it for a server whose directory was lost: a server that forgot its
votes could make the cluster lose acknowledged writes.`,
		Example: `  lockstep init --dir /tmp/demo/n1 --id n1 --cluster demo --servers n1=127.0.0.1:7001,n2=127.0.0.1:7002,n3=127.0.0.1:7003`,
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			if err := required("dir", dir, "id", id, "cluster", cluster); err != nil {
				return err
			}
			members, err := parseMembers(servers)
			if err != nil {
				return err
			}
			if _, ok := members[raft.ServerID(id)]; !ok {
				return usage("--servers does not name %s; the list is that of the whole cluster, this server included", id)
			}
			run := programName() + " " + shellLine([]string{"serve", "--dir", dir})
			clusterID, err := node.Bootstrap(dir, cluster, raft.ServerID(id), raft.NewConfiguration(members))
			if errors.Is(err, raft.ErrBootstrapped) {
				return fmt.Errorf("already bootstrapped: %s is server %s of cluster %s; nothing is left to do but to run it: %s", dir, id, clusterID, run)
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.out, "%s is ready, in cluster %s (must be the same on every server); run it with: %s\n", id, clusterID, run)
			return err
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&dir, "dir", "", "data directory to make")
	f.StringVar(&id, "id", "", "ID of this server; it never changes")
	f.StringVar(&cluster, "cluster", "", "name of the cluster")
	f.StringSliceVar(&servers, "servers", nil, "all servers, as ID=host:port,ID=host:port")
	return c
}

func (a *app) serveCommand() *cobra.Command {
	var o node.Options
	var id string
	var untilEOF, debug bool
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run one server, on a directory made by init or up",
		Long: `Run one server, on a directory that "lockstep init" or "lockstep up" made, until
SIGTERM or Ctrl-C: then it stops within 5 seconds with exit code 0. If it stops
by itself, because its disk fails or it finds its own state broken, it ends with
exit code 1 and says why in one line. It logs to standard error.`,
		Example: `  lockstep serve --dir /tmp/demo/n1`,
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := required("dir", o.Dir); err != nil {
				return err
			}
			if o.Listen != "" {
				if err := checkAddress(o.Listen); err != nil {
					return err
				}
			}
			level := slog.LevelInfo
			if debug {
				level = slog.LevelDebug
			}
			o.ID = raft.ServerID(id)
			o.Logger = slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: level}))
			ctx, cancel := context.WithCancel(c.Context())
			defer cancel()
			if untilEOF {
				// It ends with the process at the latest: nothing waits for it.
				go func() {
					io.Copy(io.Discard, a.in)
					cancel()
				}()
			}
			return serve(ctx, o)
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&o.Dir, "dir", "", "data directory of the server")
	f.StringVar(&id, "id", "", "refuse to start unless the directory is this server's")
	f.StringVar(&o.Listen, "listen", "", "address to listen on, if not the one other servers dial")
	f.BoolVar(&untilEOF, "until-eof", false, "stop at the end of standard input too; up ties its servers to itself with it")
	f.BoolVar(&debug, "debug", false, "log more")
	return c
}

// serve runs a server until ctx ends or it stops by itself.
func serve(ctx context.Context, o node.Options) error {
	n, err := node.Open(o)
	if err != nil {
		return err
	}
	var cause error
	select {
	case <-ctx.Done():
	case <-n.Done():
		cause = n.Err()
	}
	stopCtx, cancel := context.WithTimeout(context.Background(), serveStopTimeout)
	defer cancel()
	if err := n.Close(stopCtx); err != nil && cause == nil {
		return fmt.Errorf("stop %s: %w", n.ID, err)
	}
	if cause != nil {
		return fmt.Errorf("server %s stopped: %w", n.ID, cause)
	}
	return nil
}

// parseMembers reads ID=host:port of each server.
func parseMembers(list []string) (map[raft.ServerID]string, error) {
	members, taken := map[raft.ServerID]string{}, map[string]string{}
	if len(list) == 0 {
		return nil, usage("--servers is missing; name all servers, as n1=host:port,n2=host:port")
	}
	for _, item := range list {
		id, address, ok := strings.Cut(strings.TrimSpace(item), "=")
		if !ok || id == "" {
			return nil, usage("--servers: %q is not ID=host:port, such as n1=127.0.0.1:7001", item)
		}
		if strings.ContainsFunc(id, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
			return nil, usage("--servers: the ID %q has a space or a character that cannot be seen; use letters and digits", id)
		}
		if err := checkAddress(address); err != nil {
			return nil, usage("--servers: %s: %w", id, err)
		}
		if _, port, _ := net.SplitHostPort(address); port == "0" {
			return nil, usage("--servers: %s: %q has port 0, which nobody can dial; give one from 1 to 65535", id, address)
		}
		if other, ok := taken[address]; ok {
			return nil, usage("--servers: %s and %s have the same address %s", other, id, address)
		}
		taken[address] = id
		if _, ok := members[raft.ServerID(id)]; ok {
			return nil, usage("--servers names %s twice", id)
		}
		members[raft.ServerID(id)] = address
	}
	return members, nil
}

// required demands flags, given as name and value in turn.
func required(pairs ...string) error {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			return usage("--%s is missing", pairs[i])
		}
	}
	return nil
}
