package rpc

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"time"

	"lockstep.example/raft"
)

// Config says who a Server is and where it listens. ID, Cluster and Address are
// required.
type Config struct {
	ID          raft.ServerID
	Cluster     string   // the cluster id; servers of another one are refused
	Incarnation uint64   // as the data directory says
	Directory   []byte   // the id of the data directory
	BootCounter uint64   // raised durably at each start; 0 turns the clone check off
	BootID      [16]byte // random if zero, as it should be outside tests
	Address     string   // host:port to listen on; port 0 picks one, see Server.Addr
	Limits      Limits
	Logger      *slog.Logger // nil: slog.Default()
}

// Limits bounds what a Server holds for others. A zero field takes its default.
type Limits struct {
	// FrameBytes bounds one message: 8 MiB. A longer one is not sent, and closes
	// the connection it arrives on before memory is allocated for it. It must be
	// the same on all servers and clients of a cluster.
	FrameBytes int
	// Connections bounds the incoming connections of all kinds: 1,000. Of these
	// PeerConnections (192: three for each of 64 servers) are for servers and
	// Handshakes (128) for connections that have not said yet who they are; the
	// rest is for clients.
	Connections, PeerConnections, Handshakes int
	// ClientsPerHost bounds the client connections from one host: 256.
	ClientsPerHost int
	// Requests and RequestBytes bound what one connection may have under way:
	// 4,096 and 64 MiB. Beyond, its next request waits in the socket.
	Requests, RequestBytes int
	// QueueCalls and QueueBytes bound what waits to be sent to one peer, for each
	// of control and data: 1,024 and 64 MiB. Beyond, calls fail with ErrQueueFull.
	QueueCalls, QueueBytes int
	// HandshakeTimeout bounds the greetings: 5 s. DialTimeout bounds connecting:
	// 1 s.
	HandshakeTimeout, DialTimeout time.Duration
	// IdleTimeout closes an incoming connection on which nothing arrives: 1
	// minute. Our own side sends something well before that.
	IdleTimeout time.Duration
	// StallTimeout closes a connection on which 64 KiB of a message take longer to
	// be read or written: 10 s.
	StallTimeout time.Duration
}

const (
	// stallBytes is what must move within a StallTimeout.
	stallBytes = 64 << 10
	// quietAfter closes an outgoing connection that gave no sign of life since a
	// call whose deadline passed this long ago, so that after a partition a fresh
	// connection replaces one that TCP would retry only minutes later.
	quietAfter = 2 * time.Second
	// forgetAfter closes an outgoing connection when a call is still unanswered
	// this long after it ended here, since net/rpc keeps such calls for ever.
	forgetAfter = time.Minute
	// closeTimeout bounds how long Close waits for handlers.
	closeTimeout = 10 * time.Second
	// maxName bounds ids in a greeting, in bytes.
	maxName = 255
)

func orDefault[T int | time.Duration](v *T, value T) {
	if *v <= 0 {
		*v = value
	}
}

func (l Limits) withDefaults() Limits {
	orDefault(&l.FrameBytes, 8<<20)
	orDefault(&l.Connections, 1000)
	orDefault(&l.PeerConnections, 192)
	orDefault(&l.Handshakes, 128)
	orDefault(&l.ClientsPerHost, 256)
	orDefault(&l.Requests, 4096)
	orDefault(&l.RequestBytes, 64<<20)
	orDefault(&l.QueueCalls, 1024)
	orDefault(&l.QueueBytes, 64<<20)
	orDefault(&l.HandshakeTimeout, 5*time.Second)
	orDefault(&l.DialTimeout, time.Second)
	orDefault(&l.IdleTimeout, time.Minute)
	orDefault(&l.StallTimeout, 10*time.Second)
	return l
}

// prepare fills in defaults and checks the rest.
func (c Config) prepare() (Config, error) {
	c.Limits = c.Limits.withDefaults()
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.BootID == [16]byte{} {
		rand.Read(c.BootID[:]) // never fails
	}
	switch {
	case c.ID == "" || len(c.ID) > maxName:
		return c, fmt.Errorf("rpc: server id %q has %d bytes; give one of 1 to %d", c.ID, len(c.ID), maxName)
	case c.Cluster == "" || len(c.Cluster) > maxName:
		return c, fmt.Errorf("rpc: cluster id %q has %d bytes; give one of 1 to %d", c.Cluster, len(c.Cluster), maxName)
	case len(c.Directory) > maxName:
		return c, fmt.Errorf("rpc: directory id has %d bytes; the limit is %d", len(c.Directory), maxName)
	case c.Limits.Connections <= c.Limits.PeerConnections+c.Limits.Handshakes:
		return c, fmt.Errorf("rpc: a limit of %d connections leaves none for clients; raise it above PeerConnections + Handshakes (%d)",
			c.Limits.Connections, c.Limits.PeerConnections+c.Limits.Handshakes)
	}
	return c, nil
}

// greeting returns what this server says of itself to another process.
func (c *Config) greeting(kind class, receiver raft.ServerID) greeting {
	return greeting{
		minVersion: minVersion, maxVersion: maxVersion, class: kind,
		cluster: c.Cluster, sender: string(c.ID), receiver: string(receiver),
		incarnation: c.Incarnation, directory: string(c.Directory), bootCounter: c.BootCounter, bootID: c.BootID,
	}
}
