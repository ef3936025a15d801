// Package labrpc is a simulated network for tests. Endpoints have names and call
// each other's methods; the network loses, delays, reorders, duplicates and
// holds what they send, as told. It knows nothing of what it carries.
//
// Time is package time, so in a testing/synctest bubble a run of minutes takes
// milliseconds. Two rules keep bubbles honest: every message takes some time (a
// network without latency lets two goroutines talk for ever at one instant), and
// no lock is held while a handler, a callback or a timer runs.
//
// Arguments and replies are really encoded: nothing is shared between the two
// ends, and bytes can be counted.
//
// The life of a call:
//
//	Call -> lost? -> held? -> latency -> handler -> lost? -> held? -> latency -> done
//
// At each arrival the network looks at cuts and connections again, so what is on
// its way when a link is cut is lost with it. Whatever happens, done is called
// once: with the reply, or with an error, at the deadline at the latest.
package labrpc
