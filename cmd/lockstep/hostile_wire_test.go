//go:build unix

package main

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"hash/crc32"
	"net"
	"net/rpc"
	"testing"

	"lockstep.example/raft"
	"lockstep.example/raft/cmd/lockstep/internal/node"
	"lockstep.example/raft/internal/msgpack"
)

// attack is what a stranger says to a server, and what should come of it.
type attack struct {
	name string
	say  []byte
	told string // is in the answer, word for word; empty: nothing needs to be
	// stays: the connection is in order and stays open; what was said on it was
	// refused by the answer.
	stays bool
	// The server logs a line with the stranger's address and the reason. Lines of
	// one kind are limited, so one of another stranger will do; an empty kind
	// demands a line of its own.
	kind, reason string
}

// attacks are told to the server that target describes.
func attacks(t *testing.T, cluster string, target node.Status) []attack {
	const protocol, malformed = "rpc: not this protocol", "rpc: malformed frame"
	id := target.ID
	// A length of 4 GiB less one, and more bytes than any buffer of the reader.
	huge := append([]byte{0xff, 0xff, 0xff, 0xff}, make([]byte, 100<<10)...)
	// A length of 7, and no such checksum.
	garbage := bytes.Repeat([]byte{7, 0, 0, 0, 0xa5, 3, 0x5a, 0xc0}, 1000)
	asClient := greeting(clientClass, "", "", "")
	after := func(hello []byte, more ...byte) []byte { return append(bytes.Clone(hello), more...) }
	ask := func(from string) []byte {
		return request(t, "Raft.RequestVote", &raft.RequestVoteArgs{
			Header:  raft.Header{From: raft.ServerID(from), To: raft.ServerID(id), FromIncarnation: 1, ToIncarnation: 1, Term: target.Term + 1000},
			PreVote: true, LastLogIndex: 1 << 40, LastLogTerm: target.Term,
		})
	}
	refusal := encoded(t, &raft.RequestVoteReply{Term: target.Term, Refusal: raft.RefusedHasLeader})

	return []attack{
		{name: "garbage", say: bytes.Repeat([]byte{0xa5, 3, 0}, 1000), kind: protocol, reason: "a connection begins with"},
		{name: "an HTTP request", say: []byte("GET /metrics HTTP/1.1\r\nHost: n1\r\n\r\n"), kind: protocol, reason: "GET "},
		{name: "a TLS hello", say: tlsHello(t), kind: protocol, reason: "a connection begins with"},
		{name: "a header of 4 GiB", say: huge, kind: protocol, reason: "a connection begins with"},
		{name: "a client's frame of 4 GiB", say: after(asClient, huge...), told: cluster,
			kind: malformed, reason: "a frame claims 4294967295 bytes, the limit is 8388608"},
		{name: "a client's garbage", say: after(asClient, garbage...), told: cluster, kind: malformed, reason: "the checksum of a frame of 7 bytes is"},
		{name: "a peer of another cluster", say: greeting(controlClass, "other", "n9", id), told: `this is cluster "` + cluster + `", not "other"`,
			kind: "rpc: wrong cluster", reason: "connection refused: wrong cluster"},
		{name: "a peer that means another server", say: greeting(controlClass, cluster, "n9", "n8"), told: `this is server "` + id + `", not "n8"`,
			kind: "rpc: wrong receiver", reason: "its address is out of date"},
		{name: "a client that calls Raft", say: after(asClient, ask("n9")...), told: "can't find service Raft.RequestVote", stays: true,
			reason: "Raft.RequestVote"},
		// Who may vote for whom is the candidate's business, so a server that the
		// configuration does not have is answered; but a leader is in touch, so it
		// gets nothing, whatever term and log it claims.
		{name: "an unknown peer", say: after(greeting(controlClass, cluster, "n9", id), ask("n9")...), told: refusal, stays: true, reason: "n9"},
	}
}

// A greeting, as package rpc draws it: the size of what comes before its strings,
// and what a connection is for.
const (
	greetingFixed = 60
	controlClass  = 1
	clientClass   = 4
)

// greeting makes what a connection says first.
func greeting(class byte, cluster, sender, receiver string) []byte {
	b := make([]byte, greetingFixed)
	copy(b, "LSTP")
	b[6], b[8] = 1, 1 // the lowest and the highest version
	b[18] = class
	b[28], b[36], b[44] = 1, 1, 1 // incarnation, boot counter, boot id
	for _, s := range []string{cluster, sender, receiver, "directory", ""} {
		b = append(append(b, byte(len(s))), s...)
	}
	binary.LittleEndian.PutUint16(b[4:], uint16(len(b)-6))
	return b
}

// request makes the frame of one call.
func request(t *testing.T, method string, args any) []byte {
	payload := encoded(t, &rpc.Request{ServiceMethod: method, Seq: 1}) + encoded(t, args)
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(payload)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum([]byte(payload), crc32.MakeTable(crc32.Castagnoli)))
	return append(b, payload...)
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	b, err := msgpack.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// tlsHello returns what a TLS client says first.
func tlsHello(t *testing.T) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = tls.Client(theirs, &tls.Config{ServerName: "n1"}).Handshake() // fails: nobody answers
	}()
	hello := make([]byte, 16<<10)
	n, err := ours.Read(hello)
	ours.Close()
	<-ended
	if err != nil {
		t.Fatal(err)
	}
	return hello[:n]
}
