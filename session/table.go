package session

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// Limits bounds the table. Its state depends on them, so they must be the same
// on every server of a cluster, at every index of the log.
type Limits struct {
	Sessions    int    // how many at once
	Window      uint64 // how far above its floor a client may number commands
	ResultBytes int    // a longer result is given once and not kept
	TotalBytes  int    // of all sessions and kept results, with their overhead
}

// DefaultLimits are those of the key-value store.
func DefaultLimits() Limits {
	return Limits{Sessions: 16384, Window: 1024, ResultBytes: 1024, TotalBytes: 64 << 20}
}

// What a session and a kept result weigh beside the result's own bytes: about
// what they take in memory, and fixed, since evictions depend on it.
const (
	sessionOverhead = 128
	resultOverhead  = 64
)

// session is what the table knows of one client.
type session struct {
	id       uint64 // index of the entry that opened it
	used     uint64 // index of the latest entry that named it
	floor    uint64
	results  []result // by seq; all above floor
	sum      uint64   // of the hashes of results
	bytes    int      // weight of the session and its results
	previous *session // used earlier
	next     *session // used later
}

// result is what one executed command led to.
type result struct {
	seq    uint64
	answer []byte // nil: too long to keep
	hash   uint64
}

// table holds the sessions in the order the log used them. Everything in it can
// be written in one order only: sessions from first to last, results by number.
type table struct {
	limits      Limits
	byID        map[uint64]*session
	first, last *session // used least and most recently
	bytes       int
	scratch     []byte // for hashes
}

// open adds the session that the entry at index opens. Room is made first:
// whoever the log used least recently goes.
func (t *table) open(index uint64) *session {
	s := &session{id: index, used: index, bytes: sessionOverhead}
	t.byID[index] = s
	t.bytes += s.bytes
	t.link(s)
	t.evict(s)
	return s
}

// touch notes that the entry at index used s.
func (t *table) touch(s *session, index uint64) {
	s.used = index
	if t.last != s {
		t.unlink(s)
		t.link(s)
	}
}

// evict drops sessions, least recently used first, until the limits hold. It
// spares keep, which alone is always within them (New checks that).
func (t *table) evict(keep *session) {
	for (len(t.byID) > t.limits.Sessions || t.bytes > t.limits.TotalBytes) && t.first != keep {
		s := t.first
		t.unlink(s)
		delete(t.byID, s.id)
		t.bytes -= s.bytes
	}
}

func (t *table) link(s *session) {
	s.previous, s.next = t.last, nil
	if t.last != nil {
		t.last.next = s
	} else {
		t.first = s
	}
	t.last = s
}

func (t *table) unlink(s *session) {
	if s.previous != nil {
		s.previous.next = s.next
	} else {
		t.first = s.next
	}
	if s.next != nil {
		s.next.previous = s.previous
	} else {
		t.last = s.previous
	}
}

// raise moves the floor of s up to floor, if it is higher, and forgets the
// results it passes. A floor never falls: an old copy of a command carries an
// old one.
func (t *table) raise(s *session, floor uint64) {
	if floor <= s.floor {
		return
	}
	s.floor = floor
	passed := 0
	for passed < len(s.results) && s.results[passed].seq <= floor {
		r := &s.results[passed]
		s.sum -= r.hash
		t.weigh(s, -resultOverhead-len(r.answer))
		passed++
	}
	s.results = slices.Delete(s.results, 0, passed)
	if cap(s.results) > 64 && len(s.results) < cap(s.results)/4 {
		s.results = slices.Clone(s.results) // a burst must not hold its memory for ever
	}
}

// lookup finds the result of a sequence number, or where it belongs.
func (s *session) lookup(seq uint64) (at int, found bool) {
	if n := len(s.results); n == 0 || s.results[n-1].seq < seq {
		return n, false // numbers mostly come in order
	}
	return slices.BinarySearchFunc(s.results, seq, func(r result, seq uint64) int { return cmp.Compare(r.seq, seq) })
}

// keep remembers the answer to a command that was executed, at the place lookup
// found. Others may have to make room for it.
func (t *table) keep(s *session, at int, seq uint64, answer []byte) {
	r := result{seq: seq, answer: answer, hash: t.hash(seq, answer)}
	if len(answer) > t.limits.ResultBytes+1 { // the status byte
		r.answer = nil
	}
	s.results = slices.Insert(s.results, at, r)
	s.sum += r.hash
	t.weigh(s, resultOverhead+len(r.answer))
	t.evict(s)
}

func (t *table) weigh(s *session, bytes int) {
	s.bytes += bytes
	t.bytes += bytes
}

// hash is the contribution of one result to the sum of its session.
func (t *table) hash(seq uint64, answer []byte) uint64 {
	t.scratch = append(binary.LittleEndian.AppendUint64(t.scratch[:0], seq), answer...)
	return short(sha256.Sum256(t.scratch))
}

// digest walks the sessions in their order. It costs about a tenth of a
// microsecond a session, whatever they keep.
func (t *table) digest() uint64 {
	h := sha256.New()
	for s := t.first; s != nil; s = s.next {
		t.scratch = t.scratch[:0]
		for _, v := range [...]uint64{s.id, s.used, s.floor, uint64(len(s.results)), s.sum} {
			t.scratch = binary.LittleEndian.AppendUint64(t.scratch, v)
		}
		h.Write(t.scratch)
	}
	return short([32]byte(h.Sum(nil)))
}

func short(sum [32]byte) uint64 { return binary.LittleEndian.Uint64(sum[:]) }
