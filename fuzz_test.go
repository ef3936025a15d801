package raft

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"lockstep.example/raft/internal/allocs"
)

// checkMemory fails if f takes more memory than what it was given explains.
func checkMemory(t *testing.T, given int, f func()) {
	t.Helper()
	if used := allocs.During(f); used > 1<<20+64*uint64(given) {
		t.Fatalf("%d bytes took %d of memory", given, used)
	}
}

// FuzzBatch decodes anything as the entries of a batch, with the checksum made
// right or not. What is not refused is written in one way only.
func FuzzBatch(f *testing.F) {
	f.Add(commands(1, 1, 2, 3).Body, uint32(3), uint32(0))
	for _, batch := range hostileBatches() {
		f.Add(batch.Body, batch.Count, batch.CRC)
	}
	f.Fuzz(func(t *testing.T, body []byte, count, crc uint32) {
		input := bytes.Clone(body)
		batch := Batch{Body: body, Count: count, CRC: crc}
		right := NewBatch(body, int(count))
		if err := batch.Check(); (err == nil) != (crc == right.CRC) || err != nil && !errors.Is(err, ErrMalformed) {
			t.Fatalf("checksum %08x, right is %08x: %v", crc, right.CRC, err)
		}
		var entries []Entry
		var err error
		checkMemory(t, len(body), func() { entries, err = batch.Entries(1) })
		if !bytes.Equal(body, input) {
			t.Fatalf("the input became %x", body)
		}
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		var again []byte
		for i, e := range entries {
			if e.Index != uint64(i)+1 || cap(e.Data) != len(e.Data) || e.Term == 0 || e.Term > maxIndex {
				t.Fatalf("entry %d: %+v", i, e)
			}
			again = AppendEntry(again, e.Kind, e.Term, e.Data)
		}
		if !bytes.Equal(again, body) || len(entries) != int(count) {
			t.Fatalf("%d entries of %d, %x from %x", len(entries), count, again, body)
		}
	})
}

// FuzzEntries starts from entries: those that make sense come back as they were,
// with numbers and sums, and cut they are refused.
func FuzzEntries(f *testing.F) {
	f.Add(uint8(1), uint64(1), []byte("first"), uint8(2), uint64(2), []byte{}, uint16(3))
	f.Add(uint8(0), uint64(maxIndex), []byte{}, uint8(4), uint64(maxIndex+1), []byte{0}, uint16(0))
	f.Fuzz(func(t *testing.T, kind uint8, term uint64, data []byte, kind2 uint8, term2 uint64, data2 []byte, cut uint16) {
		body := AppendEntry(AppendEntry(nil, EntryKind(kind), term, data), EntryKind(kind2), term2, data2)
		batch := NewBatch(body, 2)
		entries, err := batch.Entries(7)
		good := func(kind uint8, term uint64) bool {
			return kind >= uint8(EntryCommand) && kind <= uint8(EntryConfiguration) && term > 0 && term <= maxIndex
		}
		if !good(kind, term) || !good(kind2, term2) {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("kinds %d and %d of terms %d and %d: %v", kind, kind2, term, term2, err)
			}
			return
		}
		number := map[bool]uint64{true: 1}
		first, second := number[kind == uint8(EntryCommand)], number[kind2 == uint8(EntryCommand)]
		want := []Entry{
			{7, term, first, uint64(entryHeaderSize + len(data)), EntryKind(kind), data},
			{8, term2, first + second, uint64(len(body)), EntryKind(kind2), data2},
		}
		if err != nil || fmt.Sprintf("%+v", entries) != fmt.Sprintf("%+v", want) || batch.hasCommand() != (first+second > 0) {
			t.Fatalf("%+v came back as %+v, %v", want, entries, err)
		}
		if at := int(cut) % len(body); at > 0 {
			if _, err := NewBatch(body[:at], 2).Entries(7); !errors.Is(err, ErrMalformed) {
				t.Fatalf("cut at %d of %d: %v", at, len(body), err)
			}
		}
	})
}

// FuzzConfiguration decodes anything as a configuration entry. What is not
// refused is valid, small, and has one canonical form.
func FuzzConfiguration(f *testing.F) {
	full, three := fullConfiguration(), NewConfiguration(serverIDs(3))
	f.Add(full.Encode())
	f.Add(three.Encode())
	f.Add([]byte{1, 0, 0, 0, 0, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, data []byte) {
		input := bytes.Clone(data)
		var c Configuration
		var err error
		checkMemory(t, len(data), func() { c, err = DecodeConfiguration(data) })
		if !bytes.Equal(data, input) {
			t.Fatalf("the input became %x", data)
		}
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if err := c.Validate(); err != nil || len(c.Servers) > maxServers {
			t.Fatalf("%+v was taken: %v", c, err)
		}
		canonical := c.Encode()
		again, err := DecodeConfiguration(canonical)
		c.sort()
		if err != nil || fmt.Sprintf("%+v", again) != fmt.Sprintf("%+v", c) || !bytes.Equal(again.Encode(), canonical) || len(canonical) != len(data) {
			t.Fatalf("%+v, %+v, %v", c, again, err)
		}
	})
}

// FuzzRecover starts a server on anything that a store may hold under a good
// checksum. It refuses by name, or goes on from exactly what it was given.
func FuzzRecover(f *testing.F) {
	c := NewConfiguration(serverIDs(3))
	boot := AppendEntry(nil, EntryConfiguration, bootstrapTerm, c.Encode())
	f.Add(boot, uint32(1), commands(2, 2, 3).Body, uint32(2), uint64(3), "n2", uint64(2), uint64(1), "n1")
	f.Add(boot, uint32(1), boot, uint32(1), uint64(1), "", uint64(0), uint64(1), "n1") // a configuration at index 2
	f.Add(commands(1, 1).Body, uint32(1), []byte{}, uint32(0), uint64(1), "", uint64(9), uint64(1), "n1")
	f.Add(boot, uint32(1), commands(2, 9).Body, uint32(1), uint64(3), "", uint64(0), uint64(2), "n1")
	f.Fuzz(func(t *testing.T, first []byte, count uint32, second []byte, count2 uint32, term uint64, vote string, commit, firstIndex uint64, id string) {
		r := Recovered{
			Identity: Identity{Cluster: "c", Server: ServerID(id), Incarnation: 1}, FirstIndex: firstIndex, CommitIndex: commit,
			HardState: HardState{Term: term, VotedFor: ServerID(vote), VotedForIncarnation: 1},
			Batches:   []Batch{NewBatch(first, int(count)), NewBatch(second, int(count2))},
		}
		given := slices.Concat(first, second)
		rf := &Raft{config: Config{ID: "n1"}}
		var err error
		checkMemory(t, len(given), func() { err = rf.recover(r) })
		if !bytes.Equal(slices.Concat(first, second), given) {
			t.Fatal("what the store gave was changed")
		}
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !(errors.Is(err, ErrConfig) && id != "n1") {
				t.Fatal(err)
			}
			return
		}
		last := rf.log.lastIndex()
		if last != uint64(count)+uint64(count2) || rf.commitIndex < 1 || rf.commitIndex > last || rf.currentTerm != term || rf.lastApplied != 0 {
			t.Fatalf("log up to %d, commitIndex %d, term %d from %+v", last, rf.commitIndex, rf.currentTerm, r)
		}
		if got := rf.log.body(1, last+1); !bytes.Equal(got, given) {
			t.Fatalf("%x became %x", given, got)
		}
		rf.scanLocked(func(ok bool, name, detail string) {
			if !ok {
				t.Fatalf("%s: %s", name, detail)
			}
		})
		if rf.log.lastTerm() > rf.currentTerm || rf.configuration.Validate() != nil {
			t.Fatalf("term %d after a last entry of term %d, configuration %+v", rf.currentTerm, rf.log.lastTerm(), rf.configuration)
		}
	})
}
