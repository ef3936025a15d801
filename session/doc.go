// Package session makes the commands of a state machine happen exactly once.
//
// A client that does not hear the outcome of a command must send it again, and
// then the log may hold it twice. A session is how the state machine knows: the
// client opens one, numbers its commands, and the table of sessions, which every
// server keeps in the same state because it depends on the log alone, remembers
// what each number led to (thesis §6.3).
//
// The nouns:
//
//   - An Envelope surrounds every command in the log: format version, kind, the
//     leader's time, client, sequence number, the client's floor.
//   - A client id is the index of the log entry that opened the session.
//   - The floor of a client is the highest sequence number up to which the client
//     has finished with every command. Results at or below it are forgotten.
//   - The window is how far above its floor a client may number commands, so
//     many may be under way at once, in any order, with gaps.
//   - An answer is what the table makes of an entry: a status and, if the command
//     was executed (now or when its number first came), its result.
//
// What happens to a command:
//
//	the client is not in the table         not executed   ErrUnknownSession   it may have been executed earlier
//	seq <= floor                           not executed   ErrGone             the same
//	seq > floor + window                   not executed   ErrAhead            never executed under this number
//	seq was executed, result is kept       not executed   the kept result
//	seq was executed, result was too long  not executed   ErrGone             it was executed earlier
//	else                                   executed       its result
//	an envelope of an unknown version      not executed   ErrUnsupported
//	an envelope that makes no sense        not executed   ErrMalformed
//
// Sessions are bounded in number and together in bytes. The session that the log
// used least recently goes first: an order that is the same on every server and
// needs no clock.
//
// Time enters the log as what the leader says has passed since it took office,
// and is added up by the rule in clock.go, so that no clock can make anything
// expire at once. Nothing expires by it yet; the field is there because formats
// are dear to change.
//
// Nothing here is safe for concurrent use; whoever owns the state machine has a
// lock for it.
package session
