// Package allocs tells tests what a piece of code allocated, cheaply enough to
// ask in each run of a fuzz target.
package allocs

import "runtime/metrics"

// During returns about how many bytes were allocated while f ran, by anyone in
// the process, what was freed again included. Small objects are counted in
// spans, so only a bound well above 64 KiB can be asserted on.
func During(f func()) uint64 {
	before := total()
	f()
	return total() - before
}

func total() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
