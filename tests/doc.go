// Package tests is a harness for Raft servers and a list of scenarios for it,
// after the course labs of MIT 6.5840 and the bugs of well-known systems. It sees
// servers from outside alone, through the interfaces of server.go: any Raft can
// be run in it. Ours is plugged in by adapter_lockstep.go.
//
// A scenario runs in a testing/synctest bubble, over the simulated network of
// package labrpc: minutes of cluster time take milliseconds. While it runs the
// monitors of monitors.go look at everything the servers do; at its end the
// network heals, every server is started again and all must come to agree.
//
//	go test ./tests -run Lab/3B/Backup -v      prints the timeline of each run
//	go test ./tests -run 'Lab/3B/Backup$' -v   at the labs' number of servers alone
//	go run ./tests/grade                       runs the labs and prints points
//	LOCKSTEP_SEED=17 go test ./tests ...       draws the same faults again
//
// The seed decides what the network and the scenario draw. The order in which
// goroutines run is the scheduler's own, so a seed makes a failure likely to come
// again, not certain; under wasip1 it is certain:
//
//	go run ./tests/replay -lab Lab/3B/Backup -seed 17
//
// A Raft of one's own needs an adapter and a test that calls RunLab; package naive
// is an example and docs/lab.md the page for students and teachers.
//
// What the labs call the index of a command is its number here: the sentinels
// that leaders append have an index and no number.
package tests
