package session

import (
	"bytes"
	"errors"
	"testing"
	"time"
)

func TestEnvelopeBytes(t *testing.T) {
	e := Envelope{Kind: KindCommand, Elapsed: 0x0102, Client: 7, Seq: 8, Floor: 9, Command: []byte("x")}
	want := []byte{1, 2,
		0x02, 0x01, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 'x'}
	if got := e.Append(nil); !bytes.Equal(got, want) {
		t.Fatalf("the format changed without a new version:\ngot  %v\nwant %v", got, want)
	}
	back, err := Decode(want)
	if err != nil || back.Kind != e.Kind || back.Elapsed != e.Elapsed || back.Client != 7 || back.Seq != 8 || back.Floor != 9 || string(back.Command) != "x" {
		t.Fatalf("decoded %+v, %v", back, err)
	}
}

// badEnvelopes is what a log must never make a server panic on.
func badEnvelopes() map[string]struct {
	data []byte
	want error
} {
	good := (&Envelope{Kind: KindCommand, Client: 1, Seq: 1}).Append(nil)
	change := func(at int, value byte) []byte {
		b := bytes.Clone(good)
		b[at] = value
		return b
	}
	return map[string]struct {
		data []byte
		want error
	}{
		"empty":               {nil, ErrMalformed},
		"one byte":            {good[:1], ErrMalformed},
		"cut header":          {good[:HeaderBytes-1], ErrMalformed},
		"version 0":           {change(0, 0), ErrUnsupported},
		"future version":      {change(0, 2), ErrUnsupported},
		"future version, cut": {[]byte{255}, ErrUnsupported},
		"unknown kind":        {change(1, 3), ErrUnsupported},
		"kind 0":              {change(1, 0), ErrUnsupported},
		"time above 2^63":     {change(9, 0x80), ErrMalformed},
		"open with client":    {change(1, byte(KindOpen)), ErrMalformed},
		"open with command":   {(&Envelope{Kind: KindOpen, Command: []byte("x")}).Append(nil), ErrMalformed},
		"text":                {[]byte("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"), ErrUnsupported},
	}
}

func TestEnvelopeRefused(t *testing.T) {
	for name, c := range badEnvelopes() {
		if _, err := Decode(c.data); !errors.Is(err, c.want) {
			t.Errorf("%s: decode gives %v, want %v", name, err, c.want)
		}
		// In the log it is refused by an answer, and changes nothing.
		s, journal := newSessions(t, small)
		before := s.Digest()
		if _, err := applyOne(s, 5, c.data); !errors.Is(err, c.want) {
			t.Errorf("%s: apply gives %v, want %v", name, err, c.want)
		}
		if s.Digest() != before || len(*journal) != 0 {
			t.Errorf("%s: it changed something", name)
		}
	}
}

func TestAnswerRefused(t *testing.T) {
	for _, value := range [][]byte{nil, {99}, {byte(statusGone)}, {byte(statusOpened), 1}, append([]byte{byte(statusMalformed)}, 0)} {
		if _, err := ParseAnswer(value); !errors.Is(err, ErrMalformed) {
			t.Errorf("answer %v: %v, want ErrMalformed", value, err)
		}
	}
}

func TestClock(t *testing.T) {
	type step struct {
		term uint64
		t    time.Duration
		want time.Duration // clock after it
	}
	const ms, s = time.Millisecond, time.Second
	for name, steps := range map[string][]step{
		"adds differences":        {{1, 500 * ms, 0}, {1, 700 * ms, 200 * ms}, {1, 900 * ms, 400 * ms}},
		"first of a term is free": {{1, 0, 0}, {1, s, s}, {2, 3600 * s, s}, {2, 3600*s + ms, s + ms}},
		"bounded":                 {{1, 0, 0}, {1, 3600 * s, MaxStep}, {1, 3600*s + ms, MaxStep + ms}},
		"falling adds nothing":    {{1, 500 * ms, 0}, {1, 400 * ms, 0}, {1, 450 * ms, 0}, {1, 500 * ms, 0}, {1, 600 * ms, 100 * ms}},
		"a shuffle is no gain":    {{1, 0, 0}, {1, 2 * ms, 2 * ms}, {1, 1 * ms, 2 * ms}, {1, 2 * ms, 2 * ms}, {1, 1 * ms, 2 * ms}, {1, 3 * ms, 3 * ms}},
		"nonsense does not stick": {{1, 0, 0}, {1, 1 << 62, MaxStep}, {1, 10 * ms, MaxStep}, {1, 20 * ms, MaxStep + 10*ms}},
		"stamp of an older term":  {{1, 0, 0}, {2, 3600 * s, 0}, {2, 5 * ms, 0}, {2, 7 * ms, 2 * ms}},
		"back to an older term":   {{2, 0, 0}, {1, 5 * s, 0}, {2, 9 * s, 0}},
	} {
		var c clock
		for i, st := range steps {
			if c.advance(st.term, st.t); c.now != st.want {
				t.Errorf("%s: clock is %v after step %d, want %v", name, c.now, i, st.want)
			}
		}
	}
}
