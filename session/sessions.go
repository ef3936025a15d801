package session

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"lockstep.example/raft"
)

// Machine is the state machine inside: it sees each command once.
type Machine interface {
	// Execute runs the command of the entry at index, appends its result to dst
	// and returns that, as the built-in append does. It must depend on nothing
	// but its arguments and what was executed before, must refuse a command it
	// cannot read by its result, never by a panic, and must keep neither command
	// nor dst: it copies what it stores.
	Execute(index uint64, command, dst []byte) []byte
}

// Sessions is a raft.StateMachine around a Machine: each command reaches the
// machine once, however often the log holds it. Its state depends on the log
// alone. It is not safe for concurrent use.
type Sessions struct {
	machine Machine
	table   table
	clock   clock
}

// New returns an empty table around machine. It refuses limits under which a
// single session might not fit.
func New(machine Machine, limits Limits) (*Sessions, error) {
	if limits.Sessions < 1 || limits.Window < 1 || limits.Window > 1<<20 || limits.ResultBytes < 1 || limits.ResultBytes > 1<<30 {
		return nil, fmt.Errorf("session limits %+v: Sessions, Window (up to %d) and ResultBytes (up to %d) must be positive", limits, 1<<20, 1<<30)
	}
	if most := sessionOverhead + int(limits.Window)*(resultOverhead+1+limits.ResultBytes); limits.TotalBytes < most {
		return nil, fmt.Errorf("session limits %+v: one full session takes %d bytes; raise TotalBytes to at least that", limits, most)
	}
	return &Sessions{machine: machine, table: table{limits: limits, byID: map[uint64]*session{}}}, nil
}

// Apply implements raft.StateMachine. Each Value is an answer for ParseAnswer.
func (s *Sessions) Apply(batch []raft.Entry, results []raft.Result) {
	for i := range batch {
		answer := s.apply(&batch[i])
		if results != nil {
			results[i].Value = answer
		}
	}
}

func (s *Sessions) apply(entry *raft.Entry) []byte {
	e, err := Decode(entry.Data)
	if err != nil {
		return refusal(err)
	}
	s.clock.advance(entry.Term, e.Elapsed)
	if e.Kind == KindOpen {
		opened := s.table.open(entry.Index)
		return appendAnswer(nil, statusOpened, opened.id, s.table.limits.Window)
	}
	return s.command(entry.Index, &e)
}

// command is the rule of doc.go. The floor is raised first, so that it counts
// whatever becomes of the command. Every entry that names a session counts as a
// use of it.
func (s *Sessions) command(index uint64, e *Envelope) []byte {
	client := s.table.byID[e.Client]
	if client == nil {
		return appendAnswer(nil, statusUnknown, e.Client)
	}
	s.table.touch(client, index)
	s.table.raise(client, e.Floor)
	if e.Seq <= client.floor {
		return appendAnswer(nil, statusGone, e.Client, e.Seq, client.floor)
	}
	if e.Seq-client.floor > s.table.limits.Window {
		return appendAnswer(nil, statusAhead, e.Client, e.Seq, client.floor, s.table.limits.Window)
	}
	at, done := client.lookup(e.Seq)
	if done {
		if kept := client.results[at].answer; kept != nil {
			return kept
		}
		return appendAnswer(nil, statusGone, e.Client, e.Seq, client.floor)
	}
	answer := s.machine.Execute(index, e.Command, append(make([]byte, 0, 48), byte(statusExecuted)))
	s.table.keep(client, at, e.Seq, answer)
	return answer
}

// Len returns how many sessions are open.
func (s *Sessions) Len() int { return len(s.table.byID) }

// Bytes returns what sessions and kept results weigh; Limits.TotalBytes bounds it.
func (s *Sessions) Bytes() int { return s.table.bytes }

// Clock returns the time that has passed according to the log: see clock.go.
func (s *Sessions) Clock() time.Duration { return s.clock.now }

// Digest returns a hash of the whole table and clock: equal on servers that
// applied the same entries, whatever the batches, different with near certainty
// otherwise.
func (s *Sessions) Digest() uint64 {
	var b []byte
	for _, v := range [...]uint64{uint64(s.clock.now), s.clock.term, uint64(s.clock.mark), s.table.digest()} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return short(sha256.Sum256(b))
}
