package rpc

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
)

func sampleGreeting() greeting {
	return greeting{
		minVersion: 1, maxVersion: 3, features: 5, class: classData, verdict: 2, group: 6, incarnation: 7, bootCounter: 8,
		bootID: [16]byte{1, 15: 9}, cluster: "c1", sender: "a", receiver: "b", directory: "\x00dir", text: "no",
	}
}

func TestGreetingRoundTrip(t *testing.T) {
	for _, want := range []greeting{sampleGreeting(), {minVersion: 1, maxVersion: 1}, {minVersion: 1, maxVersion: 1, cluster: strings.Repeat("x", 255)}} {
		data := want.encode()
		got, err := readGreeting(bytes.NewReader(data))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
		for cut := range data {
			if _, err := readGreeting(bytes.NewReader(data[:cut])); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("cut at %d: %v", cut, err)
			}
		}
	}
}

// The bytes of a greeting are read by other versions: they must not move.
func TestGreetingBytes(t *testing.T) {
	g := sampleGreeting()
	want := "LSTP" + "\x44\x00" + "\x01\x00\x03\x00" + "\x05\x00\x00\x00\x00\x00\x00\x00" + "\x02\x02" +
		"\x06\x00\x00\x00\x00\x00\x00\x00" + "\x07\x00\x00\x00\x00\x00\x00\x00" + "\x08\x00\x00\x00\x00\x00\x00\x00" +
		"\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x09" +
		"\x02c1" + "\x01a" + "\x01b" + "\x04\x00dir" + "\x02no"
	want = want[:4] + string([]byte{byte(len(want) - 6), 0}) + want[6:]
	if got := string(g.encode()); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestGreetingsOfOtherVersions(t *testing.T) {
	// One that overlaps may have more at its end.
	g := greeting{minVersion: 1, maxVersion: 9, cluster: "c"}
	data := append(g.encode(), "more"...)
	data[4] += 4
	if got, err := readGreeting(bytes.NewReader(data)); err != nil || got.cluster != "c" {
		t.Errorf("a longer greeting: %+v, %v", got, err)
	}
	// One that does not may look entirely different behind the versions.
	g = greeting{minVersion: 2, maxVersion: 9}
	data = g.encode()[:11]
	data[4] = 5
	if _, err := readGreeting(bytes.NewReader(data)); !errors.Is(err, ErrVersion) {
		t.Errorf("a later version: %v", err)
	}
}

// A text longer than its length byte can say is cut, not wrapped around.
func TestLongTextIsCut(t *testing.T) {
	g := greeting{minVersion: 1, maxVersion: 1, text: strings.Repeat("y", 300)}
	got, err := readGreeting(bytes.NewReader(g.encode()))
	if err != nil || got.text != g.text[:255] {
		t.Errorf("got %d bytes, %v", len(got.text), err)
	}
}

func TestEveryReasonHasAVerdict(t *testing.T) {
	for v, reason := range reasons {
		if reason != nil && (verdictOf(refuse(reason, "")) != verdict(v) || verdict(v).reason() != reason) {
			t.Errorf("verdict %d and %v do not match", v, reason)
		}
	}
	if verdict(200).reason() == nil || verdictOf(io.EOF) == accepted {
		t.Error("an unknown refusal counts as accepted")
	}
}
