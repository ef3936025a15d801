// Package local runs a cluster of real server processes on this machine: what
// "lockstep up" supervises, and what the tests and the failover benchmark kill.
//
// A directory holds one such cluster for good:
//
//	cluster.json   name, and ID and address of each server; written all or nothing
//	up.lock        held by whoever runs the cluster; the pid is in it
//	n1/ n2/ n3/    the data directory of each server
//	n1.log ...     what each server wrote to standard error, the end of it
//
// Every server is a process of its own, started with the program's "serve"
// command. None outlives the process that runs the cluster, however that ends.
package local
