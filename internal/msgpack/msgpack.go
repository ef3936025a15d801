// Package msgpack is the one place that decides how messages are encoded: which
// settings of go-msgpack are used, and how its encoders and decoders are reused.
// Package rpc puts these bytes on the wire, package labrpc into its simulated
// one.
//
// Structs are encoded as arrays: smaller and faster than maps, but the order of
// the fields is the schema. A field may be added at the end; none may be
// removed, moved or given another type. Fields of interface type lose their
// type; carry bytes instead. Nil and empty byte strings stay distinct.
package msgpack

import (
	"errors"
	"fmt"
	"sync"

	"github.com/hashicorp/go-msgpack/v2/codec"
)

// ErrMalformed is what every failed decoding is, by errors.Is. The decoder's own
// error is told in words only: it is often a bare io.EOF, which a reader of a
// stream would take for an orderly end.
var ErrMalformed = errors.New("malformed msgpack")

// handle holds the settings. It may be shared once it has been used, so it is
// used here, before anyone else can.
var handle = func() *codec.MsgpackHandle {
	h := &codec.MsgpackHandle{WriteExt: true} // without it text and bytes look alike
	h.StructToArray = true
	h.ExplicitRelease = true // we keep encoders and decoders; the library must not
	// Messages are flat: this is far above any of ours and far below what would
	// hurt the stack.
	h.MaxDepth = 64
	var out []byte
	codec.NewEncoderBytes(&out, h).MustEncode([]string{"warm"})
	var back []string
	codec.NewDecoderBytes(out, h).MustDecode(&back)
	return h
}()

// encoder is an Encoder with the slice it writes to, and memory of its own for
// those who bring none.
type encoder struct {
	*codec.Encoder
	out, own []byte
}

// keptBytes bounds the memory that an encoder at rest keeps.
const keptBytes = 64 << 10

var (
	encoders = sync.Pool{New: func() any { return &encoder{Encoder: codec.NewEncoderBytes(new([]byte), handle), own: []byte{}} }}
	decoders = sync.Pool{New: func() any { return codec.NewDecoderBytes([]byte{}, handle) }}
)

// Append appends the encoding of v to dst and returns the longer slice, as the
// built-in append does. On an error dst is returned as it was.
func Append(dst []byte, v any) ([]byte, error) {
	e := encoders.Get().(*encoder)
	// The encoder fills the spare capacity of dst and moves only if that is too
	// small; a reused buffer soon is large enough.
	spare := dst[len(dst):]
	borrowed := cap(spare) == 0
	if borrowed {
		spare = e.own[:0]
	}
	e.out = spare
	e.ResetBytes(&e.out)
	err := e.Encode(v)
	out := e.out
	if borrowed && cap(out) <= keptBytes {
		e.own = out[:0]
	}
	e.out = e.own // forget dst before the pool keeps the encoder
	e.ResetBytes(&e.out)
	switch {
	case err != nil:
		err = fmt.Errorf("encode %T as msgpack: %w", v, err)
	case !borrowed && cap(spare) >= len(out) && len(out) > 0 && &spare[:1][0] == &out[0]:
		dst = dst[:len(dst)+len(out)]
	default:
		dst = append(dst, out...) // before another may use e.own
	}
	encoders.Put(e)
	return dst, err
}

// Marshal returns the encoding of v in memory of its own.
func Marshal(v any) ([]byte, error) { return Append(nil, v) }

// Decode reads one value off the front of data into v, a pointer, and returns
// what follows it. Bytes are copied: v does not share data's memory.
//
// The value v points to must be fresh: absent fields are left as they are and
// old slices are overwritten in place. Whatever data claims, memory grows only
// with what data holds, and values.go bounds how much each byte can hold. Every
// error is ErrMalformed.
func Decode(data []byte, v any) (rest []byte, err error) {
	if _, err := measure(data); err != nil {
		return nil, fmt.Errorf("%w: %d bytes into %T: %v", ErrMalformed, len(data), v, err)
	}
	d := decoders.Get().(*codec.Decoder)
	d.ResetBytes(data)
	err = d.Decode(v)
	read := d.NumBytesRead()
	d.ResetBytes([]byte{}) // forget data before the pool keeps the decoder
	decoders.Put(d)
	if err != nil {
		return nil, fmt.Errorf("%w: %d bytes into %T: %v", ErrMalformed, len(data), v, err)
	}
	return data[read:], nil
}

// Unmarshal reads data, which must hold one value and nothing after it, into v,
// a pointer to a fresh value. See Decode.
func Unmarshal(data []byte, v any) error {
	rest, err := Decode(data, v)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%w: %d bytes follow a %T", ErrMalformed, len(rest), v)
	}
	return err
}
