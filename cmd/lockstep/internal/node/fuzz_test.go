package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lockstep.example/raft"
)

// FuzzOwner reads anything as an identity file, with lines of ours behind it:
// those are found whatever stands before them, and without them it is refused, or
// both names are there.
func FuzzOwner(f *testing.F) {
	f.Add([]byte("lockstep-identity 1\ncluster \"demo-1\"\nserver \"n1\"\nincarnation \"1\"\ndirectory \"00\"\ncrc32c 00000000\n"), "demo-1", "n1")
	f.Add([]byte("cluster \"\ncluster demo\nserver"), "a\nb", "\xff\"")
	dir := f.TempDir()
	path := filepath.Join(dir, identityName)
	f.Fuzz(func(t *testing.T, data []byte, cluster, server string) {
		for _, ours := range []string{"", fmt.Sprintf("\ncluster %q\nserver %q\n", cluster, server)} {
			if err := os.WriteFile(path, append(data[:len(data):len(data)], ours...), 0o600); err != nil {
				t.Fatal(err)
			}
			gotCluster, gotServer, err := Owner(dir)
			if err != nil && !strings.Contains(err.Error(), path) || (err == nil) != (gotCluster != "" && gotServer != "") {
				t.Fatalf("%q, %q, %v", gotCluster, gotServer, err)
			}
			if ours != "" && cluster != "" && server != "" && (gotCluster != cluster || gotServer != raft.ServerID(server)) {
				t.Fatalf("the owner is %q of %q, read as %q of %q, %v", server, cluster, gotServer, gotCluster, err)
			}
		}
	})
}
