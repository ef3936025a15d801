package rpc

import (
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"strings"
	"time"

	"lockstep.example/raft"
	"lockstep.example/raft/internal/msgpack"
)

// The codecs put net/rpc's messages into frames. Their rules, learned from how
// net/rpc uses a codec:
//
//   - A read after close gives io.EOF, a write rpc.ErrShutdown; anything else
//     makes an rpc.Client read for ever.
//   - Any error of the network closes the connection: net/rpc drops the errors
//     of WriteResponse, and the other side would wait for ever.
//   - A message that cannot be encoded, or is too large, fails alone: it is found
//     out before its first byte is written.
//   - Bytes that arrived and make no sense close the connection.

// isServerError tells whether err is the other side's answer.
func isServerError(err error) bool {
	var answer rpc.ServerError
	return errors.As(err, &answer)
}

// serverCodec serves the requests of an incoming connection.
type serverCodec struct {
	c *conn
	// ordered is told of each AppendEntries body, in the order they arrived.
	ordered func(*raft.AppendEntriesArgs)
	// refused is told of a request for Raft's service on a client's connection;
	// nil on a peer's. net/rpc answers that there is no such service.
	refused func(method string)
	body    []byte // of the request whose header was read last
}

func (s *serverCodec) ReadRequestHeader(r *rpc.Request) error {
	s.c.window.wait()
	payload, err := s.c.in.next()
	if err == nil {
		s.body, err = msgpack.Decode(payload, r)
	}
	if err == nil && !s.c.window.add(r.Seq, len(payload)) {
		err = &frameError{fmt.Sprintf("request number %d is under way already", r.Seq)}
	}
	if err != nil {
		s.c.close(err)
		return io.EOF
	}
	if s.refused != nil && strings.HasPrefix(r.ServiceMethod, raftServiceName+".") {
		s.refused(r.ServiceMethod)
	}
	return nil
}

func (s *serverCodec) ReadRequestBody(body any) error {
	defer s.c.in.release()
	if body == nil {
		return nil // net/rpc skips it; it ends with its frame
	}
	if err := msgpack.Unmarshal(s.body, body); err != nil {
		s.c.close(err)
		return err
	}
	if args, ok := body.(*raft.AppendEntriesArgs); ok && s.ordered != nil {
		s.ordered(args)
	}
	return nil
}

func (s *serverCodec) WriteResponse(r *rpc.Response, body any) error {
	defer s.c.window.done(r.Seq)
	if s.c.isClosed() {
		return rpc.ErrShutdown
	}
	err := s.write(r, body)
	if err != nil {
		// What went wrong is this reply alone: nothing of it was written.
		err = s.write(&rpc.Response{Seq: r.Seq, Error: "the reply was not sent: " + err.Error()}, struct{}{})
	}
	return err
}

// write sends a response. It returns the errors of encoding; those of the network
// close the connection.
func (s *serverCodec) write(r *rpc.Response, body any) error {
	r.ServiceMethod = "" // the client does not look at it
	frame, err := msgpack.Append(s.c.out.begin(), r)
	if err == nil {
		frame, err = msgpack.Append(frame, body)
	}
	if err == nil {
		err = s.c.out.check(frame)
	}
	if err != nil {
		return err
	}
	if err = s.c.out.write(frame); err == nil {
		err = s.c.out.to.Flush()
	}
	if err != nil {
		s.c.close(err)
	}
	return nil
}

func (s *serverCodec) Close() error {
	s.c.close(io.EOF)
	return nil
}

// clientCodec makes the calls of an outgoing connection. The arguments and the
// reply that net/rpc hands it are the *call itself, which knows whether anybody
// still waits. Only a line's goroutine writes, and it flushes.
type clientCodec struct {
	c    *conn
	body []byte
}

func (cc *clientCodec) WriteRequest(r *rpc.Request, body any) error {
	if cc.c.isClosed() {
		return rpc.ErrShutdown
	}
	frame, err := msgpack.Append(cc.c.out.begin(), r)
	if err == nil {
		frame, err = body.(*call).encode(frame, cc.c.out)
	}
	if err != nil {
		return err
	}
	if err = cc.c.out.write(frame); err != nil {
		cc.c.close(err)
	}
	return err
}

func (cc *clientCodec) ReadResponseHeader(r *rpc.Response) error {
	payload, err := cc.c.in.next()
	if err == nil {
		cc.c.heard.Store(time.Now().UnixNano())
		cc.body, err = msgpack.Decode(payload, r)
	}
	if err != nil {
		cc.c.close(err)
		return io.EOF
	}
	return nil
}

func (cc *clientCodec) ReadResponseBody(body any) error {
	defer cc.c.in.release()
	if body == nil {
		return nil // an error, or a call that net/rpc no longer knows
	}
	err := body.(*call).decode(cc.body)
	if err != nil {
		cc.c.close(err)
	}
	return err
}

func (cc *clientCodec) Close() error {
	cc.c.close(io.EOF)
	return nil
}

// isMalformed tells whether err is about bytes that make no sense.
func isMalformed(err error) bool { return errors.Is(err, msgpack.ErrMalformed) }
