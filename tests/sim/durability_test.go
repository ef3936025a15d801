package sim

import (
	"fmt"
	"strings"
	"testing"

	"lockstep.example/raft"
	"lockstep.example/raft/tests"
)

// script drives a durability monitor by hand, on three servers.
type script struct {
	t        *testing.T
	d        *durability
	position map[string]raft.Position
}

func newScript(t *testing.T) *script {
	s := &script{t, newDurability(3, NewReport()), map[string]raft.Position{}}
	for _, server := range []string{"s0", "s1", "s2"} {
		s.start(server, raft.HardState{Term: 2}, 1)
	}
	return s
}

// batch makes one entry a term.
func batch(terms ...uint64) raft.Batch {
	var body []byte
	for _, term := range terms {
		body = raft.AppendEntry(body, raft.EntryCommand, term, fmt.Append(nil, "of term ", term))
	}
	return raft.NewBatch(body, len(terms))
}

// start has a server find a HardState and a log on its disk.
func (s *script) start(server string, hard raft.HardState, terms ...uint64) error {
	return s.d.begin(server, raft.Recovered{HardState: hard, Batches: []raft.Batch{batch(terms...)}})
}

func (s *script) stage(server string, first uint64, terms ...uint64) {
	s.put(server, raft.Stage{FirstIndex: first, Batch: batch(terms...)})
}

func (s *script) vote(server string, term uint64, of raft.ServerID) {
	s.put(server, raft.Stage{HardState: &raft.HardState{Term: term, VotedFor: of}})
}

func (s *script) put(server string, stage raft.Stage) {
	s.d.stage(server, stage, func(raft.Stage) raft.Position {
		s.position[server]++
		return s.position[server]
	})
}

func (s *script) flush(servers ...string) {
	for _, server := range servers {
		s.d.flush(server, s.position[server])
	}
}

func (s *script) apply(server string, index, term uint64) {
	_ = s.d.Observe(tests.Event{Kind: tests.Applies, Server: server, Index: index, Term: term}) // Finish tells
}

func (s *script) lead(server string, term uint64) {
	_ = s.d.Observe(tests.Event{Kind: tests.Leads, Server: server, Term: term})
}

// TestDurability: each breach is seen, and told as what it is; each neighbour of
// a breach passes.
func TestDurability(t *testing.T) {
	for _, row := range []struct {
		name, breach string
		run          func(s *script)
	}{
		{"on a quorum", "", func(s *script) {
			s.stage("s0", 2, 2)
			s.stage("s1", 2, 2)
			s.flush("s0", "s1")
			s.apply("s0", 2, 2)
		}},
		{"on one of three", "durable on 1 of 3", func(s *script) {
			s.stage("s0", 2, 2)
			s.stage("s1", 2, 2)
			s.flush("s0")
			s.apply("s0", 2, 2)
		}},
		{"on a quorum, of another term", "durable on 1 of 3", func(s *script) {
			s.stage("s0", 2, 3)
			s.stage("s1", 2, 2)
			s.flush("s0", "s1")
			s.apply("s0", 2, 3)
		}},
		{"on a quorum, of an earlier term (Figure 8)", "index 2 of term 2, which is not committed", func(s *script) {
			for _, server := range []string{"s0", "s1"} {
				s.vote(server, 3, "s0")
				s.stage(server, 2, 2)
				s.flush(server)
			}
			s.apply("s0", 2, 2)
		}},
		{"the same, with an entry of the leader's term", "", func(s *script) {
			for _, server := range []string{"s0", "s1"} {
				s.vote(server, 3, "s0")
				s.stage(server, 2, 2, 3)
				s.flush(server)
			}
			s.apply("s0", 2, 2)
		}},
		{"durable on a quorum by a power loss that took nothing", "", func(s *script) {
			s.stage("s0", 2, 2)
			s.flush("s0")
			s.stage("s1", 2, 2)
			_ = s.start("s1", raft.HardState{Term: 2}, 1, 2)
			s.apply("s0", 2, 2)
		}},
		{"uncommitted tail replaced", "", func(s *script) {
			s.stage("s0", 2, 2, 2)
			s.stage("s0", 3, 3)
		}},
		{"committed entry replaced", "s0 truncates index 2 of term 2, which is committed", func(s *script) {
			s.stage("s0", 2, 2)
			s.stage("s1", 2, 2)
			s.flush("s0", "s1")
			s.apply("s0", 2, 2)
			s.stage("s0", 2, 3)
		}},
		{"committed entry cut off by a shorter tail", "s0 truncates index 3", func(s *script) {
			for _, server := range []string{"s0", "s1"} {
				s.stage(server, 2, 2, 2)
				s.flush(server)
			}
			s.apply("s0", 3, 2)
			s.stage("s0", 2, 2)
		}},
		{"leader replaces its own entry", "s0 replaces index 2 while it leads term 2", func(s *script) {
			s.vote("s0", 2, "s0")
			s.lead("s0", 2)
			s.stage("s0", 2, 2, 2)
			s.stage("s0", 2, 2)
		}},
		{"two votes in a term over two lives", "s0 votes for s2 in term 2, after a vote for s1", func(s *script) {
			s.vote("s0", 2, "s1")
			s.flush("s0")
			_ = s.start("s0", raft.HardState{Term: 2, VotedFor: "s1"}, 1)
			s.vote("s0", 2, "s2")
			s.flush("s0")
		}},
		{"a vote that no flush spoke of", "", func(s *script) {
			s.vote("s0", 2, "s1")
			_ = s.start("s0", raft.HardState{Term: 2}, 1)
			s.vote("s0", 2, "s2")
			s.flush("s0")
		}},
		{"leader without a committed entry", "s2 leads term 3 without index 2 of term 2", func(s *script) {
			s.stage("s0", 2, 2)
			s.stage("s1", 2, 2)
			s.flush("s0", "s1")
			s.apply("s0", 2, 2)
			s.lead("s2", 3)
		}},
		{"two entries of one index and term", "another entry at index 3 of term 2", func(s *script) {
			s.stage("s0", 2, 1, 2)
			s.stage("s1", 2, 2, 2)
		}},
		{"a gap", "stages index 3 after 1", func(s *script) { s.stage("s0", 3, 2) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newScript(t)
			row.run(s)
			err := s.d.Finish(nil)
			switch {
			case row.breach == "" && err != nil:
				t.Errorf("breach: %v", err)
			case row.breach != "" && (err == nil || !strings.Contains(err.Error(), row.breach)):
				t.Errorf("breach: %v; it must tell %q", err, row.breach)
			}
		})
	}
}

// TestRecovered: a start must find what was flushed, and of the rest the oldest.
func TestRecovered(t *testing.T) {
	for _, row := range []struct {
		name  string
		hard  raft.HardState
		terms []uint64
		ok    bool
	}{
		{"nothing of what was not flushed", raft.HardState{Term: 2}, []uint64{1, 2}, true},
		{"the first of it", raft.HardState{Term: 2}, []uint64{1, 2, 2}, true},
		{"all of it", raft.HardState{Term: 3, VotedFor: "s1"}, []uint64{1, 2, 2}, true},
		{"the vote without the entry staged before", raft.HardState{Term: 3, VotedFor: "s1"}, []uint64{1, 2}, false},
		{"less than was flushed", raft.HardState{Term: 2}, []uint64{1}, false},
		{"an older term", raft.HardState{Term: 1}, []uint64{1, 2}, false},
		{"more than was ever staged", raft.HardState{Term: 2}, []uint64{1, 2, 2, 2}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newScript(t)
			s.put("s0", raft.Stage{HardState: &raft.HardState{Term: 2}, FirstIndex: 2, Batch: batch(2)})
			s.flush("s0")
			s.stage("s0", 3, 2)
			s.vote("s0", 3, "s1")
			if err := s.start("s0", row.hard, row.terms...); (err == nil) != row.ok {
				t.Errorf("recovery judged %v; right is %v", err, row.ok)
			}
		})
	}
}
