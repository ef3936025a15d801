package main

import (
	"cmp"
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
				return err
			}
			client := rpc.NewClient(rpc.ClientConfig{})
			defer client.Close()
			statuses := node.Statuses(c.Context(), client, local.Addresses(members), t.timeout)
			if c.Context().Err() != nil {
				return interrupted(c.Context().Err())
			}
			for i, m := range members {
				if statuses[i].Err != nil {
					statuses[i].ID = string(m.ID)
				}
			}
			note, verdict := judge(statuses)
			if t.json {
				object := statusJSON(statuses)
				if note != "" {
					object["note"] = note
				}
				if verdict != nil {
					object["error"], object["exit"], object["outcome"] = verdict.Error(), exitCode(verdict), "none"
					verdict = &toldError{verdict}
				}
				err = printJSON(a.out, object)
			} else {
				err = printTable(a.out, statusRows(statuses), 3, 4, 5, 6, 7)
			}
			if err != nil {
				return err
			}
			if note != "" {
				fmt.Fprintln(a.err, note)
			}
			return verdict
		},
	}
	t.flags(c, 2*time.Second)
	return c
}

// judge says what is wrong with a cluster as a whole, or what is to be noted
// though nothing is.
func judge(statuses []node.Status) (note string, err error) {
	states := map[uint64]node.Status{}
	answers, elsewhere := 0, node.Status{}
	asked := map[string]bool{}
	for _, s := range statuses {
		asked[s.ID] = true
		if s.Err != nil {
			continue
		}
		answers++
		if other, ok := states[s.HashIndex]; ok && other.Hash != s.Hash {
			return "", fmt.Errorf("%s and %s differ in their state after entry %d; stop the cluster, keep all directories and report this", other.ID, s.ID, s.HashIndex)
		}
		states[s.HashIndex] = s
		if s.Ready && s.Leader != "" && s.Term >= elsewhere.Term {
			elsewhere = s
		}
	}
	leader, ok := node.Leader(statuses)
	switch {
	case answers == 0:
		return "", coded(exitUnavailable, "no server answers (%d asked); is the cluster up?", len(statuses))
	case ok && leader.Ready:
		return "", nil
	case elsewhere.Leader != "" && !asked[elsewhere.Leader]:
		return elsewhere.Leader + " leads; it is not among the servers asked", nil
	case ok:
		return "", coded(exitUnavailable, "%s leads without a quorum: %d of %d answer; start the others", leader.ID, answers, len(statuses))
	}
	return "", coded(exitUnavailable, "no server leads: %d of %d answer; start the others, or wait for an election", answers, len(statuses))
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
