package raft

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

func TestBatchRoundTrip(t *testing.T) {
	var body []byte
	body = AppendEntry(body, EntryConfiguration, 1, []byte("c"))
	body = AppendEntry(body, EntryCommand, 1, nil)
	body = AppendEntry(body, EntrySentinel, 2, nil)
	body = AppendEntry(body, EntryCommand, maxIndex, bytes.Repeat([]byte{0xff}, 70_000))
	batch := NewBatch(body, 4)
	if err := batch.Check(); err != nil {
		t.Fatal(err)
	}
	entries, err := batch.Entries(10)
	if err != nil || len(entries) != 4 {
		t.Fatal(entries, err)
	}
	want := []Entry{
		{Index: 10, Term: 1, Number: 0, Bytes: 14, Kind: EntryConfiguration},
		{Index: 11, Term: 1, Number: 1, Bytes: 27, Kind: EntryCommand},
		{Index: 12, Term: 2, Number: 1, Bytes: 40, Kind: EntrySentinel},
		{Index: 13, Term: maxIndex, Number: 2, Bytes: 40 + 13 + 70_000, Kind: EntryCommand},
	}
	var again []byte
	for i, got := range entries {
		again = AppendEntry(again, got.Kind, got.Term, got.Data)
		if got.Data = nil; got.Index != want[i].Index || got.Term != want[i].Term || got.Number != want[i].Number || got.Bytes != want[i].Bytes || got.Kind != want[i].Kind {
			t.Errorf("entry %d is %+v, want %+v", i, got, want[i])
		}
	}
	if !bytes.Equal(again, body) {
		t.Error("decoding and encoding changed the bytes")
	}
}

// The layout is on disks and between versions: it must not move.
func TestBatchLayout(t *testing.T) {
	want := []byte{1, 0x34, 0x12, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 'h', 'i'}
	if got := AppendEntry(nil, EntryCommand, 0x1234, []byte("hi")); !bytes.Equal(got, want) {
		t.Errorf("% x, want % x", got, want)
	}
	if crc := NewBatch([]byte("123456789"), 1).CRC; crc != 0xe3069283 { // the check value of CRC-32C
		t.Errorf("%08x", crc)
	}
}

// hostileBatches are what no encoder makes.
func hostileBatches() map[string]Batch {
	good := commands(1, 5, 5).Body
	patch := func(at int, b byte) []byte {
		bad := bytes.Clone(good)
		bad[at] = b
		return bad
	}
	huge := bytes.Clone(good)
	binary.LittleEndian.PutUint32(huge[9:], 1<<32-1)
	hostile := map[string]Batch{
		"kind 0":             NewBatch(patch(0, 0), 2),
		"kind 4":             NewBatch(patch(0, 4), 2),
		"kind 255":           NewBatch(patch(0, 255), 2),
		"term 0":             NewBatch(patch(1, 0), 2),
		"term beyond 2^62":   NewBatch(patch(8, 0x41), 2),
		"length of 4 GiB":    NewBatch(huge, 2),
		"one entry too few":  NewBatch(good, 1),
		"one entry too many": NewBatch(good, 3),
		"4 G entries":        NewBatch(good, 1<<32-1),
		"none claimed":       NewBatch(good, 0),
		"none held":          NewBatch(nil, 1),
		"a tail":             NewBatch(append(bytes.Clone(good), 1), 2),
	}
	for cut := 1; cut < len(good); cut++ {
		hostile["cut by "+string(rune('0'+cut))] = NewBatch(good[:len(good)-cut], 2)
	}
	return hostile
}

func TestHostileBatches(t *testing.T) {
	for name, batch := range hostileBatches() {
		if entries, err := batch.Entries(1); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", name, entries, err)
		}
	}
}

func TestBatchCheckSeesEveryFlippedBit(t *testing.T) {
	batch := commands(1, 5, 6)
	for bit := range 8 * len(batch.Body) {
		batch.Body[bit/8] ^= 1 << (bit % 8)
		if err := batch.Check(); !errors.Is(err, ErrMalformed) {
			t.Fatalf("bit %d: %v", bit, err)
		}
		batch.Body[bit/8] ^= 1 << (bit % 8)
	}
}

func TestWalkEndsAtTheFirstError(t *testing.T) {
	stop, seen := errors.New("enough"), 0
	err := commands(1, 5, 5, 5).Walk(func(EntryKind, uint64, []byte) error {
		if seen++; seen == 2 {
			return stop
		}
		return nil
	})
	if err != stop || seen != 2 {
		t.Errorf("%d entries, %v", seen, err)
	}
}
