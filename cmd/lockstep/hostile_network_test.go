//go:build unix

package main

import (
	"bytes"
	"errors"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep.example/raft/cmd/lockstep/internal/node"
)

// volley is how often each attack is repeated.
const volley = 3

// TestHostileNetwork attacks the ports of a leader and of a follower while a
// client writes. Whatever strangers say, they are told why not or cut off, the
// log says so in few lines, and the cluster does not notice: same term, same
// leader, writes go on, nothing is lost and all servers end in the same state.
func TestHostileNetwork(t *testing.T) {
	b := besiege(t)
	leader, followers := b.roles(t)
	victims := []*victim{{Status: leader}, {Status: followers[0]}}
	for i, v := range victims {
		v.began = time.Now()
		list := attacks(t, b.clusterID(t), v.Status)
		if i == 1 {
			slices.Reverse(list) // so that other attacks are the first of their kind
		}
		for _, a := range list {
			t.Run(v.Role+"/"+a.name, func(t *testing.T) {
				b.unmoved(t, func() {
					for range volley {
						v.suffer(t, a)
					}
				})
			})
		}
	}
	t.Run("a crowd that says nothing", func(t *testing.T) {
		b.unmoved(t, func() { b.crowd(t, victims, followers[1]) })
	})
	b.verify(t)
	for _, v := range victims {
		v.checkLog(t, func() string { return b.log(t, v.ID) })
	}
	for _, m := range b.cluster.Members {
		if log := b.log(t, string(m.ID)); strings.Contains(log, "panic") || strings.Contains(log, "level=ERROR") {
			t.Errorf("the log of %s:\n%s", m.ID, log)
		}
	}
}

// victim is a server under attack.
type victim struct {
	node.Status
	began     time.Time
	strangers []stranger
}

// stranger is a connection that did what attack says.
type stranger struct {
	address string
	attack
}

// suffer has a stranger connect, say its piece, and wait for what it is told and,
// unless its connection may stay, for the end.
func (v *victim) suffer(t *testing.T, a attack) {
	t.Helper()
	nc, err := net.Dial("tcp", v.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	v.strangers = append(v.strangers, stranger{nc.LocalAddr().String(), a})
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	_, _ = nc.Write(a.say) // it may be cut off in the middle
	var answer []byte
	told := func() bool { return bytes.Contains(answer, []byte(a.told)) }
	for buffer := make([]byte, 4<<10); !a.stays || !told(); {
		n, err := nc.Read(buffer)
		answer = append(answer, buffer[:n]...)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("the connection is still open after %v; it was told %q, want %q", patience, answer, a.told)
		}
		if err != nil {
			break
		}
	}
	if !told() {
		t.Errorf("it was told %q, want %q", answer, a.told)
	}
}

// complaintInterval is the least time between two lines of a kind.
const complaintInterval = 10 * time.Second

var (
	complaint = regexp.MustCompile(`level=WARN msg=("[^"]*") remote=(\S+) `)
	warning   = regexp.MustCompile(`level=(WARN|ERROR)`)
)

// checkLog wants of each attack at least one line that says who and why, or one
// of the same kind; of each kind few lines; and no other complaints.
func (v *victim) checkLog(t *testing.T, read func() string) {
	checked := map[string]bool{}
	for _, s := range v.strangers {
		if checked[s.name] {
			continue
		}
		checked[s.name] = true
		t.Run(v.Role+"/log of "+s.name, func(t *testing.T) {
			eventually(t, time.Second, "a line in the log that tells of it", func() bool {
				for line := range strings.Lines(read()) {
					for _, other := range v.culprits(line) {
						if other.name == s.name || other.kind == s.kind && s.kind != "" {
							return true
						}
					}
				}
				return false
			})
		})
	}
	most := 1 + int(time.Since(v.began)/complaintInterval)
	kinds := map[string]int{}
	for line := range strings.Lines(read()) {
		if !warning.MatchString(line) {
			continue
		}
		if len(v.culprits(line)) == 0 {
			t.Errorf("the %s logged what no stranger did: %s", v.Role, line)
		}
		if m := complaint.FindStringSubmatch(line); m != nil {
			kinds[m[1]]++
		}
	}
	for kind, lines := range kinds {
		if lines > most {
			t.Errorf("the %s logged %d lines of %s, at most %d are in order", v.Role, lines, kind, most)
		}
	}
}

// culprits returns the strangers a line is about: it has the address, the kind
// and the reason of each. An address may have served several.
func (v *victim) culprits(line string) (list []stranger) {
	m := complaint.FindStringSubmatch(line)
	if m == nil {
		return nil
	}
	for _, s := range v.strangers {
		if s.address == m[2] && (s.kind == "" || `"`+s.kind+`"` == m[1]) && strings.Contains(line, s.reason) {
			list = append(list, s)
		}
	}
	return list
}
