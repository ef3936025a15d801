package load

import (
	"math/bits"
	"time"
)

// histogram counts durations without allocating, so that measuring does not show
// in what is measured. Below 64 ns each value has a bucket of its own; above,
// each power of two is cut into 32 equal buckets, so a value is known to about
// 3 %. The largest is a little over an hour.
type histogram struct {
	counts [bucketCount]uint32
	total  uint64
}

const (
	subBits     = 5
	maxExponent = 42 // 2^42 ns is 73 minutes
	bucketCount = (maxExponent - subBits + 1) << subBits
)

func bucketOf(d time.Duration) int {
	v := uint64(max(d, 0))
	if v < 2<<subBits {
		return int(v)
	}
	shift := bits.Len64(v) - subBits - 1
	return min(shift<<subBits+int(v>>shift), bucketCount-1)
}

// lowest returns the least duration that falls into a bucket.
func lowest(bucket int) time.Duration {
	if bucket < 2<<subBits {
		return time.Duration(bucket)
	}
	shift := bucket>>subBits - 1
	return time.Duration(uint64(bucket-shift<<subBits) << shift)
}

func (h *histogram) add(d time.Duration) {
	h.counts[bucketOf(d)]++
	h.total++
}

func (h *histogram) merge(other *histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
}

// quantile returns the duration that a share q of the values does not exceed, to
// the middle of its bucket; 0 if there are no values.
func (h *histogram) quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := uint64(q * float64(h.total-1))
	var seen uint64
	for i, n := range h.counts {
		if seen += uint64(n); seen > rank {
			return (lowest(i) + lowest(i+1)) / 2
		}
	}
	return lowest(bucketCount)
}
