package raft

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// fullConfiguration has something in every field.
func fullConfiguration() Configuration {
	return Configuration{
		Servers: []Server{
			{ID: "n3", Address: "c:3", Incarnation: 9, Priority: 7, Directory: []byte{0, 1, 255}},
			{ID: "n1", Address: "a:1", Incarnation: 1},
			{ID: "n2", Address: "", Incarnation: 1},
		},
		Voters:       []ServerID{"n2", "n1"},
		OldVoters:    []ServerID{"n3", "n1"},
		FeatureLevel: 3,
	}
}

func TestConfigurationRoundTrip(t *testing.T) {
	c := fullConfiguration()
	before := fmt.Sprintf("%+v", c)
	encoded := c.Encode()
	if fmt.Sprintf("%+v", c) != before {
		t.Error("Encode sorted the caller's configuration")
	}
	decoded, err := DecodeConfiguration(encoded)
	if err != nil {
		t.Fatal(err)
	}
	c.sort()
	if fmt.Sprintf("%+v", decoded) != fmt.Sprintf("%+v", c) {
		t.Errorf("%+v became %+v", c, decoded)
	}
	if !bytes.Equal(decoded.Encode(), encoded) {
		t.Error("equal memberships have different bytes")
	}
}

func TestNewConfigurationIsTheSameInAnyOrder(t *testing.T) {
	first := NewConfiguration(serverIDs(7))
	for range 20 { // map order differs from run to run
		next := NewConfiguration(serverIDs(7))
		if !bytes.Equal(next.Encode(), first.Encode()) {
			t.Fatal("the bootstrap entry depends on map order")
		}
	}
	if err := first.Validate(); err != nil {
		t.Error(err)
	}
	for _, s := range first.Servers {
		if s.Incarnation != 1 || !first.IsVoter(s.ID) {
			t.Errorf("%+v", s)
		}
	}
}

func TestClusterID(t *testing.T) {
	three, four := NewConfiguration(serverIDs(3)), NewConfiguration(serverIDs(4))
	a, b := ClusterID("shop", three), ClusterID("shop", four)
	if a == b || !strings.HasPrefix(a, "shop-") || a != ClusterID("shop", NewConfiguration(serverIDs(3))) {
		t.Errorf("%s and %s", a, b)
	}
}

func TestIsVoter(t *testing.T) {
	c := fullConfiguration()
	c.OldVoters = nil
	if !c.IsVoter("n1") || c.IsVoter("n3") || c.IsVoter("n9") {
		t.Error("voters are wrong")
	}
	c.OldVoters = []ServerID{"n3"}
	if !c.IsVoter("n3") {
		t.Error("an old voter votes until the joint configuration ends")
	}
	if s, ok := c.Server("n3"); !ok || s.Address != "c:3" {
		t.Errorf("%+v, %v", s, ok)
	}
	if _, ok := c.Server("n9"); ok {
		t.Error("found a stranger")
	}
}

// badConfigurations are refused by Validate.
func badConfigurations() map[string]Configuration {
	change := func(f func(*Configuration)) Configuration {
		c := fullConfiguration()
		f(&c)
		return c
	}
	long := strings.Repeat("x", maxNameLength+1)
	return map[string]Configuration{
		"empty":               {},
		"no voter":            change(func(c *Configuration) { c.Voters = nil }),
		"voter twice":         change(func(c *Configuration) { c.Voters = append(c.Voters, "n1") }),
		"old voter twice":     change(func(c *Configuration) { c.OldVoters = append(c.OldVoters, "n1") }),
		"voter unknown":       change(func(c *Configuration) { c.Voters = append(c.Voters, "n9") }),
		"old voter unknown":   change(func(c *Configuration) { c.OldVoters = []ServerID{"n9"} }),
		"server twice":        change(func(c *Configuration) { c.Servers = append(c.Servers, c.Servers[0]) }),
		"server without id":   change(func(c *Configuration) { c.Servers[0].ID = "" }),
		"id too long":         change(func(c *Configuration) { c.Servers[0].ID = ServerID(long) }),
		"address too long":    change(func(c *Configuration) { c.Servers[0].Address = long }),
		"directory too long":  change(func(c *Configuration) { c.Servers[0].Directory = []byte(long) }),
		"too many servers":    NewConfiguration(serverIDs(maxServers + 1)),
		"old voters, no new":  change(func(c *Configuration) { c.Voters = []ServerID{} }),
		"a voter without id":  change(func(c *Configuration) { c.Voters = []ServerID{""} }),
		"a voter set of none": {Servers: []Server{{ID: "n1"}}, OldVoters: []ServerID{"n1"}},
	}
}

func TestBadConfigurations(t *testing.T) {
	for name, c := range badConfigurations() {
		if err := c.Validate(); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := DecodeConfiguration(c.Encode()); !errors.Is(err, ErrMalformed) || errors.Is(err, ErrConfig) {
			t.Errorf("%s, decoded: %v", name, err)
		}
		if _, err := Bootstrap(NewMemoryPersister(nil), "c", "n1", c); !errors.Is(err, ErrConfig) {
			t.Errorf("%s, bootstrapped: %v", name, err)
		}
	}
	most := NewConfiguration(serverIDs(maxServers))
	if err := most.Validate(); err != nil {
		t.Errorf("at the limit: %v", err)
	}
}

func TestHostileConfigurations(t *testing.T) {
	c := fullConfiguration()
	good := c.Encode()
	hostile := map[string][]byte{"nothing": nil, "a tail": append(bytes.Clone(good), 0), "version 2": append([]byte{2}, good[1:]...)}
	for n := range len(good) {
		hostile[fmt.Sprint("cut to ", n)] = good[:n]
	}
	for at := 1; at+4 <= len(good); at++ {
		bad := bytes.Clone(good)
		binary.LittleEndian.PutUint32(bad[at:], 1<<32-1)
		if d, err := DecodeConfiguration(bad); err == nil && bytes.Equal(d.Encode(), good) {
			t.Errorf("4 bytes overwritten at %d make no difference", at)
		}
	}
	for name, data := range hostile {
		if c, err := DecodeConfiguration(data); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	// A list that claims 4 G servers must not be made room for.
	bomb := binary.LittleEndian.AppendUint32([]byte{configVersion, 0, 0, 0, 0}, 1<<32-1)
	if n := testing.AllocsPerRun(10, func() { _, _ = DecodeConfiguration(bomb) }); n > 20 {
		t.Errorf("%v allocations for a list that is not there", n)
	}
}
