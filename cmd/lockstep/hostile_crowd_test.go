//go:build unix

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep.example/raft/cmd/lockstep/internal/node"
)

const (
	crowdSize = 1000
	// What package rpc promises: so many strangers are held, for so long.
	mostStrangers    = 128
	handshakeTimeout = 5 * time.Second
	// memorySlack is how much more memory a server may hold afterwards than one
	// that met no crowd, in bytes.
	memorySlack = 4 << 20
)

// crowd opens many connections that say nothing to each victim, all at once. Few
// are held, and none longer than the handshake may take; then the server has as
// many sockets as before, and about as much memory: how that grows without a
// crowd is seen on the bystander, which does the same work.
func (b *siege) crowd(t *testing.T, victims []*victim, bystander node.Status) {
	t.Helper()
	quietBefore := b.usage(t, bystander)
	before := make([]holding, len(victims))
	var group sync.WaitGroup
	for i, v := range victims {
		before[i] = b.usage(t, v.Status)
		group.Go(func() { v.beCrowded(t) })
	}
	group.Wait()
	for i, v := range victims {
		var now, quiet holding
		eventually(t, patience, fmt.Sprintf("the %s has its sockets and memory back", v.Role), func() bool {
			now, quiet = b.usage(t, v.Status), b.usage(t, bystander)
			grown := now.memory - before[i].memory - max(0, quiet.memory-quietBefore.memory)
			return now.sockets <= before[i].sockets && grown <= memorySlack
		})
		t.Logf("the %s: before %+v, after %+v; the bystander: before %+v, after %+v", v.Role, before[i], now, quietBefore, quiet)
	}
}

// beCrowded opens the connections to one victim and waits for the end of all.
func (v *victim) beCrowded(t *testing.T) {
	type end struct {
		address string
		after   time.Duration
	}
	ends := make(chan end, crowdSize)
	var group sync.WaitGroup
	defer group.Wait()
	for range crowdSize {
		nc, err := net.Dial("tcp", v.Address)
		if err != nil {
			t.Error(err)
			return
		}
		began := time.Now()
		group.Go(func() {
			defer nc.Close()
			nc.SetDeadline(began.Add(10 * handshakeTimeout))
			if _, err := io.ReadAll(nc); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("a connection that says nothing is open after %v", time.Since(began))
			}
			ends <- end{nc.LocalAddr().String(), time.Since(began)}
		})
	}
	held := 0
	for range crowdSize {
		e := <-ends
		a := attack{name: "pushed out", kind: "rpc: too many strangers", reason: "too many connections"}
		if e.after > handshakeTimeout/2 {
			a = attack{name: "silent", kind: "rpc: connection failed", reason: "i/o timeout"}
			held++
		}
		v.strangers = append(v.strangers, stranger{e.address, a})
	}
	if held == 0 || held > mostStrangers {
		t.Errorf("the %s held %d silent connections, the limit is %d", v.Role, held, mostStrangers)
	}
}

// holding is what a process holds; zero where there is no /proc to tell. Of its
// descriptors only the sockets: the log may open a segment at any time.
type holding struct{ memory, sockets int }

func (b *siege) usage(t *testing.T, s node.Status) (u holding) {
	t.Helper()
	proc := fmt.Sprintf("/proc/%d/", b.pid(s.ID))
	if _, err := os.Stat("/proc/self/statm"); err != nil {
		t.Log("memory and sockets are not measured: this system has no /proc")
		return u
	}
	var size, resident int
	data, err := os.ReadFile(proc + "statm")
	if err == nil {
		_, err = fmt.Sscan(string(data), &size, &resident) // in pages
	}
	files, err2 := os.ReadDir(proc + "fd")
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		// One that closes meanwhile is none.
		if target, err := os.Readlink(proc + "fd/" + f.Name()); err == nil && strings.HasPrefix(target, "socket:") {
			u.sockets++
		}
	}
	u.memory = resident * os.Getpagesize()
	return u
}
