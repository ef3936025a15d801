package rpc

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"os"
	"time"
)

// A frame is one net/rpc message, or nothing: an empty frame only says that the
// sender is still there. Integers little-endian.
//
//	0        4            8                8+length
//	+--------+------------+------- ... -------+
//	| length | CRC-32C    | payload           |
//	+--------+------------+------- ... -------+
//
// The payload is the net/rpc header, then the body, both msgpack. The checksum
// covers the payload; TCP's own is too weak for messages whose single bits are
// votes.
const (
	frameHeaderSize = 8
	bufferSize      = 16 << 10 // of a connection, each way
	// keepBytes bounds the memory for messages that an idle connection keeps, each
	// way. Growing it again for every batch would cost more than the batch.
	keepBytes = 1 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frameError says what is wrong with what arrived: the connection must be
// closed, and it is worth a line in the log.
type frameError struct{ text string }

func (e *frameError) Error() string { return e.text }

// errIdle closes a connection on which nothing arrived for the idle timeout.
var errIdle = errors.New("idle")

// frameReader reads frames off a connection. One goroutine uses it.
type frameReader struct {
	conn  net.Conn
	from  *bufio.Reader
	limit int           // of a payload, in bytes
	idle  time.Duration // how long to wait for a frame to begin; 0: for ever
	stall time.Duration // how long for each further stallBytes
	buf   []byte        // reused; the payload last returned
}

func newFrameReader(conn net.Conn, l Limits, idle time.Duration) *frameReader {
	return &frameReader{conn: conn, from: bufio.NewReaderSize(conn, bufferSize), limit: l.FrameBytes, idle: idle, stall: l.StallTimeout}
}

// next returns the payload of the next frame that is not empty. It is valid
// until the next call, or until release. Errors: io.EOF if the connection ended
// between frames; errIdle; a frameError for what no frame begins with, a claim
// above the limit, a wrong checksum, a stall or a cut; else what the connection
// says.
//
// Memory grows with what has arrived, at most doubling, never with what a header
// claims.
func (f *frameReader) next() ([]byte, error) {
	for {
		if err := f.await(); err != nil {
			return nil, err
		}
		if err := f.within(frameHeaderSize); err != nil {
			return nil, err
		}
		var head [frameHeaderSize]byte
		if _, err := io.ReadFull(f.from, head[:]); err != nil {
			return nil, frameCut(err)
		}
		length := binary.LittleEndian.Uint32(head[:])
		if uint64(length) > uint64(f.limit) {
			return nil, &frameError{fmt.Sprintf("a frame claims %d bytes, the limit is %d", length, f.limit)}
		}
		if err := f.fill(int(length)); err != nil {
			return nil, err
		}
		if got, want := crc32.Checksum(f.buf, castagnoli), binary.LittleEndian.Uint32(head[4:]); got != want {
			return nil, &frameError{fmt.Sprintf("the checksum of a frame of %d bytes is %08x, expected %08x", length, got, want)}
		}
		if length > 0 {
			return f.buf, nil
		}
	}
}

// await returns once a frame has begun to arrive.
func (f *frameReader) await() error {
	if f.from.Buffered() > 0 {
		return nil
	}
	var deadline time.Time
	if f.idle > 0 {
		deadline = time.Now().Add(f.idle)
	}
	if err := f.conn.SetReadDeadline(deadline); err != nil {
		return err
	}
	_, err := f.from.Peek(1)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errIdle
	}
	return err
}

// within sets the deadline by which the next n bytes must have arrived.
func (f *frameReader) within(n int) error {
	if f.from.Buffered() >= n {
		return nil
	}
	return f.conn.SetReadDeadline(time.Now().Add(f.stall))
}

// fill reads length bytes into buf, piece by piece.
func (f *frameReader) fill(length int) error {
	f.buf = f.buf[:0]
	for len(f.buf) < length {
		piece := min(stallBytes, length-len(f.buf))
		if cap(f.buf)-len(f.buf) < piece {
			grown := make([]byte, len(f.buf), min(length, 2*len(f.buf)+piece))
			copy(grown, f.buf)
			f.buf = grown
		}
		if err := f.within(piece); err != nil {
			return err
		}
		end := len(f.buf) + piece
		if _, err := io.ReadFull(f.from, f.buf[len(f.buf):end]); err != nil {
			return frameCut(err)
		}
		f.buf = f.buf[:end]
	}
	return nil
}

// release lets go of a large payload, so that idle connections are small.
func (f *frameReader) release() {
	if cap(f.buf) > keepBytes {
		f.buf = nil
	}
}

// frameCut names an end inside a frame.
func frameCut(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &frameError{"a frame was begun and not finished in time"}
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return &frameError{"the connection ended inside a frame"}
	}
	return err
}

// frameWriter writes frames. Users take turns; net/rpc sees to that.
type frameWriter struct {
	to    *bufio.Writer
	limit int
	buf   []byte // reused; the frame being made
}

func newFrameWriter(conn net.Conn, l Limits) *frameWriter {
	return &frameWriter{to: bufio.NewWriterSize(&patientWriter{conn, l.StallTimeout}, bufferSize), limit: l.FrameBytes}
}

// begin returns the buffer to append a payload to.
func (f *frameWriter) begin() []byte {
	if cap(f.buf) > keepBytes {
		f.buf = nil
	}
	return append(f.buf[:0], make([]byte, frameHeaderSize)...)
}

// check returns ErrTooLarge if the frame exceeds the limit.
func (f *frameWriter) check(frame []byte) error {
	f.buf = frame
	if n := len(frame) - frameHeaderSize; n > f.limit {
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, n, f.limit)
	}
	return nil
}

// write queues a frame that begin started and check passed; flush sends it. Any
// error leaves the connection unusable.
func (f *frameWriter) write(frame []byte) error {
	payload := frame[frameHeaderSize:]
	binary.LittleEndian.PutUint32(frame, uint32(len(payload)))
	binary.LittleEndian.PutUint32(frame[4:], crc32.Checksum(payload, castagnoli))
	_, err := f.to.Write(frame)
	return err
}

// keepAlive sends an empty frame.
func (f *frameWriter) keepAlive() error {
	if err := f.write(f.begin()); err != nil {
		return err
	}
	return f.to.Flush()
}

// patientWriter writes to a connection as long as it makes progress: each
// stallBytes have their own deadline.
type patientWriter struct {
	conn  net.Conn
	stall time.Duration
}

func (w *patientWriter) Write(p []byte) (written int, err error) {
	for len(p) > 0 && err == nil {
		if err = w.conn.SetWriteDeadline(time.Now().Add(w.stall)); err != nil {
			return written, err
		}
		var n int
		n, err = w.conn.Write(p[:min(len(p), stallBytes)])
		written += n
		p = p[n:]
	}
	return written, err
}
