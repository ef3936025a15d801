// Package rpc carries Raft over TCP: net/rpc with a msgpack codec of our own. It
// implements raft.Transport, and lends its port to the net/rpc services of
// others, such as the key-value store.
//
// The nouns:
//
//   - A Server listens on one port. It serves Raft to the other servers of the
//     cluster and registered services to clients.
//   - A greeting opens every connection in both directions, before net/rpc
//     begins. It says who speaks, to whom, and for which cluster; a mismatch is
//     refused before any state changes, and both sides learn the reason.
//   - A frame holds one net/rpc message: length, checksum, msgpack.
//   - A line is the outgoing side: a bounded queue to one address, one goroutine
//     that dials and writes, one that enforces deadlines. Every peer has two, for
//     control (votes, heartbeats, reads) and data (entries), so that a full pipe
//     of entries never delays a heartbeat. No caller ever waits for a line.
//   - A turn keeps AppendEntries handlers in the order their requests arrived.
//   - A Client calls registered services by address, many calls on a connection.
//
// net/rpc by itself has no deadlines, no limits, and its Client.Go blocks when
// a socket is full; a server's write errors go unseen. Here only a line's own
// goroutine calls Go, every read and write of the network has a deadline, every
// error of the network closes the connection, and every queue has a bound.
//
// Nothing here is encrypted or authenticated yet: run it on a trusted network.
//
// Lock order: no lock of this package is held while another one is taken,
// except that a link's mutex may be held while that of one of its calls is taken.
// Callbacks (done, Handler) are called with none held.
//
// Where to start: server.go for what comes in, line.go for what goes out,
// greeting.go and frame.go for the bytes on the wire.
package rpc
