package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"lockstep.example/raft"
	"lockstep.example/raft/cmd/lockstep/internal/local"
	"lockstep.example/raft/cmd/lockstep/internal/node"
	"lockstep.example/raft/rpc"
)

func (a *app) statusCommand() *cobra.Command {
	var t target
	c := &cobra.Command{
		Use:   "status",
		Short: "Show what each server is doing",
		Long: `Show what each server says of itself, and which servers do not answer. LAG is how
many committed entries a server has yet to apply. HASH is of its state after the
entry behind the "@": servers that show the same entry must show the same hash.

Exit code 6: no server leads, so writes and reads wait. Exit code 1: two servers
are at the same entry with different states.`,
		Example: `  lockstep status
  lockstep status --json`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			members, err := t.find(a.env)
			if err != nil {
				return a.report(&t, err)
			}
			client := rpc.NewClient(rpc.ClientConfig{})
			defer client.Close()
			statuses := node.Statuses(c.Context(), client, local.Addresses(members), t.timeout)
			for i, m := range members {
				if statuses[i].Err != nil {
					statuses[i].ID = string(m.ID)
				}
			}
			verdict := judge(statuses)
			if t.json {
				object := statusJSON(statuses)
				if verdict != nil {
					object["error"], object["exit"] = verdict.Error(), exitCode(verdict)
				}
				err = printJSON(a.out, object)
			} else {
				err = printTable(a.out, statusRows(statuses), 3, 4, 5, 6, 7)
			}
			if err != nil {
				return err
			}
			return verdict
		},
	}
	t.flags(c, 2*time.Second)
	return c
}

// judge says what is wrong with a cluster as a whole.
func judge(statuses []node.Status) error {
	states := map[uint64]node.Status{}
	answers := 0
	for _, s := range statuses {
		if s.Err != nil {
			continue
		}
		answers++
		if other, ok := states[s.HashIndex]; ok && other.Hash != s.Hash {
			return fmt.Errorf("%s and %s differ in their state after entry %d; stop the cluster, keep all directories and report this", other.ID, s.ID, s.HashIndex)
		}
		states[s.HashIndex] = s
	}
	if leader, ok := node.Leader(statuses); !ok {
		return coded(exitUnavailable, "no server leads: %d of %d answer; start the others, or wait for an election", answers, len(statuses))
	} else if !leader.Ready {
		return coded(exitUnavailable, "%s leads without a quorum: %d of %d answer; start the others", leader.ID, answers, len(statuses))
	}
	return nil
}

// committed returns the highest commit index that any server knows.
func committed(statuses []node.Status) (index uint64) {
	for _, s := range statuses {
		index = max(index, s.CommitIndex)
	}
	return index
}

func statusRows(statuses []node.Status) [][]string {
	rows := [][]string{{"SERVER", "ADDRESS", "ROLE", "TERM", "COMMIT", "APPLIED", "LAG", "KEYS", "HASH", "WHY"}}
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	highest := committed(statuses)
	for _, s := range statuses {
		if s.Err != nil {
			rows = append(rows, []string{cmp.Or(s.ID, "?"), s.Address, "-", "-", "-", "-", "-", "-", "-", "no answer: " + silence(s.Err)})
			continue
		}
		rows = append(rows, []string{
			s.ID, s.Address, s.Role, number(s.Term), number(s.CommitIndex), number(s.LastApplied), number(highest - min(highest, s.LastApplied)),
			number(s.Keys), stateHash(s), s.Why,
		})
	}
	return rows
}

// silence says why a server does not answer, without what was asked of whom.
func silence(err error) string {
	var call *rpc.CallError
	if errors.As(err, &call) {
		err = call.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "none within the timeout"
	}
	return err.Error()
}

func stateHash(s node.Status) string { return fmt.Sprintf("%016x@%d", s.Hash, s.HashIndex) }

func statusJSON(statuses []node.Status) fields {
	highest := committed(statuses)
	list := []fields{}
	for _, s := range statuses {
		if s.Err != nil {
			list = append(list, fields{"id": s.ID, "address": s.Address, "answers": false, "error": silence(s.Err)})
			continue
		}
		server := fields{
			"id": s.ID, "address": s.Address, "answers": true, "role": s.Role, "term": s.Term, "leader": s.Leader,
			"commit_index": s.CommitIndex, "last_applied": s.LastApplied, "last_log_index": s.LastLogIndex, "lag": highest - min(highest, s.LastApplied),
			"why": s.Why, "live": s.Live, "ready": s.Ready, "revision": s.Revision, "keys": s.Keys, "sessions": s.Sessions, "in_flight": s.InFlight,
			"hash": fmt.Sprintf("%016x", s.Hash), "hash_index": s.HashIndex,
		}
		if s.Role == raft.Leader.String() {
			followers := []fields{}
			for _, f := range s.Followers {
				followers = append(followers, fields{"id": f.ID, "state": f.State, "match_index": f.MatchIndex, "lag": f.Lag, "last_error": f.LastError})
			}
			server["followers"] = followers
		}
		list = append(list, server)
	}
	object := fields{"servers": list}
	if leader, ok := node.Leader(statuses); ok {
		object["leader"], object["term"] = leader.ID, leader.Term
	}
	return object
}
