package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"sync"
	"syscall"
	"time"

	"lockstep.example/raft"
)

var (
	_ raft.Transport = (*Server)(nil)
	_ raft.Peer      = (*peer)(nil)
	_ raft.Turn      = (*turn)(nil)
)

// Server listens on one port for the other servers of its cluster and for
// clients. It implements raft.Transport. All methods may be called concurrently.
type Server struct {
	// immutable after Listen
	config     Config
	limits     Limits
	listener   net.Listener
	dial       dialFunc
	public     *rpc.Server // what clients may call
	admission  *admission
	sightings  *sightings
	complaints *complaints
	ctx        context.Context // ends when Close begins
	cancel     context.CancelFunc

	group     sync.WaitGroup // every goroutine of the server
	closeOnce sync.Once
	closeErr  error

	mu sync.Mutex
	// guarded by mu
	attached raft.Handler
	peers    map[raft.ServerID]*peer
	closed   bool
}

// Listen opens the port of a server. Until a handler is attached, requests of
// peers are answered with an error.
func Listen(c Config) (*Server, error) {
	c, err := c.prepare()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", c.Address)
	if err != nil {
		return nil, fmt.Errorf("rpc: server %s cannot listen on %s: %w; free the port or choose another address", c.ID, c.Address, err)
	}
	return newServer(c, listener, dialTCP), nil
}

func newServer(c Config, listener net.Listener, dial dialFunc) *Server {
	s := &Server{
		config: c, limits: c.Limits, listener: listener, dial: dial, public: rpc.NewServer(),
		admission: newAdmission(c.Limits), sightings: newSightings(), complaints: &complaints{log: c.Logger},
		peers: map[raft.ServerID]*peer{},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.group.Go(s.accept)
	s.group.Go(s.report)
	return s
}

// Addr returns the address the server listens on.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Register lets clients call the methods of rcvr that suit net/rpc, as
// "name.Method", on the same port. See net/rpc's Server.RegisterName.
func (s *Server) Register(name string, rcvr any) error {
	if name == raftServiceName {
		return fmt.Errorf("rpc: the name %q is Raft's own; register the service under another", name)
	}
	if err := s.public.RegisterName(name, rcvr); err != nil {
		return fmt.Errorf("rpc: register service %q: %w", name, err)
	}
	return nil
}

// Attach implements raft.Transport.
func (s *Server) Attach(h raft.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attached = h
}

func (s *Server) handler() raft.Handler {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.attached
}

// LargestBatch tells New how many bytes of entries fit one message, beside what
// else a message holds.
func (s *Server) LargestBatch() int { return s.limits.FrameBytes - envelopeBytes }

// envelopeBytes is more than the rest of an AppendEntries message needs.
const envelopeBytes = 4 << 10

// Connect implements raft.Transport. The connections are dialled in the
// background, again and again, until Close.
func (s *Server) Connect(id raft.ServerID, address string) raft.Peer {
	s.mu.Lock()
	p := s.peers[id]
	if p == nil {
		p = s.newPeer(id, address)
		s.peers[id] = p
		if s.closed {
			p.stop()
		} else {
			p.control.start(&s.group)
			p.data.start(&s.group)
		}
	}
	s.mu.Unlock()
	p.move(address)
	return p
}

// Close stops listening, closes all connections and ends all calls with
// ErrClosed. When it returns nil every goroutine has ended and every done
// callback was called. Stop Raft first: a handler that waits inside it keeps
// Close waiting, for at most 10 s; then Close returns an error that says so.
func (s *Server) Close() error {
	s.closeOnce.Do(s.shut)
	return s.closeErr
}

func (s *Server) shut() {
	s.mu.Lock()
	s.closed = true
	peers := make([]*peer, 0, len(s.peers))
	for _, p := range s.peers {
		peers = append(peers, p)
	}
	s.mu.Unlock()
	s.cancel()
	s.listener.Close()
	for _, p := range peers {
		p.stop()
	}
	s.admission.close()

	ended := make(chan struct{})
	go func() {
		s.group.Wait()
		close(ended)
	}()
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
		s.closeErr = fmt.Errorf("rpc: server %s: handlers or callbacks still run %v after Close; stop Raft and other services before their transport",
			s.config.ID, closeTimeout)
	}
}

// accept takes connections off the listener until Close.
func (s *Server) accept() {
	pause := minBackoff
	for {
		nc, err := s.listener.Accept()
		if err == nil {
			pause = minBackoff
			if s.enter(nc) {
				s.group.Go(func() { s.serve(nc) })
			}
			continue
		}
		if s.ctx.Err() != nil {
			return
		}
		// Out of file descriptors, most likely: it passes, others close some.
		s.complaints.about("accept failed", "", err)
		select {
		case <-time.After(pause):
		case <-s.ctx.Done():
			return
		}
		pause = min(2*pause, time.Second)
	}
}

// enter gives a new connection a place among the strangers; false if it was
// closed because the server is.
func (s *Server) enter(nc net.Conn) bool {
	pushedOut, open := s.admission.enter(nc)
	if pushedOut != nil {
		s.complaints.about("too many strangers", pushedOut.RemoteAddr().String(), ErrBusy)
	}
	if !open {
		nc.Close()
	}
	return open
}

// serve runs one incoming connection: greetings, then net/rpc until it closes
// and all its handlers have returned.
func (s *Server) serve(nc net.Conn) {
	defer nc.Close()
	c, err := s.answer(nc)
	if err != nil {
		s.complain(nc, err)
		return
	}
	if c.remote.class == classClient {
		s.public.ServeCodec(&serverCodec{c: c, refused: func(method string) {
			s.complaints.about("client calls Raft", nc.RemoteAddr().String(), fmt.Errorf("%w: %.64s", ErrNotPeer, method))
		}})
	} else {
		s.servePeer(c)
	}
	<-c.closed
	s.complain(nc, c.cause)
}

// servePeer serves Raft to another server. Its net/rpc server is its own, so
// that the service knows whose connection it serves; clients never see it.
func (s *Server) servePeer(c *conn) {
	if p := s.peerOf(c.remote); p != nil {
		p.seen()
	} else if s.handler() != nil { // before that, nobody is known yet
		s.complaints.about("unknown server", c.net.RemoteAddr().String(),
			fmt.Errorf("%s of this cluster is not in the configuration this server knows", c.remote.sender))
	}
	service := &raftService{s: s, c: c, turns: map[*raft.AppendEntriesArgs]*turn{}}
	private := rpc.NewServer()
	if err := private.RegisterName(raftServiceName, service); err != nil {
		c.close(err) // the methods do not suit net/rpc: a mistake of this package
		return
	}
	private.ServeCodec(&serverCodec{c: c, ordered: service.stamp})
}

// peerOf returns the server that Connect named by the id in a greeting; nil if
// it named none, or if g is a client's.
func (s *Server) peerOf(g greeting) *peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peers[raft.ServerID(g.sender)]
}

// complain logs why an incoming connection was closed, unless that was in order.
func (s *Server) complain(nc net.Conn, err error) {
	var refused *RefusedError
	var frame *frameError
	kind := "connection failed"
	switch {
	case s.ctx.Err() != nil, err == nil, errors.Is(err, io.EOF), errors.Is(err, errIdle), errors.Is(err, ErrClosed),
		errors.Is(err, net.ErrClosed), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return
	case errors.As(err, &refused):
		kind = refused.Reason.Error()
	case errors.As(err, &frame), isMalformed(err):
		kind = "malformed frame"
	}
	s.complaints.about(kind, nc.RemoteAddr().String(), err)
}

// report tells the attached handler what was seen of other servers, in order.
func (s *Server) report() {
	for {
		select {
		case <-s.sightings.wake:
		case <-s.ctx.Done():
			return
		}
		for _, r := range s.sightings.take() {
			if h := s.handler(); h != nil && s.ctx.Err() == nil {
				h.Down(r.id, r.reason)
			}
		}
	}
}
