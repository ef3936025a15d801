package rpc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A greeting is what each side of a connection says first: the one that dialled,
// then the one that listens. It is written by hand, not in msgpack, because it is
// read before anything is known of the other side. All integers little-endian.
//
//	0        4        6       8       10         18      19        20
//	+--------+--------+-------+-------+----------+-------+---------+
//	| magic  | length | min   | max   | features | class | verdict | ...
//	+--------+--------+-------+-------+----------+-------+---------+
//	20       28            36             44        60
//	+--------+-------------+--------------+---------+
//	| group  | incarnation | boot counter | boot id | ...
//	+--------+-------------+--------------+---------+
//	60        cluster, sender, receiver, directory, text: each a length byte, then bytes
//
// length counts what follows it. A reader ignores bytes it does not know at the
// end, and features it does not know; it reads past max only if the versions
// overlap, so all behind max may change with the version.
type greeting struct {
	minVersion, maxVersion uint16
	features               uint64 // what the sender can do beyond the version; none yet
	class                  class
	verdict                verdict // of the listening side on the dialling one
	group                  uint64  // reserved for several groups in one process: 0
	incarnation            uint64
	bootCounter            uint64
	bootID                 [16]byte
	cluster                string // a client may leave it empty
	sender                 string // empty: a client
	receiver               string // whom the sender means; a client may leave it empty
	directory              string
	text                   string // why refused, for people
}

const (
	magic            = "LSTP"
	minVersion       = 1
	maxVersion       = 1
	greetingFixed    = 60      // bytes up to the strings
	greetingMaxBytes = 2 << 10 // after length
)

// class says what a connection is for. The numbers travel; never reuse one.
type class uint8

const (
	classControl  class = 1 // votes, heartbeats, read indexes
	classData     class = 2 // AppendEntries that are not heartbeats
	classSnapshot class = 3 // reserved
	classClient   class = 4 // registered services; never Raft's own
)

func (c class) String() string {
	switch c {
	case classControl:
		return "control"
	case classData:
		return "data"
	case classSnapshot:
		return "snapshot"
	case classClient:
		return "client"
	}
	return fmt.Sprintf("unknown class %d", uint8(c))
}

// verdict is the number of a refusal's reason. The numbers travel.
type verdict uint8

const accepted verdict = 0

// reasons lists what a verdict may stand for; its place is its number.
var reasons = [...]error{nil, ErrProtocol, ErrVersion, ErrWrongCluster, ErrWrongReceiver, ErrClone, ErrNotPeer, ErrBusy, ErrClosed}

func verdictOf(err error) verdict {
	for v, reason := range reasons {
		if reason != nil && errors.Is(err, reason) {
			return verdict(v)
		}
	}
	return 1
}

// reason returns the sentinel a verdict stands for, also for a number that only
// a later version knows.
func (v verdict) reason() error {
	if v > 0 && int(v) < len(reasons) {
		return reasons[v]
	}
	return ErrProtocol
}

// encode returns the bytes of g. Strings are cut at 255 bytes: Config has
// checked the ids, so only the text can be longer.
func (g *greeting) encode() []byte {
	le := binary.LittleEndian
	b := append(make([]byte, 0, 256), magic...)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint16(b, g.minVersion)
	b = le.AppendUint16(b, g.maxVersion)
	b = le.AppendUint64(b, g.features)
	b = append(b, byte(g.class), byte(g.verdict))
	b = le.AppendUint64(b, g.group)
	b = le.AppendUint64(b, g.incarnation)
	b = le.AppendUint64(b, g.bootCounter)
	b = append(b, g.bootID[:]...)
	for _, s := range []string{g.cluster, g.sender, g.receiver, g.directory, g.text} {
		s = s[:min(len(s), maxName)]
		b = append(b, byte(len(s)))
		b = append(b, s...)
	}
	le.PutUint16(b[4:], uint16(len(b)-6))
	return b
}

// readGreeting reads one greeting. Its errors are RefusedErrors, except those of
// the reader. With ErrVersion the versions are filled in and nothing else.
func readGreeting(r io.Reader) (greeting, error) {
	var head [10]byte
	// The magic alone tells a stranger, who may never send more than a few bytes.
	if _, err := io.ReadFull(r, head[:4]); err != nil {
		return greeting{}, fmt.Errorf("read a greeting: %w", err)
	}
	if string(head[:4]) != magic {
		return greeting{}, refuse(ErrProtocol, "a connection begins with %q, expected %q", head[:4], magic)
	}
	if _, err := io.ReadFull(r, head[4:]); err != nil {
		return greeting{}, fmt.Errorf("read a greeting: %w", err)
	}
	length := int(binary.LittleEndian.Uint16(head[4:]))
	if length < 4 || length > greetingMaxBytes {
		return greeting{}, refuse(ErrProtocol, "a greeting claims %d bytes", length)
	}
	rest := make([]byte, length-4)
	if _, err := io.ReadFull(r, rest); err != nil {
		return greeting{}, fmt.Errorf("read a greeting of %d bytes: %w", length, err)
	}
	g := greeting{minVersion: binary.LittleEndian.Uint16(head[6:]), maxVersion: binary.LittleEndian.Uint16(head[8:])}
	if g.minVersion > maxVersion || g.maxVersion < minVersion || g.minVersion > g.maxVersion {
		return g, refuse(ErrVersion, "the other side speaks versions %d to %d, this program %d to %d",
			g.minVersion, g.maxVersion, minVersion, maxVersion)
	}
	if !g.decode(rest) {
		return greeting{}, refuse(ErrProtocol, "a greeting of %d bytes is cut", length)
	}
	return g, nil
}

// decode reads what follows the versions; false if it is cut.
func (g *greeting) decode(b []byte) bool {
	const before = 10 // bytes before b
	if len(b) < greetingFixed-before {
		return false
	}
	le := binary.LittleEndian
	g.features = le.Uint64(b)
	g.class, g.verdict = class(b[8]), verdict(b[9])
	g.group = le.Uint64(b[10:])
	g.incarnation = le.Uint64(b[18:])
	g.bootCounter = le.Uint64(b[26:])
	copy(g.bootID[:], b[34:])
	b = b[greetingFixed-before:]
	for _, s := range []*string{&g.cluster, &g.sender, &g.receiver, &g.directory, &g.text} {
		if len(b) == 0 {
			return false
		}
		end := 1 + int(b[0])
		if len(b) < end {
			return false
		}
		*s = string(b[1:end])
		b = b[end:]
	}
	return true
}
