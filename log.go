package raft

import (
	"fmt"
	"sort"
)

// raftLog is the log in memory: pure, no lock, no I/O. The caller holds Raft.mu.
//
//  1. It holds the entries of the half-open range (start, end): start is the
//     index of the last entry that is not in memory, 0 now.
//  2. Indexes are the log's own everywhere; only at() turns one into a slot.
//  3. Terms never fall (TERMS); numbers are dense over commands (NUMBER).
//  4. A record's bytes are a part of the slab its batch came in. They are never
//     copied and never written again, so what left the lock stays true.
//  5. It does not decide. Whoever truncates or appends has checked the guards of
//     invariants.go; a call out of bounds is our mistake and panics, which the
//     guard of guard.go turns into a stop with its cause.
type raftLog struct {
	start   uint64
	before  record // what is known of the entry at start: its term and sums
	records []record

	sent sealed // the batch sealed last: usually each follower wants the same
}

type record struct {
	term   uint64
	number uint64 // commands up to and including this entry
	bytes  uint64 // encoded bytes up to and including this entry
	raw    []byte // kind, term, length, data
}

type sealed struct {
	first uint64
	batch Batch
}

func (r *record) kind() EntryKind { return EntryKind(r.raw[0]) }

func (l *raftLog) end() uint64       { return l.start + uint64(len(l.records)) + 1 }
func (l *raftLog) lastIndex() uint64 { return l.start + uint64(len(l.records)) }

// at returns the record of an index in [start, end).
func (l *raftLog) at(index uint64) *record {
	if index == l.start {
		return &l.before
	}
	if index < l.start || index >= l.end() {
		panic(fmt.Sprintf("log index %d is outside [%d, %d)", index, l.start, l.end()))
	}
	return &l.records[index-l.start-1]
}

func (l *raftLog) term(index uint64) uint64 { return l.at(index).term }
func (l *raftLog) lastTerm() uint64         { return l.term(l.lastIndex()) }

// bytesBetween returns the encoded bytes of the entries in (after, upTo].
func (l *raftLog) bytesBetween(after, upTo uint64) uint64 {
	return l.at(upTo).bytes - l.at(after).bytes
}

// append adds the entries of a batch after the last one and returns their
// records. The batch must have been checked.
func (l *raftLog) append(b Batch) error {
	last := *l.at(l.lastIndex())
	return b.Walk(func(kind EntryKind, term uint64, raw []byte) error {
		if term < last.term {
			return fmt.Errorf("%w: term falls from %d to %d at index %d", ErrMalformed, last.term, term, l.end())
		}
		last.term, last.raw = term, raw
		last.bytes += uint64(len(raw))
		if kind == EntryCommand {
			last.number++
		}
		l.records = append(l.records, last)
		return nil
	})
}

// truncateFrom removes the entries at and above index. Their slots are cleared,
// so that what a slab held is let go.
func (l *raftLog) truncateFrom(index uint64) {
	keep := index - l.start - 1
	clear(l.records[keep:])
	l.records = l.records[:keep]
	l.sent = sealed{}
}

// entry returns a copy of the entry at index; its Data is shared and read-only.
func (l *raftLog) entry(index uint64) Entry {
	r := l.at(index)
	return Entry{
		Index: index, Term: r.term, Number: r.number, Bytes: r.bytes, Kind: r.kind(),
		Data: r.raw[entryHeaderSize:len(r.raw):len(r.raw)],
	}
}

// remember keeps a sealed batch for batch to return again.
func (l *raftLog) remember(first uint64, b Batch) { l.sent = sealed{first, b} }

// batch returns the entries in (after, ...] whose bytes fit limit, at least one
// if there is one. Cut at entry borders only.
func (l *raftLog) batch(after, limit uint64) Batch {
	first := after + 1
	if first >= l.end() {
		return Batch{}
	}
	from := l.at(after).bytes
	n := sort.Search(len(l.records)-int(after-l.start), func(i int) bool {
		return l.at(first+uint64(i)).bytes-from > limit
	})
	n = max(n, 1)
	if l.sent.first == first && l.sent.batch.Count == uint32(n) {
		return l.sent.batch
	}
	b := NewBatch(l.body(first, first+uint64(n)), n)
	l.remember(first, b)
	return b
}

// body returns the encodings of the entries in [first, end) as one byte string:
// the slab itself where they lie in one, a copy where they do not.
func (l *raftLog) body(first, end uint64) []byte {
	size := l.bytesBetween(first-1, end-1)
	head, tail := l.at(first).raw, l.at(end-1).raw
	if uint64(cap(head)) >= size {
		// Records of one slab were cut from it in order, so if the last one lies
		// where it would if all were neighbours, all are.
		whole := head[:size]
		if &whole[size-uint64(len(tail))] == &tail[0] {
			return whole[:size:size]
		}
	}
	body := make([]byte, 0, size)
	for i := first; i < end; i++ {
		body = append(body, l.at(i).raw...)
	}
	return body
}

// firstOfTermAt returns the lowest index in memory whose term is that of the
// entry at index.
func (l *raftLog) firstOfTermAt(index uint64) uint64 {
	term := l.term(index)
	return l.start + 1 + uint64(sort.Search(len(l.records), func(i int) bool { return l.records[i].term >= term }))
}

// lastUpToTerm returns the highest index at or below limit whose term is at most
// term.
func (l *raftLog) lastUpToTerm(limit, term uint64) uint64 {
	n := sort.Search(int(limit-l.start), func(i int) bool { return l.records[i].term > term })
	return l.start + uint64(n)
}

// upToDate tells whether a log that ends in (lastIndex, lastTerm) is at least as
// up to date as this one: the last term decides, then the last index (§5.4.1).
func (l *raftLog) upToDate(lastIndex, lastTerm uint64) bool {
	if lastTerm != l.lastTerm() {
		return lastTerm > l.lastTerm()
	}
	return lastIndex >= l.lastIndex()
}
