package raft

import (
	"errors"
	"testing"
	"time"
)

// fixedStore recovers what the test says.
type fixedStore struct {
	Persister
	recovered Recovered
	err       error
}

func (f *fixedStore) Recover() (Recovered, error) { return f.recovered, f.err }

func goodConfig() Config {
	return Config{ID: "n1", Store: &fixedStore{}, Transport: &wire{}, StateMachine: &recorder{}}
}

func TestDefaults(t *testing.T) {
	c := goodConfig()
	if err := c.complete(); err != nil {
		t.Fatal(err)
	}
	if c.Heartbeat != 100*time.Millisecond || c.ElectionTimeoutMin != 500*time.Millisecond || c.ElectionTimeoutMax != time.Second || c.MaxCommandBytes != 2<<20 || c.Rand == nil || c.Logger == nil {
		t.Errorf("%+v", c)
	}
}

func TestBadConfigs(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no ID":                        func(c *Config) { c.ID = "" },
		"a long ID":                    func(c *Config) { c.ID = ServerID(make([]byte, 129)) },
		"no store":                     func(c *Config) { c.Store = nil },
		"no transport":                 func(c *Config) { c.Transport = nil },
		"no state machine":             func(c *Config) { c.StateMachine = nil },
		"a negative heartbeat":         func(c *Config) { c.Heartbeat = -1 },
		"heartbeats too far apart":     func(c *Config) { c.Heartbeat = 251 * time.Millisecond },
		"a negative election timeout":  func(c *Config) { c.ElectionTimeoutMin = -1 },
		"election timeouts the same":   func(c *Config) { c.ElectionTimeoutMax = 500 * time.Millisecond },
		"a negative command limit":     func(c *Config) { c.MaxCommandBytes = -1 },
		"a command limit beyond 1 GiB": func(c *Config) { c.MaxCommandBytes = 1<<30 + 1 },
		"a negative window":            func(c *Config) { c.MaxInflight = -1 },
	} {
		c := goodConfig()
		change(&c)
		if err := c.complete(); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// New refuses a store that cannot be right, whatever it holds.
func TestNewRefusesBadStores(t *testing.T) {
	good := func() Recovered {
		c := NewConfiguration(serverIDs(3))
		return Recovered{
			Identity: Identity{Server: "n1", Incarnation: 1}, HardState: HardState{Term: 3}, FirstIndex: 1, CommitIndex: 1,
			Batches: []Batch{NewBatch(AppendEntry(nil, EntryConfiguration, 1, c.Encode()), 1), commands(2, 2, 3)},
		}
	}
	for _, c := range []struct {
		name   string
		change func(*fixedStore)
		want   error
	}{
		{"empty", func(f *fixedStore) { f.recovered = Recovered{Empty: true} }, ErrNotBootstrapped},
		{"broken", func(f *fixedStore) { f.err = &StorageError{Op: "open", Path: "x", Err: errLost} }, ErrStorage},
		{"of another server", func(f *fixedStore) { f.recovered.Identity.Server = "n2" }, ErrConfig},
		{"that begins later", func(f *fixedStore) { f.recovered.FirstIndex = 2 }, ErrMalformed},
		{"without entries", func(f *fixedStore) { f.recovered.Batches = nil }, ErrMalformed},
		{"without a configuration", func(f *fixedStore) { f.recovered.Batches = f.recovered.Batches[1:] }, ErrMalformed},
		{"with a later configuration", func(f *fixedStore) { f.recovered.Batches[1] = f.recovered.Batches[0] }, ErrMalformed},
		{"with falling terms", func(f *fixedStore) { f.recovered.Batches[1] = commands(2, 3, 2) }, ErrMalformed},
		{"with a cut batch", func(f *fixedStore) { f.recovered.Batches[1].Body = f.recovered.Batches[1].Body[:20] }, ErrMalformed},
		{"with an entry above its term", func(f *fixedStore) { f.recovered.HardState.Term = 2 }, ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := &fixedStore{recovered: good()}
			c.change(store)
			config := goodConfig()
			config.Store = store
			if rf, err := New(config); !errors.Is(err, c.want) || rf != nil {
				t.Errorf("%v", err)
			}
		})
	}
}

// The commit hint is used, as far as the log goes: a restart applies what it
// knows to be committed before it hears a leader.
func TestRestartAppliesWhatItKnowsCommitted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := begin(t, setup{log: []uint64{2, 2, 2}, commit: 3})
		if got := s.Status(); got.CommitIndex != 3 || got.LastApplied != 3 || len(s.machine.entries()) != 2 {
			t.Fatalf("%+v; applied %d", got, len(s.machine.entries()))
		}
	})
}
