package raft

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"
)

// explorer searches a small world breadth first.
type explorer struct {
	limits  limits
	planted mistakes
	ignored map[string]bool   // properties that are not looked at
	named   bool              // worlds that differ by names are different
	classes map[[16]byte]bool // of named worlds: those that differ by more

	servers    map[string]*explored
	encodings  map[string]uint32
	bodies     map[content]*body
	localSteps int
	reached    reached

	visited  visited
	progress func(depth, states, frontier int)

	// scratch
	buffer        []action
	spelled, best []byte
	codes         []uint64
}

func newExplorer(l limits) *explorer {
	return &explorer{
		limits: l, servers: map[string]*explored{}, encodings: map[string]uint32{}, bodies: map[content]*body{},
		visited: newVisited(), classes: map[[16]byte]bool{},
	}
}

// visited knows every state by 128 bits of its digest, and how it was reached
// first. Two states of ten million share a digest with odds of one in 10^24.
type visited struct {
	table   []uint32 // 1 + number of the state, by digest; open addressing
	digests [][16]byte
	left    []allowance
	parents []uint32
	via     []uint16 // which action of the parent
}

func newVisited() visited { return visited{table: make([]uint32, 1<<16)} }

// add notes a state; false if it was known with an allowance that covers this
// one: whatever can follow here could follow there.
func (v *visited) add(digest [16]byte, left allowance, parent uint32, via int) bool {
	if 2*len(v.digests) > len(v.table) {
		v.grow()
	}
	mask := uint64(len(v.table) - 1)
	at := binary.LittleEndian.Uint64(digest[:]) & mask
	for ; v.table[at] != 0; at = (at + 1) & mask {
		if known := v.table[at] - 1; v.digests[known] == digest && v.left[known].covers(left) {
			return false
		}
	}
	v.digests = append(v.digests, digest)
	v.left = append(v.left, left)
	v.parents = append(v.parents, parent)
	v.via = append(v.via, uint16(via))
	v.table[at] = uint32(len(v.digests))
	return true
}

func (v *visited) grow() {
	v.table = make([]uint32, 2*len(v.table))
	mask := uint64(len(v.table) - 1)
	for i, digest := range v.digests {
		at := binary.LittleEndian.Uint64(digest[:]) & mask
		for v.table[at] != 0 {
			at = (at + 1) & mask
		}
		v.table[at] = uint32(i + 1)
	}
}

// reached says what a search got to see: zeros would mean that it looked at nothing.
type reached struct {
	term      uint64 // highest that was led
	committed int    // most entries
	cuts      int    // steps in which a follower removed entries
	conflicts int    // steps in which it refused entries
	restarts  int    // steps of a crash
}

func (x *explorer) note(was *explored, e event, out *step) {
	is, seen := out.after, &x.reached
	if is.leads {
		seen.term = max(seen.term, is.term)
	}
	seen.committed = max(seen.committed, int(is.commit))
	if e.kind == crashes {
		seen.restarts++
	} else if !slices.Equal(was.log, is.log[:min(len(was.log), len(is.log))]) {
		seen.cuts++
	}
	if len(out.sent) > 0 && out.sent[0].body.refusal == RefusedConflict {
		seen.conflicts++
	}
}

// result is what a search found.
type result struct {
	reached
	states, actions, depth int
	localSteps, servers    int
	took                   time.Duration
	breach                 *breach
	broken                 *world // where the breach is
	trace                  string
}

func (r result) String() string {
	return fmt.Sprintf("%d states visited by %d actions, the farthest after %d; %d states of a server, %d steps of package raft (%d cuts, %d conflicts, %d restarts); %v",
		r.states, r.actions, r.depth, r.servers, r.localSteps, r.cuts, r.conflicts, r.restarts, r.took.Round(time.Millisecond))
}

// beginning is a cluster just bootstrapped.
func (x *explorer) beginning(t testing.TB) *world {
	t.Helper()
	w := &world{left: x.limits.allowance}
	for i := range w.servers {
		s := x.birth(t, i)
		s.diskless = w.left.crashes == 0
		w.servers[i] = x.intern(s)
	}
	w.past.committed[0] = committed{slot: w.servers[0].log[0], term: bootstrapTerm}
	w.past.length = 1
	x.askAround(w)
	return w
}

// search visits every state that can follow root, nearest first, until there is
// none left or a property is broken: the trace to it is then a shortest one.
func (x *explorer) search(root *world) result {
	began := time.Now()
	var r result
	x.visited = newVisited()
	x.visited.add(x.key(root), root.left, 0, 0)
	frontier, number := []*world{root}, 0 // and the number of its first state
	for len(frontier) > 0 && r.breach == nil {
		var next []*world
		for i, w := range frontier {
			frontier[i] = nil // so that it can be collected
			for k, a := range slices.Clone(x.actions(w)) {
				r.actions++
				after, broken := x.do(w, a)
				if broken != nil {
					r.breach, r.broken, r.trace = broken, after, x.trace(root, uint32(number+i), k)
					break
				}
				if x.visited.add(x.key(after), after.left, uint32(number+i), k) {
					next = append(next, after)
				}
			}
			if r.breach != nil {
				break
			}
		}
		number += len(frontier)
		if frontier = next; len(frontier) > 0 {
			r.depth++
		}
		if x.progress != nil {
			x.progress(r.depth, len(x.visited.digests), len(frontier))
		}
	}
	r.states, r.took, r.reached = len(x.visited.digests), time.Since(began), x.reached
	r.localSteps, r.servers = x.localSteps, len(x.servers)
	return r
}
