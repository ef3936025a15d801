package msgpack

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"lockstep.example/raft/internal/allocs"
)

// FuzzUnmarshal decodes anything. It refuses with ErrMalformed or gives a value
// that survives another trip, leaves the input alone and takes memory only in
// proportion to what is there, whatever is claimed.
func FuzzUnmarshal(f *testing.F) {
	good, _ := Marshal(sample())
	f.Add(good)
	f.Add([]byte{0xdd, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		input := bytes.Clone(data)
		var m message
		var rest []byte
		var err error
		used := allocs.During(func() { rest, err = Decode(data, &m) })
		if !bytes.Equal(data, input) {
			t.Fatalf("the input became %x", data)
		}
		if used > 1<<20+128*uint64(len(data)) {
			t.Fatalf("%d bytes took %d to decode", len(data), used)
		}
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if size, err := measure(data); err != nil || size != len(data)-len(rest) {
			t.Fatalf("measured %d bytes (%v), decoded %d", size, err, len(data)-len(rest))
		}
		again, err := Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var back message
		if err := Unmarshal(again, &back); err != nil || !reflect.DeepEqual(m, back) {
			t.Fatalf("%+v came back as %+v, %v", m, back, err)
		}
	})
}

// FuzzMarshal starts from values: each comes back as it was, alone and behind
// other bytes, and cut anywhere it is refused.
func FuzzMarshal(f *testing.F) {
	f.Add("a", uint64(1)<<63, true, []byte{0, 0xff}, uint32(7), uint8(255), "name", uint16(3))
	f.Fuzz(func(t *testing.T, from string, term uint64, flag bool, body []byte, count uint32, small uint8, name string, cut uint16) {
		want := message{
			inner2: inner2{inner{from, term}}, Flag: flag, Body: body, Empty: []byte{}, Count: count, Small: small, Names: []string{name, "", from},
		}
		prefix := []byte("prefix")
		data, err := Append(prefix, want)
		if err != nil || !bytes.HasPrefix(data, prefix) {
			t.Fatalf("%q, %v", data, err)
		}
		data = data[len(prefix):]
		var got message
		if err := Unmarshal(data, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v came back as %+v, %v", want, got, err)
		}
		at := int(cut) % len(data)
		if err := Unmarshal(data[:at], new(message)); !errors.Is(err, ErrMalformed) {
			t.Fatalf("cut at %d of %d: %v", at, len(data), err)
		}
		if err := Unmarshal(append(data, 0), new(message)); !errors.Is(err, ErrMalformed) {
			t.Fatalf("with a tail: %v", err)
		}
	})
}
