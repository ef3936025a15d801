package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep.example/raft/cmd/lockstep/internal/local"
	"lockstep.example/raft/cmd/lockstep/internal/node"
	"lockstep.example/raft/kv"
)

func TestJudgeACluster(t *testing.T) {
	leader := node.Status{StatusReply: kv.StatusReply{ID: "n1", Role: "leader", Term: 3, Ready: true, HashIndex: 9, Hash: 1}}
	follower := node.Status{StatusReply: kv.StatusReply{ID: "n2", Role: "follower", Term: 3, Ready: true, HashIndex: 9, Hash: 1}}
	silent := node.Status{Address: "h:1", Err: errors.New("no answer")}
	alone, behind, different := leader, follower, follower
	alone.Ready = false
	behind.HashIndex, behind.Hash = 8, 2
	different.Hash = 2
	knows := follower
	knows.Leader = "n1"
	if note, err := judge([]node.Status{knows}); err != nil || note != "n1 leads; it is not among the servers asked" {
		t.Errorf("a follower alone: %q, %v", note, err)
	}
	for _, test := range []struct {
		name     string
		statuses []node.Status
		want     int
		words    string
	}{
		{"whole", []node.Status{leader, follower}, exitOK, ""},
		{"one behind", []node.Status{leader, behind}, exitOK, ""},
		{"one silent", []node.Status{leader, silent, follower}, exitOK, ""},
		{"no leader", []node.Status{follower, silent}, exitUnavailable, "no server leads: 1 of 2 answer"},
		{"none answers", []node.Status{silent}, exitUnavailable, "no server answers"},
		{"the named leader is silent", []node.Status{knows, {StatusReply: kv.StatusReply{ID: "n1"}, Err: silent.Err}}, exitUnavailable, "no server leads"},
		{"no quorum", []node.Status{alone, silent}, exitUnavailable, "n1 leads without a quorum"},
		{"states differ", []node.Status{leader, different}, exitFailed, "n1 and n2 differ in their state after entry 9"},
	} {
		_, err := judge(test.statuses)
		if exitCode(err) != test.want || !strings.Contains(fmt.Sprint(err), test.words) {
			t.Errorf("%s: exit code %d, %v; want %d, %q", test.name, exitCode(err), err, test.want, test.words)
		}
	}
}

func TestStatusRowsShowLagAndSilence(t *testing.T) {
	statuses := []node.Status{
		{Address: "h:1", StatusReply: kv.StatusReply{ID: "n1", Role: "leader", CommitIndex: 9, LastApplied: 9, Hash: 0xab, HashIndex: 7}},
		{Address: "h:2", StatusReply: kv.StatusReply{ID: "n2", Role: "follower", CommitIndex: 4, LastApplied: 3}},
		{Address: "h:3", Err: errors.New("gone")},
	}
	rows := statusRows(statuses)
	for _, test := range []struct {
		row, cell int
		want      string
	}{
		{1, 6, "0"}, {1, 8, "00000000000000ab@7"}, {2, 6, "6"}, {3, 0, "?"}, {3, 9, "no answer: gone"},
	} {
		if got := rows[test.row][test.cell]; got != test.want {
			t.Errorf("row %d shows %q under %s, want %q", test.row, got, rows[0][test.cell], test.want)
		}
	}
}

// TestFind takes the ways to find a cluster away, one after the other.
func TestFind(t *testing.T) {
	write := func(dir, address string) {
		content := fmt.Sprintf(`{"format": 1, "bootstrapped": true, "servers": [{"id": "n1", "address": %q}]}`, address)
		if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "cluster.json"), []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(t.TempDir())
	write("given", "given:1")
	write(defaultDir, "default:1")
	env := map[string]string{serversEnv: "env:1, env:2"}
	find := func(target target) string {
		target.timeout = time.Second
		members, err := target.find(func(name string) string { return env[name] })
		if err != nil {
			return err.Error()
		}
		return strings.Join(local.Addresses(members), " ")
	}
	for _, step := range []struct{ got, want string }{
		{find(target{cluster: "given"}), "given:1"},
		{find(target{servers: []string{"flag:1", "flag:2"}}), "flag:1 flag:2"},
		{find(target{}), "env:1 env:2"},
	} {
		if step.got != step.want {
			t.Errorf("found %q, want %q", step.got, step.want)
		}
	}
	delete(env, serversEnv)
	if got := find(target{}); got != "default:1" {
		t.Errorf("without %s found %q", serversEnv, got)
	}
}
