package rpc

import (
	"context"
	"errors"
	"net"
	"time"
)

// answer makes a stranger that connected to us known: it reads its greeting and
// writes ours. On success the connection is admitted, and its onEnd gives the
// place back. Otherwise the stranger, if it speaks our protocol, has been told
// why, and the caller closes the connection.
func (s *Server) answer(nc net.Conn) (*conn, error) {
	defer s.admission.leave(nc)
	if err := nc.SetDeadline(time.Now().Add(s.limits.HandshakeTimeout)); err != nil {
		return nil, err
	}
	theirs, err := readGreeting(nc)
	if errors.Is(err, ErrProtocol) || err != nil && !errors.Is(err, ErrVersion) {
		return nil, err // it would not understand
	}
	var c *conn
	if err == nil {
		c, err = s.admit(nc, theirs)
	}
	ours := s.config.greeting(theirs.class, "")
	ours.receiver = theirs.sender
	if err != nil {
		ours.verdict = verdictOf(err)
		var refused *RefusedError
		if errors.As(err, &refused) {
			ours.text = refused.Detail
		}
	}
	if _, werr := nc.Write(ours.encode()); err == nil {
		err = werr
	}
	if err == nil {
		err = nc.SetDeadline(time.Time{})
	}
	if err != nil && c != nil {
		c.close(err)
	}
	return c, err
}

// admit checks a greeting and finds the connection a place.
func (s *Server) admit(nc net.Conn, theirs greeting) (*conn, error) {
	if err := s.checkStranger(theirs); err != nil {
		return nil, err
	}
	c := newConn(nc, theirs, s.limits, s.limits.IdleTimeout)
	peer := theirs.class != classClient
	if peer {
		if err := s.sightings.opened(theirs); err != nil {
			return nil, err
		}
	}
	c.onEnd = func() {
		s.admission.release(c)
		if peer {
			s.sightings.closed(theirs.sender)
		}
	}
	if err := s.admission.admit(c, s.peerOf(theirs) != nil); err != nil {
		c.onEnd()
		c.onEnd = nil
		return nil, err
	}
	return c, nil
}

// checkStranger says why whoever sent g may not connect to this server.
func (s *Server) checkStranger(g greeting) error {
	me := s.config
	client := g.class == classClient
	switch {
	case g.class != classControl && g.class != classData && !client:
		return refuse(ErrProtocol, "this server takes no %v connections", g.class)
	case g.group != 0:
		return refuse(ErrWrongReceiver, "this server has no group %d", g.group)
	case g.cluster != me.Cluster && !(client && g.cluster == ""):
		return refuse(ErrWrongCluster, "this is cluster %q, not %q", me.Cluster, g.cluster)
	case g.receiver != string(me.ID) && !(client && g.receiver == ""):
		return refuse(ErrWrongReceiver, "this is server %q, not %q: its address is out of date", me.ID, g.receiver)
	case client && g.sender != "":
		return refuse(ErrNotPeer, "a client connection says it is server %q", g.sender)
	case !client && g.sender == "":
		return refuse(ErrNotPeer, "a %v connection does not say which server it comes from", g.class)
	case !client && g.sender == string(me.ID):
		return refuse(ErrClone, "%q is this server's own id; two servers were given the same", g.sender)
	}
	return nil
}

// dialPeer connects to another server, for a line of the given class.
func (s *Server) dialPeer(ctx context.Context, p *peer, kind class) (*conn, error) {
	address := p.where()
	nc, theirs, err := greet(ctx, s.dial, address, s.config.greeting(kind, p.id), s.limits)
	if err != nil {
		if errors.As(err, new(*RefusedError)) {
			s.complaints.about(reasons[verdictOf(err)].Error(), address, err)
		}
		return nil, err
	}
	if theirs.cluster != s.config.Cluster || theirs.sender != string(p.id) {
		nc.Close()
		err = refuse(ErrWrongReceiver, "%s is server %q of cluster %q, not %q of %q", address, theirs.sender, theirs.cluster, p.id, s.config.Cluster)
	} else {
		err = s.sightings.opened(theirs)
	}
	if err != nil {
		nc.Close()
		s.complaints.about(reasons[verdictOf(err)].Error(), address, err)
		return nil, err
	}
	c := newConn(nc, theirs, s.limits, 0)
	c.onEnd = func() { s.sightings.closed(theirs.sender) }
	return c, nil
}

// dialFunc opens a connection; tests put others in the place of TCP.
type dialFunc func(ctx context.Context, address string) (net.Conn, error)

func dialTCP(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", address)
}

// greet dials an address and exchanges greetings. A RefusedError says why the
// other side, or this one, does not want the connection.
func greet(ctx context.Context, dial dialFunc, address string, ours greeting, l Limits) (net.Conn, greeting, error) {
	dialCtx, cancel := context.WithTimeout(ctx, l.DialTimeout)
	defer cancel()
	nc, err := dial(dialCtx, address)
	if err != nil {
		return nil, greeting{}, err
	}
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	theirs, err := exchange(nc, ours, l.HandshakeTimeout)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	var refused *RefusedError
	if err == nil && theirs.verdict != accepted {
		err = &RefusedError{Reason: theirs.verdict.reason(), By: address, Detail: theirs.text}
	} else if errors.As(err, &refused) {
		refused.Detail = address + ": " + refused.Detail
	}
	if err != nil {
		nc.Close()
		return nil, greeting{}, err
	}
	return nc, theirs, nil
}

// exchange says our greeting and reads the answer.
func exchange(nc net.Conn, ours greeting, timeout time.Duration) (greeting, error) {
	if err := nc.SetDeadline(time.Now().Add(timeout)); err != nil {
		return greeting{}, err
	}
	if _, err := nc.Write(ours.encode()); err != nil {
		return greeting{}, err
	}
	theirs, err := readGreeting(nc)
	if err == nil {
		err = nc.SetDeadline(time.Time{})
	}
	return theirs, err
}
