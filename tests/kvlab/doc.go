// Package kvlab has the scenarios of the course labs of MIT 6.5840 that sit on top
// of Raft or need none: a replicated state machine (4A), a key-value store on it
// (4B), a key-value server alone (kvsrv) and a lock built on such a store (lock).
//
// Whoever does the labs plugs in what they wrote through the interfaces of
// adapters.go, and calls RunLab from a test:
//
//	func TestLab(t *testing.T) {
//		kvlab.RunLab(t, kvlab.System{KV: &kvlab.KV{Server: startServer, Clerk: newClerk}})
//	}
//
// Parts that are not plugged in are left out. lockstep.go plugs in this module's
// own store.
//
// The servers run in the harness of package tests: in virtual time, on a simulated
// network, under its monitors. What clients ask and are told is recorded, and
// package history judges it at the end: values and versions, with unknown outcomes
// left open, and a search without a result is a failure.
//
// The labs' sizes run always; with -short nothing else does, without it 3, 5 and 7
// servers wherever that makes sense.
package kvlab
