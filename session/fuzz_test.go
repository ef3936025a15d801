package session

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"lockstep.example/raft"
)

// refusals are all that an answer may say instead of a result.
var refusals = []error{ErrMalformed, ErrUnsupported, ErrUnknownSession, ErrGone, ErrAhead}

func isRefusal(err error) bool {
	return slices.ContainsFunc(refusals, func(kind error) bool { return errors.Is(err, kind) })
}

// FuzzEnvelope decodes anything that a log may hold. What is not refused is
// written in one way only; two servers make the same of it, whatever the batches.
func FuzzEnvelope(f *testing.F) {
	f.Add((&Envelope{Kind: KindOpen, Elapsed: 5}).Append(nil))
	f.Add((&Envelope{Kind: KindCommand, Elapsed: 1, Client: 1, Seq: 2, Floor: 1, Command: []byte("command")}).Append(nil))
	for _, c := range badEnvelopes() {
		f.Add(c.data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		input := bytes.Clone(data)
		e, err := Decode(data)
		if err == nil && !bytes.Equal(e.Append(nil), data) {
			t.Fatalf("%x decodes to %+v, which encodes to %x", data, e, e.Append(nil))
		}
		if err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrUnsupported) {
			t.Fatal(err)
		}
		a, _ := newSessions(t, small)
		b, _ := newSessions(t, small)
		batch := []raft.Entry{{Index: 1, Term: 1, Data: open()}, {Index: 2, Term: 1, Data: data}, {Index: 3, Term: 1, Data: data}}
		results := make([]raft.Result, len(batch))
		a.Apply(batch, results)
		for i := range batch {
			b.Apply(batch[i:i+1], nil)
			_, answered := ParseAnswer(results[i].Value)
			if answered != nil && !isRefusal(answered) || i > 0 && err != nil && (answered == nil || !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrUnsupported)) {
				t.Fatalf("answer %x: %v; decoding gave %v", results[i].Value, answered, err)
			}
		}
		if a.Digest() != b.Digest() {
			t.Fatal("one batch and three single entries lead to different tables")
		}
		if !bytes.Equal(data, input) {
			t.Fatalf("the input became %x", data)
		}
	})
}

// FuzzEnvelopeValues starts from what an envelope says.
func FuzzEnvelopeValues(f *testing.F) {
	f.Add(uint8(KindCommand), int64(1), uint64(2), uint64(3), uint64(4), []byte("x"), uint16(20))
	f.Fuzz(func(t *testing.T, kind uint8, elapsed int64, client, seq, floor uint64, command []byte, cut uint16) {
		e := Envelope{Kind: Kind(kind), Elapsed: time.Duration(elapsed), Client: client, Seq: seq, Floor: floor, Command: command}
		data := e.Append([]byte("prefix"))[len("prefix"):]
		e.Elapsed = max(0, e.Elapsed)
		got, err := Decode(data)
		bare := client == 0 && seq == 0 && floor == 0 && len(command) == 0
		switch {
		case e.Kind == KindCommand || e.Kind == KindOpen && bare:
			if err != nil || !bytes.Equal(got.Append(nil), e.Append(nil)) || got.Client != client || got.Seq != seq || got.Floor != floor || got.Elapsed != e.Elapsed {
				t.Fatalf("%+v came back as %+v, %v", e, got, err)
			}
		case e.Kind == KindOpen && !errors.Is(err, ErrMalformed), e.Kind != KindOpen && !errors.Is(err, ErrUnsupported):
			t.Fatalf("%+v: %v", e, err)
		}
		if _, err := Decode(data[:int(cut)%HeaderBytes]); !errors.Is(err, ErrMalformed) {
			t.Fatalf("cut at %d: %v", int(cut)%HeaderBytes, err)
		}
	})
}

// FuzzAnswer reads anything as an answer: a result, the numbers of a new session,
// or a refusal of this package, which says the same when it is written again.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte{byte(statusExecuted), 'r'})
	for s, count := range statusFields {
		f.Add(appendAnswer(nil, s, []uint64{1, 2, 3, 4}[:count]...))
	}
	f.Add([]byte{7})
	f.Fuzz(func(t *testing.T, value []byte) {
		input := bytes.Clone(value)
		a, err := ParseAnswer(value)
		if !bytes.Equal(value, input) {
			t.Fatalf("the input became %x", value)
		}
		if err != nil && !isRefusal(err) {
			t.Fatal(err)
		}
		var again []byte
		var unknown *UnknownSessionError
		var gone *GoneError
		var ahead *AheadError
		switch {
		case err == nil && status(value[0]) == statusOpened:
			again = appendAnswer(nil, statusOpened, a.Client, a.Window)
		case err == nil:
			again = append([]byte{byte(statusExecuted)}, a.Result...)
		case errors.As(err, &unknown):
			again = appendAnswer(nil, statusUnknown, unknown.Client)
		case errors.As(err, &gone):
			again = appendAnswer(nil, statusGone, gone.Client, gone.Seq, gone.Floor)
		case errors.As(err, &ahead):
			again = appendAnswer(nil, statusAhead, ahead.Client, ahead.Seq, ahead.Floor, ahead.Window)
		default: // a number of a version is one byte, and what is malformed says nothing
			if a.Result != nil || a.Client != 0 || a.Window != 0 {
				t.Fatalf("%x gives %+v and %v", value, a, err)
			}
			return
		}
		if !bytes.Equal(again, value) {
			t.Fatalf("%x is read as %+v, %v, which is written as %x", value, a, err, again)
		}
	})
}

// FuzzSessions applies a log of commands whose numbers are drawn from the bytes,
// small and at the limits. No command is executed twice, the bounds hold after
// each, and a server that is given the log in other batches has the same table.
func FuzzSessions(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 2, 1, 1, 1, 9, 0})
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 1, 4, 1, 255})
	f.Fuzz(func(t *testing.T, data []byte) {
		log := logOf(data)
		a, executed := newSessions(t, small)
		b, _ := newSessions(t, small)
		results := make([]raft.Result, 1)
		for i := range log {
			a.Apply(log[i:i+1], results)
			if _, err := ParseAnswer(results[0].Value); err != nil && !isRefusal(err) {
				t.Fatalf("entry %d, %x: %v", i, log[i].Data, err)
			}
			if a.Len() > small.Sessions || a.Bytes() > small.TotalBytes || a.Bytes() < 0 {
				t.Fatalf("after entry %d there are %d sessions of %d bytes", i, a.Len(), a.Bytes())
			}
		}
		b.Apply(log, nil)
		if a.Digest() != b.Digest() || a.Clock() != b.Clock() {
			t.Fatal("entry by entry and in one batch the log leads to different tables")
		}
		once := map[string]bool{}
		for _, name := range *executed { // client and number
			if once[name] {
				t.Fatalf("command %s was executed twice", name)
			}
			once[name] = true
		}
	})
}

// logOf makes a log: four bytes an entry, kind, client, number and floor. A
// command names its client and number.
func logOf(data []byte) (log []raft.Entry) {
	far := func(b byte) uint64 { // a few small numbers, and the largest
		if b >= 250 {
			return ^uint64(0) - uint64(255-b)
		}
		return uint64(b)
	}
	for i := 0; i+4 <= len(data) && i < 400; i += 4 {
		e := Envelope{Kind: KindOpen, Elapsed: time.Duration(data[i]) * time.Millisecond}
		if data[i]%4 != 0 {
			e.Kind, e.Client, e.Seq, e.Floor = KindCommand, far(data[i+1]), far(data[i+2]), far(data[i+3])
			e.Command = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, e.Client), e.Seq)
		}
		log = append(log, raft.Entry{Index: uint64(i/4) + 1, Term: 1 + uint64(data[i]/64), Data: e.Append(nil)})
	}
	return log
}
