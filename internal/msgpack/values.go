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
	switch tag := b[0]; {
	case tag <= 0x7f || tag >= 0xe0: // small integers
		return 1, 0, 0
	case tag <= 0x8f:
		return 1, 0, 2 * uint64(tag&0x0f)
	case tag <= 0x9f:
		return 1, 0, uint64(tag & 0x0f)
	case tag <= 0xbf:
		return 1, uint64(tag & 0x1f), 0
	default:
		return tagged(tag, b)
	}
}

// tagged is layout for the tags from 0xc0 to 0xdf.
func tagged(tag byte, b []byte) (head int, size, inside uint64) {
	// Bytes of the length behind the tag; else bytes of the value itself.
	length := func(width int) uint64 {
		if len(b) <= width {
			return 0 // the head is longer than what is left
		}
		var wide [8]byte
		copy(wide[8-width:], b[1:1+width])
		return binary.BigEndian.Uint64(wide[:])
	}
	switch {
	case tag >= 0xde: // map 16, 32
		width := 2 << (tag - 0xde)
		return 1 + width, 0, 2 * length(width)
	case tag >= 0xdc: // array 16, 32
		width := 2 << (tag - 0xdc)
		return 1 + width, 0, length(width)
	case tag >= 0xd9: // text 8, 16, 32
		width := 1 << (tag - 0xd9)
		return 1 + width, length(width), 0
	case tag >= 0xd4: // extension of 1, 2, 4, 8, 16 bytes
		return 2 + 1<<(tag-0xd4), 0, 0
	case tag >= 0xd0: // signed integers
		return 1 + 1<<(tag-0xd0), 0, 0
	case tag >= 0xcc: // unsigned integers
		return 1 + 1<<(tag-0xcc), 0, 0
	case tag >= 0xca: // floats
		return 1 + 4<<(tag-0xca), 0, 0
	case tag >= 0xc7: // extension 8, 16, 32
		width := 1 << (tag - 0xc7)
		return 2 + width, length(width), 0
	case tag >= 0xc4: // bytes 8, 16, 32
		width := 1 << (tag - 0xc4)
		return 1 + width, length(width), 0
	}
	return 1, 0, 0 // nil, false, true, and 0xc1, which the decoder refuses
}
