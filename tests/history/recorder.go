package history

import (
	"math"
	"slices"
	"sync"
	"time"
)

// Kind says what a client asked for.
type Kind uint8

const (
	Get Kind = iota + 1
	Put
	Append
	Delete
	CompareAndSwap
)

// Call is what a client asked for.
type Call struct {
	Kind     Kind
	Key      string
	Value    string // of Put, Append and CompareAndSwap
	Revision uint64 // CompareAndSwap: the expected mod revision; 0: the key must not exist
}

// Outcome is what is known of an operation.
type Outcome uint8

const (
	Open        Outcome = iota // under way, or nobody knows: executed once, yet to be, or never
	Done                       // executed; the rest of the answer is what it told
	Conflict                   // CompareAndSwap found another revision, and changed nothing
	NotExecuted                // certainly never executed
)

// Untold stands for a number that the store did not tell.
const Untold uint64 = math.MaxUint64

// Answer is what a client was told. The numbers are those of kv.KeyValue: of the
// key as Get read it, as a write left it, or as it was before Delete. Of a
// Conflict ModRevision is the actual one, 0 if there is no such key.
type Answer struct {
	Outcome                              Outcome
	Found                                bool   // Get and Delete: the key existed
	Value                                string // of Get
	CreateRevision, ModRevision, Version uint64
	Revision                             uint64 // the store's, after the operation
}

// Operation is one call and its answer.
type Operation struct {
	Client int
	Call   Call
	Answer Answer
	Began  time.Duration // since the recorder was made
	Ended  time.Duration

	// Beginnings and ends are numbered as they happen: in virtual time many fall
	// on one instant, and yet one came before the other.
	begin, end int64 // end 0: it has not
}

// Recorder collects operations. It is safe for concurrent use.
type Recorder struct {
	start time.Time

	mu   sync.Mutex // a leaf
	tick int64
	ops  []*Operation
}

// New returns an empty recorder of a store that is empty too.
func New() *Recorder { return &Recorder{start: time.Now()} }

// Begin records that a client begins an operation. Call it before the request is
// sent.
func (r *Recorder) Begin(client int, call Call) *Operation {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tick++
	op := &Operation{Client: client, Call: call, Began: time.Since(r.start), begin: r.tick}
	r.ops = append(r.ops, op)
	return op
}

// End records the answer. Call it once, after the answer came. An answer that is
// Open may as well not be recorded.
func (r *Recorder) End(op *Operation, answer Answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tick++
	op.Answer, op.Ended, op.end = answer, time.Since(r.start), r.tick
}

// Operations returns a copy of all there is, in the order of their beginnings.
func (r *Recorder) Operations() []Operation {
	r.mu.Lock()
	defer r.mu.Unlock()
	ops := make([]Operation, len(r.ops))
	for i, op := range r.ops {
		ops[i] = *op
	}
	return ops
}

// Counts says how much a recorder has.
type Counts struct {
	Operations, Open, Conflicts, NotExecuted int
	Keys                                     int
}

// Counts tells how much there is to check: a history without answers proves
// nothing.
func (r *Recorder) Counts() Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := Counts{Operations: len(r.ops)}
	var keys []string
	for _, op := range r.ops {
		keys = append(keys, op.Call.Key)
		switch op.Answer.Outcome {
		case Open:
			c.Open++
		case Conflict:
			c.Conflicts++
		case NotExecuted:
			c.NotExecuted++
		}
	}
	slices.Sort(keys)
	c.Keys = len(slices.Compact(keys))
	return c
}
