// Package script runs stories of a few lines against a cluster of real servers,
// and compares everything the servers say and do with what the file says they
// must. The files are tests/testdata/*.txt: one for each rule of the Raft paper
// and thesis that the core implements; tests/testdata/README.md shows every
// command by example and lists the rules. The form is after the scripts of etcd's
// raft.
//
// A file is a sequence of blocks. Comments (#) come before a block; then commands,
// one a line; then "----", the transcript of the block, and a blank line:
//
//	# A follower that hears nothing asks for votes.
//	timeout 1
//	----
//	1 becomes pre-candidate in term 1
//	1->2 prevote term 2 log 1/1
//	1->3 prevote term 2 log 1/1
//
// A transcript depends on the script alone, although goroutines run in any order:
// every link and every disk has a delay of its own, so that no two things that
// could influence one another happen at one instant of virtual time; what does
// happen at one instant is sorted; and each server's election deadline is drawn
// so that the next server the script names comes first.
//
// The runner sees servers from outside: messages through the network of package
// labrpc, which it can hold, lose and forge; state through tests.Inspector. An
// Adapter says how to start a server and how to read its messages.
package script
