package msgpack

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"runtime"
	"sync"
	"testing"
)

type inner struct {
	From string
	Term uint64
}

type message struct {
	inner2
	Flag  bool
	Body  []byte
	Empty []byte
	Nil   []byte
	Count uint32
	Small uint8
	Names []string
}

type inner2 struct{ Inner inner }

// unwilling cannot be encoded.
type unwilling struct{}

var errUnwilling = errors.New("unwilling")

func (*unwilling) MarshalBinary() ([]byte, error) { return nil, errUnwilling }
func (*unwilling) UnmarshalBinary([]byte) error   { return errUnwilling }

func sample() message {
	return message{
		inner2: inner2{inner{"a", math.MaxUint64}}, Flag: true, Body: []byte{0, 1, 0xff}, Empty: []byte{},
		Count: math.MaxUint32, Small: 255, Names: []string{"x", "é\xff"},
	}
}

func TestRoundTrip(t *testing.T) {
	// An embedded struct of an unexported type keeps its exported fields.
	type Embedded struct{ A, B uint64 }
	type outer struct {
		Embedded
		C []byte
	}
	in := outer{Embedded{1, 2}, []byte("c")}
	data, err := Marshal(&in)
	if err != nil {
		t.Fatal(err)
	}
	var out outer
	if err := Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(in, out) {
		t.Errorf("got %+v, want %+v", out, in)
	}

	want := sample()
	data, err = Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got message
	if err := Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(want, got) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got.Nil != nil || got.Empty == nil {
		t.Error("nil and empty byte strings were mixed up")
	}
	// The decoded value must not share the memory of the input.
	for i := range data {
		data[i] = 0
	}
	if !bytes.Equal(got.Body, want.Body) {
		t.Error("a decoded byte string shares the input's memory")
	}
}

func TestAppend(t *testing.T) {
	for _, spare := range []int{0, 1, 7, 1 << 10} {
		prefix := append(make([]byte, 0, 3+spare), "abc"...)
		out, err := Append(prefix, sample())
		if err != nil {
			t.Fatal(err)
		}
		if out, err = Append(out, uint64(7)); err != nil {
			t.Fatal(err)
		}
		if string(out[:3]) != "abc" {
			t.Fatalf("spare %d: the prefix became %q", spare, out[:3])
		}
		var got message
		rest, err := Decode(out[3:], &got)
		if err != nil || !reflect.DeepEqual(got, sample()) {
			t.Fatalf("spare %d: got %+v, %v", spare, got, err)
		}
		var n uint64
		if err := Unmarshal(rest, &n); err != nil || n != 7 {
			t.Fatalf("spare %d: got %d, %v", spare, n, err)
		}
	}
	before := []byte("keep")
	if out, err := Append(before, []any{"half", &unwilling{}}); err == nil || string(out) != "keep" {
		t.Errorf("what refuses to be encoded was encoded: %q, %v", out, err)
	}
}

func TestFieldsMayBeAdded(t *testing.T) {
	type old struct{ A uint64 }
	type new struct {
		A uint64
		B []byte
	}
	data, _ := Marshal(new{1, []byte("b")})
	var o old
	if err := Unmarshal(data, &o); err != nil || o.A != 1 {
		t.Errorf("an old reader of a new message: %+v, %v", o, err)
	}
	data, _ = Marshal(old{1})
	var n new
	if err := Unmarshal(data, &n); err != nil || n.A != 1 || n.B != nil {
		t.Errorf("a new reader of an old message: %+v, %v", n, err)
	}
}

func TestHostileInput(t *testing.T) {
	good, _ := Marshal(sample())
	deep := bytes.Repeat([]byte{0x91}, 1<<20)
	cases := map[string][]byte{
		"nothing":       {},
		"nil slice":     nil,
		"array of 4 G":  {0xdd, 0xff, 0xff, 0xff, 0xff},
		"map of 4 G":    {0xdf, 0xff, 0xff, 0xff, 0xff},
		"bytes of 4 G":  {0x92, 0x91, 0x92, 0xc6, 0xff, 0xff, 0xff, 0xff, 1},
		"text of 4 G":   {0xdb, 0xff, 0xff, 0xff, 0xff, 1},
		"ext of 4 G":    {0xc9, 0xff, 0xff, 0xff, 0xff, 1},
		"names of 4 G":  {0x98, 0x92, 0xa0, 0x00, 0xc2, 0xc0, 0xc0, 0xc0, 0x00, 0x00, 0xdd, 0xff, 0xff, 0xff, 0xff},
		"nested deeply": deep,
		"a number":      {0x07},
		"never used":    {0xc1},
		"trailing byte": append(bytes.Clone(good), 0),
	}
	for name, data := range cases {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var m message
		err := Unmarshal(data, &m)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: error is %v, want ErrMalformed", name, err)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
			t.Errorf("%s: %d bytes were allocated", name, grown)
		}
	}
	for cut := range good {
		var m message
		if err := Unmarshal(good[:cut], &m); !errors.Is(err, ErrMalformed) {
			t.Errorf("cut at %d: error is %v, want ErrMalformed", cut, err)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 200 {
				in := message{Count: uint32(i), Body: bytes.Repeat([]byte{byte(i)}, 100)}
				data, err := Marshal(&in)
				if err != nil {
					t.Error(err)
					return
				}
				var out message
				if err := Unmarshal(data, &out); err != nil || out.Count != in.Count || !bytes.Equal(out.Body, in.Body) {
					t.Errorf("got %+v, %v", out, err)
					return
				}
			}
		})
	}
	wg.Wait()
}
