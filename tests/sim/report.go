package sim

import (
	"sync"
	"time"
)

// Report is what a run, or many, did and met.
type Report struct {
	Runs       int            `json:"runs"`
	Simulated  time.Duration  `json:"simulated_ns"`
	Histories  int            `json:"histories"`
	Operations map[string]int `json:"operations"` // by kind and outcome
	Checked    int            `json:"checked"`    // operations in checked histories
	Faults     map[string]int `json:"faults"`     // injected, by name
	Events     map[string]int `json:"events"`     // met, by name

	mu sync.Mutex // a leaf
}

// Result is what a run leaves, as a line of JSON.
type Result struct {
	Seed   uint64  `json:"seed"`
	Failed bool    `json:"failed"`
	Trace  string  `json:"trace"` // hash over all events: the same is the same run
	Report *Report `json:"report"`
}

// NewReport returns an empty one.
func NewReport() *Report {
	return &Report{Operations: map[string]int{}, Faults: map[string]int{}, Events: map[string]int{}}
}

func (r *Report) count(event string)    { r.add(r.Events, event) }
func (r *Report) fault(name string)     { r.add(r.Faults, name) }
func (r *Report) operation(kind string) { r.add(r.Operations, kind) }
func (r *Report) add(m map[string]int, key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m[key]++
}

// Add adds another report to r.
func (r *Report) Add(other *Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Runs += other.Runs
	r.Simulated += other.Simulated
	r.Histories += other.Histories
	r.Checked += other.Checked
	for to, from := range map[*map[string]int]map[string]int{
		&r.Operations: other.Operations, &r.Faults: other.Faults, &r.Events: other.Events,
	} {
		for key, n := range from {
			(*to)[key] += n
		}
	}
}

// expected are the faults and events that a campaign of some length must have
// met: one that is missing means that the campaign does not test what it says. A
// campaign builds the simulation with the tag raftsim, so all of the menu counts,
// whatever the program that asks was built with.
func expected() (faults, events []string) {
	for _, f := range menu {
		faults = append(faults, f.name)
	}
	return append(faults, "clock runs at another rate"), []string{
		"leader elected", "leader stepped down", "campaign put off", "vote refused",
		"append refused: conflict", "append refused: stale term", "append refused: busy", "log truncated",
		"torn tail", "crash with stages not flushed", "crash inside a recovery", "server ended by its disk",
		"unsynced write at a crash", "unsynced create at a crash",
	}
}

// Missing lists what of that never happened.
func (r *Report) Missing() (missing []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	faults, events := expected()
	for _, list := range []struct {
		names []string
		met   map[string]int
	}{{faults, r.Faults}, {events, r.Events}} {
		for _, name := range list.names {
			if list.met[name] == 0 {
				missing = append(missing, name)
			}
		}
	}
	return missing
}
