package raft

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Server is one member of a configuration.
type Server struct {
	ID          ServerID
	Address     string // host:port that the others dial
	Incarnation uint64 // index of the configuration entry that admitted it; 1 for bootstrap servers, 0 = blank
	Priority    uint32 // reserved for preferred leaders; 0 = no preference
	Directory   []byte // the directory id the admitting entry named; empty for bootstrap servers
}

// Configuration is the full membership of a cluster, as one entry of the log
// holds it. Voters is the set that decides; OldVoters is empty except in a joint
// configuration (paper §6), where both sets must agree. Servers in neither are
// learners.
type Configuration struct {
	Servers      []Server
	Voters       []ServerID
	OldVoters    []ServerID
	FeatureLevel uint32 // protocol features every member has; 0 now
}

// Limits of a configuration, so that its entry is small whatever a caller says.
const (
	maxServers     = 64
	maxNameLength  = 128
	configVersion  = 1
	bootstrapTerm  = 1
	bootstrapIndex = 1
)

// NewConfiguration builds the configuration of a new cluster in which every
// server is a voter admitted by the bootstrap entry.
func NewConfiguration(addresses map[ServerID]string) Configuration {
	var c Configuration
	for id, address := range addresses {
		c.Servers = append(c.Servers, Server{ID: id, Address: address, Incarnation: bootstrapIndex})
		c.Voters = append(c.Voters, id)
	}
	c.sort()
	return c
}

// sort puts a configuration in its canonical order, so that equal memberships
// have equal bytes.
func (c *Configuration) sort() {
	slices.SortFunc(c.Servers, func(a, b Server) int { return strings.Compare(string(a.ID), string(b.ID)) })
	slices.Sort(c.Voters)
	slices.Sort(c.OldVoters)
}

// Server returns the member with the given id.
func (c *Configuration) Server(id ServerID) (Server, bool) {
	for _, s := range c.Servers {
		if s.ID == id {
			return s, true
		}
	}
	return Server{}, false
}

// IsVoter tells whether id votes in either set.
func (c *Configuration) IsVoter(id ServerID) bool {
	return slices.Contains(c.Voters, id) || slices.Contains(c.OldVoters, id)
}

// Validate checks a configuration from a caller or from an entry.
func (c *Configuration) Validate() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrConfig, fmt.Sprintf(format, args...))
	}
	if len(c.Voters) == 0 {
		return bad("no voter; name at least one server")
	}
	if len(c.Servers) > maxServers {
		return bad("%d servers; the limit is %d", len(c.Servers), maxServers)
	}
	seen := map[ServerID]bool{}
	for _, s := range c.Servers {
		switch {
		case s.ID == "" || len(s.ID) > maxNameLength:
			return bad("server id %q; an id has 1 to %d bytes", s.ID, maxNameLength)
		case len(s.Address) > maxNameLength:
			return bad("address of %s has %d bytes; the limit is %d", s.ID, len(s.Address), maxNameLength)
		case len(s.Directory) > maxNameLength:
			return bad("directory id of %s has %d bytes; the limit is %d", s.ID, len(s.Directory), maxNameLength)
		case seen[s.ID]:
			return bad("server %s is named twice", s.ID)
		}
		seen[s.ID] = true
	}
	for _, set := range [][]ServerID{c.Voters, c.OldVoters} {
		for i, id := range set {
			if !seen[id] {
				return bad("voter %s is not among the servers", id)
			}
			if slices.Contains(set[:i], id) {
				return bad("voter %s is named twice", id)
			}
		}
	}
	return nil
}

// Encode returns the bytes of a configuration entry: version, feature level,
// servers, voters, old voters; counts and strings with a uint32 length in front,
// integers little-endian. Equal memberships give equal bytes.
func (c *Configuration) Encode() []byte {
	sorted := Configuration{slices.Clone(c.Servers), slices.Clone(c.Voters), slices.Clone(c.OldVoters), c.FeatureLevel}
	sorted.sort()
	le := binary.LittleEndian
	text := func(b []byte, s string) []byte { return append(le.AppendUint32(b, uint32(len(s))), s...) }
	b := []byte{configVersion}
	b = le.AppendUint32(b, sorted.FeatureLevel)
	b = le.AppendUint32(b, uint32(len(sorted.Servers)))
	for _, s := range sorted.Servers {
		b = text(b, string(s.ID))
		b = text(b, s.Address)
		b = le.AppendUint64(b, s.Incarnation)
		b = le.AppendUint32(b, s.Priority)
		b = text(b, string(s.Directory))
	}
	for _, set := range [][]ServerID{sorted.Voters, sorted.OldVoters} {
		b = le.AppendUint32(b, uint32(len(set)))
		for _, id := range set {
			b = text(b, string(id))
		}
	}
	return b
}

// DecodeConfiguration reads what Encode wrote, and validates it.
func DecodeConfiguration(data []byte) (Configuration, error) {
	d := configDecoder{rest: data}
	var c Configuration
	if v := d.bytes(1); v != nil && v[0] != configVersion {
		return c, fmt.Errorf("%w: configuration entry has version %d, this program reads %d", ErrMalformed, v[0], configVersion)
	}
	c.FeatureLevel = d.uint32()
	for range d.count() {
		c.Servers = append(c.Servers, Server{
			ID: ServerID(d.text()), Address: d.text(), Incarnation: d.uint64(), Priority: d.uint32(), Directory: []byte(d.text()),
		})
	}
	for _, set := range []*[]ServerID{&c.Voters, &c.OldVoters} {
		for range d.count() {
			*set = append(*set, ServerID(d.text()))
		}
	}
	if d.short || len(d.rest) != 0 {
		return Configuration{}, fmt.Errorf("%w: configuration entry of %d bytes is cut or has a tail", ErrMalformed, len(data))
	}
	if err := c.Validate(); err != nil {
		return Configuration{}, fmt.Errorf("%w: configuration entry: %v", ErrMalformed, err)
	}
	return c, nil
}

// configDecoder reads fields off the front of a byte string; once it runs short
// it stays short and returns zeros.
type configDecoder struct {
	rest  []byte
	short bool
}

func (d *configDecoder) bytes(n uint32) []byte {
	if d.short || uint64(n) > uint64(len(d.rest)) {
		d.short = true
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *configDecoder) uint32() uint32 {
	if b := d.bytes(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (d *configDecoder) uint64() uint64 {
	if b := d.bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (d *configDecoder) text() string { return string(d.bytes(d.uint32())) }

// count reads the length of a list, refusing one that no valid entry has.
func (d *configDecoder) count() uint32 {
	n := d.uint32()
	if n > maxServers {
		d.short = true
		return 0
	}
	return n
}

// ClusterID derives the id of a cluster from the name it was given and its
// bootstrap entry: two clusters that share a name still differ.
func ClusterID(name string, c Configuration) string {
	sum := sha256.Sum256(c.Encode())
	return name + "-" + hex.EncodeToString(sum[:6])
}
