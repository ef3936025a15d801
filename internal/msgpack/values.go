package msgpack

import (
	"encoding/binary"
	"fmt"
)

// maxValues bounds the values, one within another included, that a message may
// consist of. A value of one byte can become an element of a hundred in memory,
// so the size of a message alone does not bound what decoding it takes. Ours are
// flat: the longest, a thousand keys in one answer, has 6,000.
const maxValues = 1 << 16

// measure walks over the value at the front of data without decoding it and
// returns its length. It refuses a value that is cut or consists of too many.
//
// It refuses an extension without bytes, which the decoder takes for longer than it
// is: the two would read different values from there on.
//
// Depth costs it nothing: it counts how many values are still to come, and a list
// or map only adds to that.
func measure(data []byte) (int, error) {
	at, values := 0, uint64(1) // values begun and announced
	for left := values; left > 0; left-- {
		if at >= len(data) {
			return 0, fmt.Errorf("cut after %d bytes: %d more values are announced", at, left)
		}
		head, size, inside := layout(data[at:])
		if inside > 0 {
			left += inside
			if values += inside; values > maxValues {
				return 0, fmt.Errorf("more than %d values", maxValues)
			}
		}
		if tag := data[at]; tag >= 0xc7 && tag <= 0xc9 && size == 0 {
			return 0, fmt.Errorf("empty extension at byte %d", at)
		}
		if size += uint64(head); size > uint64(len(data)-at) {
			return 0, fmt.Errorf("cut at byte %d: a value of %d bytes, %d are left", at, size, len(data)-at)
		}
		at += int(size)
	}
	return at, nil
}

// layout reads the head of one value: how many bytes it takes, how many follow
// that belong to the value, and how many values it holds. A head that is cut
// takes more bytes than there are.
func layout(b []byte) (head int, size, inside uint64) {
	f := &forms[b[0]]
	head, size, inside = int(f.head), uint64(f.size), uint64(f.inside)
	if f.width == 0 || len(b) <= int(f.width) {
		return head, size, inside
	}
	n := uint64(b[1])
	switch f.width {
	case 2:
		n = uint64(binary.BigEndian.Uint16(b[1:]))
	case 4:
		n = uint64(binary.BigEndian.Uint32(b[1:]))
	}
	return head, size + n*uint64(f.bytes), inside + n*uint64(f.each)
}

// form is what the first byte of a value says.
type form struct {
	head         uint8 // bytes, that one and the length included
	size, inside uint8 // bytes behind the head, and values
	width        uint8 // bytes of the length n
	bytes, each  uint8 // n is so many bytes, or so many values
}

var forms = func() (of [256]form) {
	for tag := range 256 {
		f := form{head: 1} // nil, false, true, small integers, and 0xc1, which the decoder refuses
		switch {
		case tag >= 0xe0 || tag <= 0x7f:
		case tag <= 0x8f: // small map
			f.inside = 2 * uint8(tag&0x0f)
		case tag <= 0x9f: // small array
			f.inside = uint8(tag & 0x0f)
		case tag <= 0xbf: // small text
			f.size = uint8(tag & 0x1f)
		case tag >= 0xde: // map 16, 32
			f.width, f.each = 2<<(tag-0xde), 2
		case tag >= 0xdc: // array 16, 32
			f.width, f.each = 2<<(tag-0xdc), 1
		case tag >= 0xd9: // text 8, 16, 32
			f.width, f.bytes = 1<<(tag-0xd9), 1
		case tag >= 0xd4: // extension of 1, 2, 4, 8, 16 bytes
			f.head = 2 + 1<<(tag-0xd4)
		case tag >= 0xd0: // signed integers
			f.head = 1 + 1<<(tag-0xd0)
		case tag >= 0xcc: // unsigned integers
			f.head = 1 + 1<<(tag-0xcc)
		case tag >= 0xca: // floats
			f.head = 1 + 4<<(tag-0xca)
		case tag >= 0xc7: // extension 8, 16, 32: a byte for its type
			f.head, f.width, f.bytes = 2, 1<<(tag-0xc7), 1
		case tag >= 0xc4: // bytes 8, 16, 32
			f.width, f.bytes = 1<<(tag-0xc4), 1
		}
		f.head += f.width
		of[tag] = f
	}
	return of
}()
