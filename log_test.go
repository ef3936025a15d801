package raft

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// twin is a log that is as dumb as can be: a slice of entries, every question
// answered by looking at all of them.
type twin []Entry // index 1 first

func (d twin) at(index uint64) Entry {
	for _, e := range d {
		if e.Index == index {
			return e
		}
	}
	return Entry{}
}

func (d twin) add(kind EntryKind, term uint64, data []byte) twin {
	e := Entry{Index: uint64(len(d)) + 1, Term: term, Kind: kind, Data: data}
	for _, old := range d {
		if old.Kind == EntryCommand {
			e.Number++
		}
		e.Bytes += entryHeaderSize + uint64(len(old.Data))
	}
	if kind == EntryCommand {
		e.Number++
	}
	e.Bytes += entryHeaderSize + uint64(len(data))
	return append(d, e)
}

func (d twin) firstOfTerm(term uint64) uint64 {
	for _, e := range d {
		if e.Term == term {
			return e.Index
		}
	}
	return 0
}

func (d twin) lastUpToTerm(limit, term uint64) (last uint64) {
	for _, e := range d {
		if e.Index <= limit && e.Term <= term {
			last = e.Index
		}
	}
	return last
}

func (d twin) upToDate(lastIndex, lastTerm uint64) bool {
	own := d.at(uint64(len(d)))
	return lastTerm > own.Term || lastTerm == own.Term && lastIndex >= own.Index
}

// batch is what may be sent after an index: whole entries within limit, at least
// one.
func (d twin) batch(after, limit uint64) (body []byte, count int) {
	for _, e := range d {
		if e.Index <= after {
			continue
		}
		next := AppendEntry(body[:len(body):len(body)], e.Kind, e.Term, e.Data)
		if count > 0 && uint64(len(next)) > limit {
			break
		}
		body, count = next, count+1
	}
	return body, count
}

func TestLogAgreesWithItsDumbTwin(t *testing.T) {
	for seed := range uint64(25) {
		random := rand.New(rand.NewPCG(seed, 7))
		var log raftLog
		var dumb twin
		term := uint64(1)
		for range 60 {
			if random.IntN(4) == 0 && len(dumb) > 0 {
				from := 1 + random.Uint64N(uint64(len(dumb)))
				if random.IntN(3) > 0 {
					from = max(from, uint64(len(dumb))-min(uint64(len(dumb))-1, 3))
				}
				log.truncateFrom(from)
				dumb = dumb[: from-1 : from-1]
			} else {
				dumb = appendBoth(t, &log, dumb, &term, random)
			}
			if err := differ(&log, dumb, random); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
	}
}

// appendBoth appends one random batch to both logs, in one slab, now and then one
// that was sent as a part of a bigger one.
func appendBoth(t *testing.T, log *raftLog, dumb twin, term *uint64, random *rand.Rand) twin {
	t.Helper()
	*term += random.Uint64N(2)
	var body []byte
	count := 1 + random.IntN(6)
	for i := range count {
		kind := []EntryKind{EntryCommand, EntryCommand, EntrySentinel}[random.IntN(3)]
		data := []byte(fmt.Sprintf("%d/%d/%s", len(dumb), i, strings.Repeat("x", random.IntN(40))))
		body = AppendEntry(body, kind, *term, data)
		dumb = dumb.add(kind, *term, data)
	}
	batch := NewBatch(body, count)
	first := log.end()
	if err := log.append(batch); err != nil {
		t.Fatal(err)
	}
	if random.IntN(2) == 0 {
		log.remember(first, batch)
	}
	return dumb
}

// differ asks both logs everything.
func differ(log *raftLog, dumb twin, random *rand.Rand) error {
	last := uint64(len(dumb))
	if log.lastIndex() != last || log.end() != last+1 || log.lastTerm() != dumb.at(last).Term {
		return fmt.Errorf("last index %d of term %d, want %d of term %d", log.lastIndex(), log.lastTerm(), last, dumb.at(last).Term)
	}
	for i := uint64(1); i <= last; i++ {
		got, want := log.entry(i), dumb.at(i)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			return fmt.Errorf("entry %d is %v, want %v", i, got, want)
		}
		if got, want := log.firstOfTermAt(i), dumb.firstOfTerm(want.Term); got != want {
			return fmt.Errorf("first of the term at %d is %d, want %d", i, got, want)
		}
		lower := random.Uint64N(i + 1)
		if got, want := log.bytesBetween(lower, i), want.Bytes-dumb.at(lower).Bytes; got != want {
			return fmt.Errorf("%d bytes in (%d, %d], want %d", got, lower, i, want)
		}
	}
	for range 5 {
		limit, term := random.Uint64N(last+1), random.Uint64N(log.lastTerm()+2)
		if got, want := log.lastUpToTerm(limit, term), dumb.lastUpToTerm(limit, term); got != want {
			return fmt.Errorf("last up to term %d below %d is %d, want %d", term, limit, got, want)
		}
		index := random.Uint64N(last + 3)
		if got, want := log.upToDate(index, term), dumb.upToDate(index, term); got != want {
			return fmt.Errorf("a log that ends at %d of term %d is up to date: %v, want %v", index, term, got, want)
		}
		size := random.Uint64N(300)
		batch := log.batch(limit, size)
		body, count := dumb.batch(limit, size)
		if !bytes.Equal(batch.Body, body) || int(batch.Count) != count || batch.Check() != nil {
			return fmt.Errorf("batch after %d within %d bytes: %d entries of %q, want %d of %q; %v", limit, size, batch.Count, batch.Body, count, body, batch.Check())
		}
	}
	return nil
}

func TestLogRefusesFallingTerms(t *testing.T) {
	var log raftLog
	if err := log.append(commands(1, 1, 3)); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []Batch{commands(3, 2), commands(3, 4, 3), NewBatch([]byte{1, 2}, 1)} {
		if err := (&raftLog{records: slices.Clone(log.records)}).append(bad); err == nil {
			t.Errorf("took %+v", bad)
		}
	}
}

func TestLogPanicsOutOfBounds(t *testing.T) {
	var log raftLog
	if err := log.append(commands(1, 1, 1)); err != nil {
		t.Fatal(err)
	}
	if log.term(0) != 0 {
		t.Error("the entry before the log has a term")
	}
	defer func() {
		if v := recover(); v == nil || !strings.Contains(fmt.Sprint(v), "outside [0, 3)") {
			t.Errorf("recovered %v", v)
		}
	}()
	log.at(3)
}

// What left the log is never written again: a batch in flight survives a
// truncation and what is appended in its place.
func TestBatchInFlightSurvivesTruncation(t *testing.T) {
	var log raftLog
	for i := range uint64(4) { // four slabs, so that the batch is a copy; then one, so that it is not
		if err := log.append(commands(i+1, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.append(commands(5, 1, 1, 1)); err != nil {
		t.Fatal(err)
	}
	copied, shared := log.batch(0, 1000), log.batch(4, 1000)
	log.truncateFrom(2)
	if err := log.append(commands(2, 2, 2, 2, 2, 2, 2)); err != nil {
		t.Fatal(err)
	}
	if copied.Check() != nil || shared.Check() != nil || copied.Count != 7 || shared.Count != 3 {
		t.Error("a batch in flight changed")
	}
	entry := log.entry(3)
	_ = append(entry.Data, "scribble"...)
	if batch := log.batch(0, 1000); !bytes.Equal(batch.Body, append(commands(1, 1).Body, commands(2, 2, 2, 2, 2, 2, 2).Body...)) {
		t.Error("an append to an entry's data reached the log")
	}
}

// A batch is cut from the slab it came in without a copy, and the one sealed last
// is given out again as it is.
func TestBatchIsNotCopied(t *testing.T) {
	var log raftLog
	slab := commands(1, 1, 1, 1, 1)
	if err := log.append(slab); err != nil {
		t.Fatal(err)
	}
	whole, part := log.batch(0, 1000), log.batch(2, 1000)
	if &whole.Body[0] != &slab.Body[0] || &part.Body[0] != &slab.Body[log.bytesBetween(0, 2)] {
		t.Error("copied")
	}
	log.remember(1, slab)
	if n := testing.AllocsPerRun(10, func() { log.batch(0, 1000) }); n != 0 {
		t.Errorf("%v allocations for the batch sealed last", n)
	}
}

// The batch sealed last is forgotten when the log is cut: what is given out again
// is what lies there now.
func TestSealedBatchIsForgottenByATruncation(t *testing.T) {
	var log raftLog
	for _, term := range []uint64{1, 2} {
		slab := commands(1, term, term)
		if err := log.append(slab); err != nil {
			t.Fatal(err)
		}
		if got := log.batch(0, 1000); !bytes.Equal(got.Body, slab.Body) {
			t.Fatalf("term %d: %q", term, got.Body)
		}
		log.truncateFrom(1)
	}
}
