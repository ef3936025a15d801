package local

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzDescription loads anything as the cluster file. What is wrong with it is
// told with its path; what is taken names servers, and survives being saved.
func FuzzDescription(f *testing.F) {
	f.Add([]byte(`{"format": 1, "name": "demo", "servers": [{"id": "n1", "address": "127.0.0.1:7001"}], "bootstrapped": true}`))
	f.Add([]byte(`{"format": 2, "servers": [{}]}`))
	f.Add([]byte(`{"format": 1, "servers": []}`))
	dir := f.TempDir()
	path := filepath.Join(dir, fileName)
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := Load(dir)
		if err != nil {
			if !strings.Contains(err.Error(), path) {
				t.Fatalf("%v does not say which file", err)
			}
			return
		}
		if d.Format != fileFormat || len(d.Members) == 0 {
			t.Fatalf("%+v was taken", d)
		}
		data, err = json.Marshal(&d) // as save does, which also waits for the disk
		if err != nil || os.WriteFile(path, data, 0o600) != nil {
			t.Fatal(err)
		}
		if again, err := Load(dir); err != nil || fmt.Sprintf("%#v", again) != fmt.Sprintf("%#v", d) {
			t.Fatalf("%+v came back as %+v, %v", d, again, err)
		}
		c := d.configuration()
		if len(c.Servers) > len(d.Members) || len(c.Voters) != len(c.Servers) {
			t.Fatalf("%d members give the configuration %+v", len(d.Members), c)
		}
	})
}
