package kv

import (
	"bytes"
	"errors"
	"testing"
)

func TestCommandBytes(t *testing.T) {
	for _, c := range []struct {
		command *Command
		want    []byte
	}{
		{put("ke", "v"), []byte{1, 4, 2, 0, 'k', 'e', 'v'}},
		{add("k", ""), []byte{1, 5, 1, 0, 'k'}},
		{del("k"), []byte{1, 6, 1, 0, 'k'}},
		{cas("k", "v", 258), []byte{1, 7, 1, 0, 'k', 2, 1, 0, 0, 0, 0, 0, 0, 'v'}},
	} {
		if got := c.command.Append(nil); !bytes.Equal(got, c.want) {
			t.Errorf("%v: the format changed without a new version: %v, want %v", c.command.Op, got, c.want)
		}
		back, err := DecodeCommand(c.want)
		if err != nil || back.Op != c.command.Op || !bytes.Equal(back.Key, c.command.Key) || !bytes.Equal(back.Value, c.command.Value) || back.Revision != c.command.Revision {
			t.Errorf("%v: decoded %+v, %v", c.command.Op, back, err)
		}
	}
}

var badCommands = map[string]struct {
	data []byte
	want error
}{
	"empty":              {nil, ErrMalformed},
	"one byte":           {[]byte{1}, ErrMalformed},
	"cut header":         {[]byte{1, 4, 1}, ErrMalformed},
	"future version":     {[]byte{2, 4, 1, 0, 'k'}, ErrUnsupported},
	"version 0":          {[]byte{0}, ErrUnsupported},
	"a read":             {[]byte{1, byte(OpGet), 1, 0, 'k'}, ErrUnsupported},
	"future op":          {[]byte{1, 8, 1, 0, 'k'}, ErrUnsupported},
	"key beyond the end": {[]byte{1, 4, 2, 0, 'k'}, ErrMalformed},
	"longest key claim":  {[]byte{1, 4, 255, 255, 'k'}, ErrMalformed},
	"cut revision":       {[]byte{1, 7, 1, 0, 'k', 1, 0, 0, 0, 0, 0, 0}, ErrMalformed},
	"delete with value":  {[]byte{1, 6, 1, 0, 'k', 'v'}, ErrMalformed},
}

// TestCommandRefused: a log may hold anything; every replica refuses it alike, by
// a result, and changes nothing.
func TestCommandRefused(t *testing.T) {
	for name, c := range badCommands {
		if _, err := DecodeCommand(c.data); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		s := NewStore()
		hash := s.Hash()
		if _, err := ParseResult(s.Execute(0, c.data, nil), del("k")); !errors.Is(err, c.want) || s.Hash() != hash {
			t.Errorf("%s: applied: %v, want %v", name, err, c.want)
		}
	}
}

func TestResultRefused(t *testing.T) {
	future := make([]byte, resultBytes)
	future[0] = 99
	for _, data := range [][]byte{nil, {0}, make([]byte, resultBytes+1), future} {
		if _, err := ParseResult(data, put("k", "v")); !errors.Is(err, ErrMalformed) {
			t.Errorf("%v: %v, want ErrMalformed", data, err)
		}
	}
}
