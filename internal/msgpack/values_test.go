package msgpack

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"lockstep.example/raft/internal/allocs"
)

// A list of structs can be written with one byte for each: a message of 8 MiB
// once took 3 GiB to decode, and text written as a list of numbers 30 times its
// size.
func TestMemoryIsBoundedByTheMessage(t *testing.T) {
	type item struct {
		Key, Value           []byte
		Create, Mod, Version uint64
	}
	type answer struct {
		Items []item
		Text  string
	}
	const size = 8 << 20
	list := binary.BigEndian.AppendUint32([]byte{0xdd}, size)
	for name, data := range map[string][]byte{
		"structs written as nil":         append(append([]byte{0x92}, list...), bytes.Repeat([]byte{0xc0}, size)...),
		"structs written as empty lists": append(append([]byte{0x92}, list...), bytes.Repeat([]byte{0x90}, size)...),
		"text written as numbers":        append(append([]byte{0x92, 0xc0}, list...), bytes.Repeat([]byte{0x01}, size)...),
		"an unknown field of nothing":    append(append([]byte{0x93, 0xc0, 0xc0}, list...), bytes.Repeat([]byte{0x80}, size)...),
	} {
		var err error
		used := allocs.During(func() { err = Unmarshal(data, new(answer)) })
		if !errors.Is(err, ErrMalformed) || used > 2*size {
			t.Errorf("%s: %d bytes took %d to refuse, the limit is %d; %v", name, len(data), used, 2*size, err)
		}
	}
	// What is allowed fits the same bound.
	most := append(binary.BigEndian.AppendUint32([]byte{0x91, 0xdd}, maxValues-2), bytes.Repeat([]byte{0xc0}, maxValues-2)...)
	var a answer
	if err := Unmarshal(most, &a); err != nil || len(a.Items) != maxValues-2 {
		t.Errorf("%d items: %v", len(a.Items), err)
	}
	if kept := len(a.Items) * 72; kept > size {
		t.Errorf("%d bytes in memory came from %d", kept, len(most))
	}
}

// Every form a value can have: measure must find its end where the format does.
func TestMeasure(t *testing.T) {
	long := func(head []byte, n int) []byte { return append(head, make([]byte, n)...) }
	be := binary.BigEndian
	for _, data := range [][]byte{
		{0x00}, {0x7f}, {0xe0}, {0xff}, {0xc0}, {0xc2}, {0xc3},
		{0xcc, 1}, {0xcd, 1, 2}, {0xce, 1, 2, 3, 4}, long([]byte{0xcf}, 8),
		{0xd0, 1}, {0xd1, 1, 2}, {0xd2, 1, 2, 3, 4}, long([]byte{0xd3}, 8),
		long([]byte{0xca}, 4), long([]byte{0xcb}, 8),
		{0xa0}, long([]byte{0xbf}, 31), long([]byte{0xd9, 200}, 200), long(be.AppendUint16([]byte{0xda}, 300), 300), long(be.AppendUint32([]byte{0xdb}, 70000), 70000),
		long([]byte{0xc4, 200}, 200), long(be.AppendUint16([]byte{0xc5}, 300), 300), long(be.AppendUint32([]byte{0xc6}, 70000), 70000),
		long([]byte{0xd4, 5}, 1), long([]byte{0xd5, 5}, 2), long([]byte{0xd6, 5}, 4), long([]byte{0xd7, 5}, 8), long([]byte{0xd8, 5}, 16),
		long([]byte{0xc7, 200, 5}, 200), long(append(be.AppendUint16([]byte{0xc8}, 300), 5), 300), long(append(be.AppendUint32([]byte{0xc9}, 70000), 5), 70000),
		{0x90}, {0x92, 0x91, 1, 2}, {0x80}, {0x81, 1, 0x91, 2}, long(be.AppendUint16([]byte{0xdc}, 300), 300),
		long(be.AppendUint32([]byte{0xdd}, 300), 300), long(be.AppendUint16([]byte{0xde}, 300), 600), long(be.AppendUint32([]byte{0xdf}, 300), 600),
	} {
		if got, err := measure(append(bytes.Clone(data), 0xc1, 7)); err != nil || got != len(data) {
			t.Errorf("% x... has %d bytes, measured %d, %v", data[:min(8, len(data))], len(data), got, err)
		}
		for cut := range min(len(data), 40) {
			if got, err := measure(data[:cut]); err == nil {
				t.Errorf("% x cut at %d was measured as %d bytes", data[:min(8, len(data))], cut, got)
			}
		}
	}
	for _, data := range [][]byte{{0xc7, 0, 5}, {0xc8, 0, 0, 5}, {0xc9, 0, 0, 0, 0, 5}} {
		if _, err := measure(data); err == nil || !strings.Contains(err.Error(), "empty extension at byte 0") {
			t.Errorf("% x: %v", data, err)
		}
	}
	if _, err := measure(bytes.Repeat([]byte{0x91}, math.MaxUint16)); err == nil || !strings.Contains(err.Error(), "cut") {
		t.Errorf("nested without end: %v", err)
	}
}
