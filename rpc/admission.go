package rpc

import (
	"fmt"
	"net"
	"sync"
)

// admission bounds the incoming connections of a server. A connection begins as
// a stranger; its greeting makes it a client or a peer. Each of the three has a
// bound of its own, so that neither strangers nor clients can use up the places
// of peers:
//
//   - Strangers: a new one beyond the bound pushes out the oldest. A peer needs
//     one round trip to become known, so it passes through a crowd that does
//     nothing; closing the newest instead would lock it out.
//   - Clients beyond the bound, or beyond that of their host, are refused.
//   - Peers: a new connection of the same server and class replaces the old one,
//     which is most likely half-dead. Servers beyond the bound are refused.
type admission struct {
	limits Limits // immutable

	mu sync.Mutex
	// guarded by mu
	strangers []net.Conn // oldest first
	clients   map[*conn]string
	perHost   map[string]int
	peers     map[peerPlace]*conn
	closed    bool
}

type peerPlace struct {
	id   string
	kind class
}

func newAdmission(l Limits) *admission {
	return &admission{limits: l, clients: map[*conn]string{}, perHost: map[string]int{}, peers: map[peerPlace]*conn{}}
}

// enter takes in a stranger, and returns the one it pushed out, closed. Open is
// false if the server is closing.
func (a *admission) enter(nc net.Conn) (pushedOut net.Conn, open bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, false
	}
	if len(a.strangers) >= a.limits.Handshakes {
		pushedOut = a.strangers[0]
		pushedOut.Close()
		a.strangers = a.strangers[1:]
	}
	a.strangers = append(a.strangers, nc)
	return pushedOut, true
}

// leave forgets a stranger.
func (a *admission) leave(nc net.Conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, s := range a.strangers {
		if s == nc {
			a.strangers = append(a.strangers[:i:i], a.strangers[i+1:]...)
			return
		}
	}
}

// admit makes a stranger a client or a peer, or says why not. known tells that
// Connect named the peer. The caller calls release when it is closed.
func (a *admission) admit(c *conn, known bool) error {
	old, err := a.place(c, known)
	if old != nil {
		old.close(fmt.Errorf("%w: a newer %v connection of %s took its place", ErrClosed, c.remote.class, c.remote.sender))
	}
	return err
}

// unknownShare is the part of the places of servers, one in unknownShare, that
// servers no configuration here names can take: ids are cheap to make up.
const unknownShare = 4

func (a *admission) place(c *conn, known bool) (replaced *conn, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, refuse(ErrClosed, "this server is stopping")
	}
	l := a.limits
	if c.remote.class != classClient {
		place := peerPlace{c.remote.sender, c.remote.class}
		old := a.peers[place]
		if old == nil && len(a.peers) >= l.PeerConnections {
			return nil, refuse(ErrBusy, "%d connections of servers are open", len(a.peers))
		}
		if old == nil && !known && a.unknown() >= l.PeerConnections/unknownShare {
			return nil, refuse(ErrBusy, "%d connections of servers that are not in the configuration are open", a.unknown())
		}
		c.known = known
		a.peers[place] = c
		return old, nil
	}
	host := hostOf(c.net)
	if most := l.Connections - l.PeerConnections - l.Handshakes; len(a.clients) >= most {
		return nil, refuse(ErrBusy, "%d clients are connected, the limit is %d", len(a.clients), most)
	}
	if a.perHost[host] >= l.ClientsPerHost {
		return nil, refuse(ErrBusy, "%d clients of %s are connected, the limit is %d", a.perHost[host], host, l.ClientsPerHost)
	}
	a.clients[c] = host
	a.perHost[host]++
	return nil, nil
}

// unknown counts the connections of servers that Connect did not name. a.mu must
// be held.
func (a *admission) unknown() (n int) {
	for _, c := range a.peers {
		if !c.known {
			n++
		}
	}
	return n
}

// release gives back the place of a closed connection.
func (a *admission) release(c *conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if host, ok := a.clients[c]; ok {
		delete(a.clients, c)
		if a.perHost[host]--; a.perHost[host] == 0 {
			delete(a.perHost, host)
		}
	}
	if place := (peerPlace{c.remote.sender, c.remote.class}); a.peers[place] == c {
		delete(a.peers, place)
	}
}

// close closes every connection, and lets in no more.
func (a *admission) close() {
	a.mu.Lock()
	a.closed = true
	all := make([]*conn, 0, len(a.clients)+len(a.peers))
	for c := range a.clients {
		all = append(all, c)
	}
	for _, c := range a.peers {
		all = append(all, c)
	}
	for _, nc := range a.strangers {
		nc.Close()
	}
	a.mu.Unlock()
	for _, c := range all {
		c.close(ErrClosed)
	}
}

// hostOf returns the host a connection comes from.
func hostOf(nc net.Conn) string {
	address := nc.RemoteAddr().String()
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}
