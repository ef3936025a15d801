package rpc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"testing"
	"time"
)

// recording is a net.Conn that reads given bytes and keeps what is written.
type recording struct {
	io.Reader
	bytes.Buffer
}

func (r *recording) Read(p []byte) (int, error)       { return r.Reader.Read(p) }
func (r *recording) Close() error                     { return nil }
func (r *recording) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (r *recording) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (r *recording) SetDeadline(time.Time) error      { return nil }
func (r *recording) SetReadDeadline(time.Time) error  { return nil }
func (r *recording) SetWriteDeadline(time.Time) error { return nil }

func reading(data []byte) *recording { return &recording{Reader: bytes.NewReader(data)} }

// frame wraps a payload.
func frame(payload []byte) []byte {
	out := &recording{}
	w := newFrameWriter(out, Limits{}.withDefaults())
	if err := w.write(append(w.begin(), payload...)); err != nil {
		panic(err)
	}
	w.to.Flush()
	return out.Bytes()
}

func TestFrameRoundTrip(t *testing.T) {
	l := Limits{FrameBytes: 2 << 20}.withDefaults()
	out := &recording{}
	w := newFrameWriter(out, l)
	sizes := []int{1, 7, stallBytes - 1, stallBytes, stallBytes + 1, 3 * stallBytes, 1 << 20, 2 << 20, 2}
	for i, size := range sizes {
		f := append(w.begin(), bytes.Repeat([]byte{byte(i)}, size)...)
		if err := w.check(f); err != nil {
			t.Fatal(err)
		}
		if err := w.write(f); err != nil {
			t.Fatal(err)
		}
		if err := w.keepAlive(); err != nil { // must go unseen
			t.Fatal(err)
		}
	}
	r := newFrameReader(reading(out.Bytes()), l, 0)
	for i, size := range sizes {
		got, err := r.next()
		if err != nil || !bytes.Equal(got, bytes.Repeat([]byte{byte(i)}, size)) {
			t.Fatalf("frame %d: %d bytes, want %d; %v", i, len(got), size, err)
		}
		r.release()
		if cap(r.buf) > keepBytes {
			t.Errorf("%d bytes are kept after frame %d", cap(r.buf), i)
		}
	}
	if _, err := r.next(); err != io.EOF {
		t.Errorf("at the end: %v, want io.EOF", err)
	}
	if err := w.check(append(w.begin(), make([]byte, 2<<20+1)...)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a byte over the limit: %v", err)
	}
}

func TestBadFrames(t *testing.T) {
	good := frame([]byte("payload"))
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	claim := func(n uint32, rest int) []byte {
		return append(binary.LittleEndian.AppendUint32(nil, n), make([]byte, 4+rest)...)
	}
	cases := map[string]struct {
		data  []byte
		alloc uint64
	}{
		"4 GiB claimed":                  {claim(1<<32-1, 100), 1 << 16},
		"limit+1 claimed":                {claim(8<<20+1, 100), 1 << 16},
		"limit claimed, cut":             {claim(8<<20, 100), 4 * stallBytes},
		"limit claimed, cut mid":         {claim(8<<20, 1<<20), 6 << 20},
		"flipped bit":                    {flipped, 1 << 16},
		"cut in the header":              {good[:5], 1 << 16},
		"cut in the payload":             {good[:len(good)-1], 1 << 16},
		"an empty frame with a checksum": {[]byte{0, 0, 0, 0, 1, 0, 0, 0}, 1 << 16},
	}
	for name, c := range cases {
		r := newFrameReader(reading(c.data), Limits{}.withDefaults(), 0)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := r.next()
		runtime.ReadMemStats(&after)
		if !errors.As(err, new(*frameError)) {
			t.Errorf("%s: %v, want a frameError", name, err)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > c.alloc {
			t.Errorf("%s: %d bytes were allocated", name, grown)
		}
	}
}
