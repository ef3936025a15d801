package raft

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "lockstep.example/raft"

// dependencies lists what a package links, without the standard library.
func dependencies(t *testing.T, pkg string, tags ...string) []string {
	t.Helper()
	args := []string{"list", "-deps", "-tags", strings.Join(tags, ","), "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", pkg}
	out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return slices.DeleteFunc(strings.Fields(string(out)), func(path string) bool { return path == pkg })
}

// TestDependenciesPointInwards is the house of design §1: who may import what.
func TestDependenciesPointInwards(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no go command to ask")
	}
	const (
		internal = module + "/internal/"
		sync     = "golang.org/x/sync/"
		msgpack  = "github.com/hashicorp/go-msgpack/"
		deadlock = "github.com/sasha-s/go-deadlock"
		goid     = "github.com/petermattis/goid" // go-deadlock's own
	)
	for _, c := range []struct {
		pkg   string
		tags  []string
		allow []string // prefixes
	}{
		{module, nil, []string{internal, sync}},
		{module, []string{"raftdebug"}, []string{internal, sync, deadlock, goid}},
		{module + "/rpc", nil, []string{module, internal, sync, msgpack}},
		{module + "/vfs", nil, []string{internal}},
		{module + "/wal", nil, []string{module, module + "/vfs", internal, sync}},
		{module + "/session", nil, []string{module, internal, sync}},
		{module + "/kv", nil, []string{module, module + "/session", internal, sync, "github.com/tidwall/btree", msgpack}},
		{module + "/labrpc", nil, []string{internal, sync, msgpack}},
		{module + "/cmd/lockstep", nil, []string{module, sync, msgpack, "github.com/tidwall/btree", "github.com/spf13/", "github.com/inconshreveable/"}},
	} {
		t.Run(c.pkg+" "+strings.Join(c.tags, ","), func(t *testing.T) {
			for _, path := range dependencies(t, c.pkg, c.tags...) {
				allowed := slices.ContainsFunc(c.allow, func(prefix string) bool {
					ours := prefix == module && c.pkg != module+"/cmd/lockstep" // the root package, not all below it
					return path == prefix || !ours && strings.HasPrefix(path, prefix)
				})
				if !allowed {
					t.Errorf("%s must not depend on %s", c.pkg, path)
				}
			}
		})
	}
}
