package kv

import (
	"bytes"
	"errors"
	"testing"
)

// FuzzCommand decodes anything that an envelope may hold, and has two stores
// execute it: both refuse alike, by a result, or do the same.
func FuzzCommand(f *testing.F) {
	for _, c := range []*Command{put("key", "value"), add("k", "v"), del("k"), cas("k", "v", 3)} {
		f.Add(c.Append(nil))
	}
	for _, c := range badCommands {
		f.Add(c.data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		input := bytes.Clone(data)
		c, err := DecodeCommand(data)
		if err == nil && !bytes.Equal(c.Append(nil), data) {
			t.Fatalf("%x decodes to %+v, which encodes to %x", data, c, c.Append(nil))
		}
		if err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrUnsupported) {
			t.Fatal(err)
		}
		a, b := NewStore(), NewStore()
		for range 2 {
			before := a.Hash()
			ra, rb := a.Execute(1, data, nil), b.Execute(1, data, nil)
			if !bytes.Equal(ra, rb) || a.Hash() != b.Hash() {
				t.Fatalf("%x: two stores differ", data)
			}
			r, perr := ParseResult(ra, &c)
			if (err != nil || len(c.Key) == 0) && (perr == nil || r != WriteResult{}) {
				t.Fatalf("%x does not decode (%v) and gives %+v", data, err, r)
			}
			if perr != nil && a.Hash() != before {
				t.Fatalf("%x was refused with %v and changed the store", data, perr)
			}
		}
		if !bytes.Equal(data, input) {
			t.Fatalf("the input became %x", data)
		}
	})
}

// FuzzCommandValues starts from what a command says.
func FuzzCommandValues(f *testing.F) {
	f.Add(uint8(OpPut), []byte("key"), []byte("value"), uint64(0), uint16(3))
	f.Add(uint8(OpCompareAndSwap), []byte{}, bytes.Repeat([]byte{0}, 300), uint64(1)<<63, uint16(9))
	f.Add(uint8(OpDelete), []byte("k"), []byte{}, uint64(0), uint16(1))
	f.Fuzz(func(t *testing.T, op uint8, key, value []byte, revision uint64, cut uint16) {
		c := Command{Op: Op(op), Key: key, Value: value, Revision: revision}
		if c.Op != OpCompareAndSwap {
			c.Revision = 0
		}
		if c.check() != nil {
			return
		}
		data := c.Append([]byte("prefix"))[len("prefix"):]
		got, err := DecodeCommand(data)
		if c.Op < OpPut || c.Op > OpCompareAndSwap {
			if !errors.Is(err, ErrUnsupported) {
				t.Fatalf("%+v: %v", c, err)
			}
			return
		}
		if err != nil || got.Op != c.Op || !bytes.Equal(got.Key, key) || !bytes.Equal(got.Value, value) || got.Revision != c.Revision {
			t.Fatalf("%+v came back as %+v, %v", c, got, err)
		}
		head := len(data) - len(value)
		if _, err := DecodeCommand(data[:int(cut)%head]); !errors.Is(err, ErrMalformed) {
			t.Fatalf("cut at %d of a head of %d: %v", int(cut)%head, head, err)
		}
	})
}

// FuzzResult reads anything as the result of a command: it succeeded, or one of
// this package's errors says why not, and a successful one is written the same
// way again.
func FuzzResult(f *testing.F) {
	for s := range statusMalformed + 2 {
		r := result{s, 9, 1, 8, 3, MaxValueBytes + 1}
		f.Add(r.append(nil))
	}
	f.Add(make([]byte, resultBytes-1))
	f.Fuzz(func(t *testing.T, data []byte) {
		input := bytes.Clone(data)
		r, err := ParseResult(data, cas("k", "v", 3))
		if !bytes.Equal(data, input) {
			t.Fatalf("the input became %x", data)
		}
		if err != nil {
			known := false
			for _, kind := range []error{ErrMalformed, ErrUnsupported, ErrConflict, ErrLimit, ErrEmptyKey} {
				known = known || errors.Is(err, kind)
			}
			if !known || r != (WriteResult{}) {
				t.Fatalf("%x gives %+v, %v", data, r, err)
			}
			return
		}
		again := result{statusDone, r.Revision, r.CreateRevision, r.ModRevision, r.Version, 0}
		if !r.Found {
			again.status = statusMissing
		}
		if size := resultBytes - 8; len(data) != resultBytes || !bytes.Equal(again.append(nil)[:size], data[:size]) {
			t.Fatalf("%x was read as %+v", data, r)
		}
	})
}
