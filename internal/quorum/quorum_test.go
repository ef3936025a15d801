package quorum

import (
	"math/rand/v2"
	"testing"
)

// dumb counts, for each value anyone has, how many are at or above it.
func dumb(voters, old []int, value func(int) uint64) uint64 {
	reached := func(set []int, v uint64) bool {
		n := 0
		for _, id := range set {
			if value(id) >= v {
				n++
			}
		}
		return 2*n > len(set)
	}
	var best uint64
	for _, id := range append(append([]int{}, voters...), old...) {
		v := value(id)
		if v > best && reached(voters, v) && (len(old) == 0 || reached(old, v)) {
			best = v
		}
	}
	return best
}

func TestAgreedEqualsDumbTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		values := map[int]uint64{}
		pick := func(n int) (set []int) {
			for _, id := range r.Perm(12)[:n] {
				set = append(set, id)
				values[id] = r.Uint64N(6)
			}
			return set
		}
		voters, old := pick(1+r.IntN(11)), pick(r.IntN(8))
		value := func(id int) uint64 { return values[id] }
		if got, want := Agreed(voters, old, value), dumb(voters, old, value); got != want {
			t.Fatalf("Agreed(%v, %v) over %v = %d, want %d", voters, old, values, got, want)
		}
	}
}

func TestAgreedBySize(t *testing.T) {
	// needed[n] is how many of n voters make a quorum.
	needed := []int{0, 1, 2, 2, 3, 3, 4, 4}
	for n := 1; n <= 7; n++ {
		voters := make([]int, n)
		for i := range voters {
			voters[i] = i
		}
		for granted := 0; granted <= n; granted++ {
			got := Agreed(voters, nil, func(id int) uint64 {
				if id < granted {
					return 1
				}
				return 0
			})
			if want := granted >= needed[n]; (got == 1) != want {
				t.Errorf("%d of %d: agreed = %d", granted, n, got)
			}
		}
	}
	if got := Agreed(nil, []int{1}, func(int) uint64 { return 7 }); got != 0 {
		t.Errorf("no voters agreed on %d", got)
	}
}
