package rpc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"reflect"
	"testing"

	"lockstep.example/raft/internal/allocs"
)

// What may be claimed without being sent: a reader takes a little memory before
// the first bytes arrive, and twice what has arrived.
func checkMemory(t *testing.T, sent int, f func()) {
	t.Helper()
	const start = 1 << 20
	if used := allocs.During(f); used > start+128*uint64(sent) {
		t.Fatalf("%d bytes took %d of memory", sent, used)
	}
}

// FuzzGreeting reads anything as a greeting: refused for a reason that can be
// told, or read up to its end and no further, and then it survives another trip.
func FuzzGreeting(f *testing.F) {
	g := sampleGreeting()
	f.Add(g.encode())
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		from := bytes.NewReader(data)
		var g greeting
		var err error
		checkMemory(t, 0, func() { g, err = readGreeting(from) })
		var refused *RefusedError
		switch {
		case errors.As(err, &refused):
			if v := verdictOf(err); v == accepted || !errors.Is(err, v.reason()) || (v.reason() != ErrProtocol && v.reason() != ErrVersion) {
				t.Fatalf("refused with %v, verdict %d", err, v)
			}
			if errors.Is(err, ErrProtocol) && g != (greeting{}) {
				t.Fatalf("%+v was read from what is no greeting", g)
			}
			return
		case len(data) >= 10 && binary.LittleEndian.Uint16(data[4:]) > greetingMaxBytes:
			t.Fatalf("a claim of %d bytes was not refused: %v", binary.LittleEndian.Uint16(data[4:]), err)
		case err != nil:
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatal(err)
			}
			return
		}
		if read := len(data) - from.Len(); read != 6+int(binary.LittleEndian.Uint16(data[4:])) {
			t.Fatalf("%d bytes were read of a greeting of %d", read, binary.LittleEndian.Uint16(data[4:]))
		}
		if g.minVersion > maxVersion || g.maxVersion < minVersion {
			t.Fatalf("versions %d to %d were taken for ours", g.minVersion, g.maxVersion)
		}
		// What is written again is what was read, but for what a later version had
		// at its end.
		again := g.encode()
		if back, err := readGreeting(bytes.NewReader(again)); err != nil || back != g || !bytes.HasPrefix(data[6:], again[6:]) {
			t.Fatalf("%x was read as %+v, which is written as %x and read as %+v, %v", data, g, again, back, err)
		}
	})
}

// FuzzGreetingValues starts from what a greeting says.
func FuzzGreetingValues(f *testing.F) {
	f.Add(uint64(1), uint8(1), uint8(0), uint64(0), uint64(3), uint64(4), []byte("0123456789abcdef"), "cluster", "a", "b", "dir", "why", uint16(40))
	f.Fuzz(func(t *testing.T, features uint64, kind, v uint8, group, incarnation, boot uint64, id []byte, cluster, sender, receiver, directory, text string, cut uint16) {
		limit := func(s string) string { return s[:min(len(s), maxName)] }
		g := greeting{
			minVersion: minVersion, maxVersion: maxVersion, features: features, class: class(kind), verdict: verdict(v), group: group,
			incarnation: incarnation, bootCounter: boot, cluster: limit(cluster), sender: limit(sender), receiver: limit(receiver),
			directory: limit(directory), text: text,
		}
		copy(g.bootID[:], id)
		data := g.encode()
		if len(data) > 6+greetingMaxBytes {
			t.Fatalf("a greeting of %d bytes would be refused", len(data))
		}
		got, err := readGreeting(bytes.NewReader(append(data, "more"...)))
		if g.text = limit(text); err != nil || got != g {
			t.Fatalf("%+v came back as %+v, %v", g, got, err)
		}
		at := int(cut) % len(data)
		if _, err := readGreeting(bytes.NewReader(data[:at])); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("cut at %d of %d: %v", at, len(data), err)
		}
		if g.class.String() == "" || g.verdict.reason() == nil {
			t.Fatalf("class %d and verdict %d cannot be told", kind, v)
		}
	})
}

// FuzzFrames reads anything as frames: payloads within the limit until something
// is wrong, and then a named error; with the limit that a frame claims, only what
// arrived takes memory.
func FuzzFrames(f *testing.F) {
	f.Add(append(frame([]byte("one")), frame([]byte("two"))...), uint16(100))
	f.Add(append(frame(nil), frame(bytes.Repeat([]byte{7}, 300))...), uint16(299))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 1}, uint16(0))
	f.Add([]byte{0, 0, 0x80, 0, 0, 0, 0, 0, 1}, uint16(0)) // the default limit, claimed
	f.Fuzz(func(t *testing.T, data []byte, limit uint16) {
		l := Limits{FrameBytes: int(limit)}.withDefaults()
		r := newFrameReader(reading(data), l, 0)
		var read []byte // all frames that were read, written again
		for {
			var payload []byte
			var err error
			checkMemory(t, len(data), func() { payload, err = r.next() })
			if err == nil {
				if len(payload) == 0 || len(payload) > l.FrameBytes {
					t.Fatalf("a payload of %d bytes; the limit is %d", len(payload), l.FrameBytes)
				}
				read = append(read, frame(payload)...)
				continue
			}
			if err != io.EOF && !errors.As(err, new(*frameError)) {
				t.Fatalf("%v", err)
			}
			if err == io.EOF && !bytes.Equal(read, withoutEmpty(data)) {
				t.Fatalf("%x was read as %x", data, read)
			}
			return
		}
	})
}

// withoutEmpty takes the frames without a payload out of a run of good frames.
func withoutEmpty(data []byte) (rest []byte) {
	for len(data) > 0 {
		size := frameHeaderSize + int(binary.LittleEndian.Uint32(data))
		if size > frameHeaderSize {
			rest = append(rest, data[:size]...)
		}
		data = data[size:]
	}
	return rest
}

// FuzzFrameValues writes frames and reads them back, also when they arrive in
// pieces, and with one bit flipped none arrives changed.
func FuzzFrameValues(f *testing.F) {
	f.Add([]byte("first"), []byte("second"), uint8(3), uint16(70))
	f.Add([]byte{0}, bytes.Repeat([]byte{1}, 5000), uint8(1), uint16(0))
	f.Fuzz(func(t *testing.T, first, second []byte, piece uint8, flip uint16) {
		want := [][]byte{}
		var sent []byte
		for _, payload := range [][]byte{first, second, first} {
			if sent = append(sent, frame(payload)...); len(payload) > 0 {
				want = append(want, payload)
			}
		}
		l := Limits{}.withDefaults()
		r := newFrameReader(&recording{Reader: &dribble{sent, 1 + int(piece)}}, l, 0)
		for i, payload := range want {
			if got, err := r.next(); err != nil || !bytes.Equal(got, payload) {
				t.Fatalf("frame %d: %x, %v; sent %x", i, got, err, payload)
			}
		}
		if _, err := r.next(); err != io.EOF {
			t.Fatalf("at the end: %v", err)
		}
		at := int(flip) % (8 * len(sent))
		sent[at/8] ^= 1 << (at % 8)
		r = newFrameReader(reading(sent), l, 0)
		for i := 0; ; i++ {
			got, err := r.next()
			if err != nil {
				if !errors.As(err, new(*frameError)) {
					t.Fatalf("bit %d flipped: %v", at, err)
				}
				return
			}
			if i == len(want) || !bytes.Equal(got, want[i]) {
				t.Fatalf("bit %d flipped: %x arrived as frame %d", at, got, i)
			}
		}
	})
}

// dribble gives at most so many bytes at a time.
type dribble struct {
	data []byte
	most int
}

func (d *dribble) Read(p []byte) (int, error) {
	if len(d.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p, d.data[:min(d.most, len(d.data))])
	d.data = d.data[n:]
	return n, nil
}

// same tells whether two decoded messages are equal.
func same(a, b any) bool { return reflect.DeepEqual(a, b) }
