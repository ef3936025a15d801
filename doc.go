// Package raft is a Raft library in the thread-and-lock style.
//
// One mutex-guarded Raft struct is driven by a versioned election-timer daemon
// that launches cancellable prevote-then-vote campaigns, alongside a log-sync
// daemon and a leader-authority verifier that serves linearizable reads without
// writing to the log. The papers behind it are Ongaro and Ousterhout, "In Search
// of an Understandable Consensus Algorithm" (called the paper) and Ongaro's
// thesis, "Consensus: Bridging Theory and Practice".
//
// # The nouns
//
// A [Raft] is one server. It keeps its promises in a [Persister], talks to the
// others through a [Transport], and gives committed commands to a
// [StateMachine]. Package wal is a Persister on disk, package rpc a Transport
// over TCP, package kv a state machine with servers and clients, and
// cmd/lockstep wires them into a program. [Bootstrap] makes a cluster, once;
// [New] starts a server of it; [Raft.Propose] writes, [Raft.ReadIndex] makes a
// read linearizable.
//
// # The daemons
//
// All run in one guard (guard.go), which counts them and stops the server if one
// panics.
//
//	election timer     election.go           starts and cancels campaigns
//	campaign           election.go           pre-vote round, then vote round
//	intake and flush   persister.go          appends proposals, group commit
//	sync log           sync_log.go           one for each follower of a leader
//	authority          verify_authority.go   rounds, reads, check-quorum
//	apply              apply.go              committed commands to the state machine
//	disk watch         disk_watch.go         notices a flush that does not return
//
// # The lock order
//
// Locks are taken downwards only, and calls upwards (Apply, Logger) hold none; events
// go to observers by a send that never blocks:
//
//	1  the application's own, such as the store's in package kv
//	2  Raft.mu
//	3  leaves, never two at once: election timer, inbox, joining reads, stages of
//	   the Persister, guard, observers, wake.Batch
//
// Nothing waits, for network, disk, timer or channel, while it holds Raft.mu.
//
// # Outcomes and errors
//
// A proposal is committed (nil error), rejected (it had no effect and never will)
// or unknown (it may take effect later, or never). Every error of a call that
// proposes, reads or configures is, by errors.Is, one of these (Stop returns the
// error of its ctx, New also the Persister's own, a Handler any error: then no
// answer is given):
//
//	ErrNotLeader       rejected   ask the leader that NotLeaderError names
//	ErrOverloaded      rejected   a byte budget is used up; again after a pause
//	ErrTooLarge        rejected   the command is above MaxCommandBytes
//	ErrStopped         rejected   the server has stopped
//	ErrRejected        rejected   an entry of another term took its index
//	ErrUnknown         unknown    the wait ended first; has index and term
//	ErrNoAuthority     read       ctx ended before the read was safe; again
//	ErrMalformed       input      a message, entry or store that cannot be right
//	ErrConfig          caller     a Config or Configuration that cannot work
//	ErrNotBootstrapped caller     New on an empty store
//	ErrBootstrapped    caller     Bootstrap of a store in use
//	ErrStorage         stop       the Persister failed; see Raft.Err
//	ErrInvariant       stop       a guard or check found a breach; see Raft.Err
//	ErrPanic           stop       a panic was caught; see Raft.Err
//
// Start reading in raft.go; docs/reading.md is the tour.
package raft
