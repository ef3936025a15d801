// Package quorum has the only quorum arithmetic of the repository. Commit,
// elections, reads and check-quorum all ask one question: what is the highest
// value that a quorum has reached?
package quorum

import "slices"

// Agreed returns the highest value v such that a majority of the voters has
// value(id) >= v. If old is not empty the configuration is joint and a majority
// of both sets is needed (paper §6). With no voters at all nothing is agreed: 0.
//
// A vote is the same question with values 1 (granted) and 0: won if Agreed is 1.
// It is lost for certain if Agreed is 0 with value 1 for everyone who has not
// refused.
func Agreed[ID comparable](voters, old []ID, value func(ID) uint64) uint64 {
	if len(voters) == 0 {
		return 0
	}
	agreed := ofSet(voters, value)
	if len(old) > 0 {
		agreed = min(agreed, ofSet(old, value))
	}
	return agreed
}

// ofSet sorts the values of one set. In ascending order, the value at (n-1)/2
// has n - (n-1)/2 = n/2+1 values at or above it, a majority for even n as well
// as odd.
func ofSet[ID comparable](set []ID, value func(ID) uint64) uint64 {
	var array [9]uint64 // on the stack for every usual size
	values := array[:0]
	for _, id := range set {
		values = append(values, value(id))
	}
	slices.Sort(values)
	return values[(len(values)-1)/2]
}
