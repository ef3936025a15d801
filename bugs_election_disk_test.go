package raft_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"lockstep.example/raft"
	"lockstep.example/raft/vfs"
	"lockstep.example/raft/wal"
)

// nowhere is a transport that reaches nobody: the test plays the others.
type nowhere struct{}

func (nowhere) Attach(raft.Handler)                         {}
func (nowhere) Connect(_ raft.ServerID, _ string) raft.Peer { return nowhere{} }

var errNowhere = errors.New("there is no network")

func (nowhere) RequestVote(_ *raft.RequestVoteArgs, _ time.Time, done func(*raft.RequestVoteReply, error)) {
	go done(nil, errNowhere)
}

func (nowhere) AppendEntries(_ *raft.AppendEntriesArgs, _ time.Time, done func(*raft.AppendEntriesReply, error)) {
	go done(nil, errNowhere)
}

func (nowhere) ReadIndex(_ *raft.ReadIndexArgs, _ time.Time, done func(*raft.ReadIndexReply, error)) {
	go done(nil, errNowhere)
}

// onDisk starts n1 on the log of a file system, which it bootstraps if it is
// empty, for one use.
func onDisk(t *testing.T, disk vfs.FS, use func(*raft.Raft)) {
	t.Helper()
	log, err := wal.Open(disk, "/n1", wal.Options{SegmentBytes: 4 << 10, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	servers := raft.NewConfiguration(map[raft.ServerID]string{"n1": "a:1", "n2": "b:1", "n3": "c:1"})
	if _, err := raft.Bootstrap(log, "test", "n1", servers); err != nil && !errors.Is(err, raft.ErrBootstrapped) {
		t.Fatal(err)
	}
	rf, err := raft.New(raft.Config{
		ID: "n1", Store: log, Transport: nowhere{}, StateMachine: &counter{}, CheckInvariants: true,
		ElectionTimeoutMin: time.Hour, ElectionTimeoutMax: 2 * time.Hour,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	use(rf)
	if err := rf.Stop(context.Background()); err != nil || rf.Err() != nil {
		t.Errorf("stopped with %v, by itself with %v", err, rf.Err())
	}
}

// votes asks n1 for its vote and tells whether it was given.
func votes(rf *raft.Raft, candidate raft.ServerID, term uint64) (bool, error) {
	reply, err := rf.HandleRequestVote(&raft.RequestVoteArgs{
		Header:       raft.Header{From: candidate, FromIncarnation: 1, To: "n1", ToIncarnation: 1, Term: term},
		LastLogIndex: 9, LastLogTerm: term - 1,
	})
	return err == nil && reply.Granted, err
}

// E1 and E3, on the disk format of package wal: power is lost before each
// operation on the disk while n2 gets a vote in term 6, whatever part of the
// unsynced bytes survives, and at the moment the vote is spoken. n3 may get that
// term's vote after the restart only if n2 did not hear of its own.
func TestE3VoteSurvivesAPowerLoss(t *testing.T) {
	type loss struct {
		disk   *vfs.Mem
		spoken bool
	}
	synctest.Test(t, func(t *testing.T) {
		disk := vfs.NewMem()
		var losses []loss
		lose := func(spoken bool) {
			for _, keep := range []func(vfs.Loss) int{
				func(vfs.Loss) int { return 0 },
				func(l vfs.Loss) int { return l.Size },
				func(l vfs.Loss) int { return l.Size / 2 },
			} {
				losses = append(losses, loss{disk.Crash(keep), spoken})
			}
		}
		onDisk(t, disk, func(rf *raft.Raft) {
			if granted, err := votes(rf, "n3", 5); !granted {
				t.Fatalf("no vote for n3 in term 5: %v", err)
			}
			disk.Inject(func(vfs.Op) vfs.Fault { lose(false); return vfs.Fault{} })
			granted, err := votes(rf, "n2", 6)
			disk.Inject(nil)
			if !granted {
				t.Fatalf("no vote for n2 in term 6: %v", err)
			}
			lose(true)
		})
		if len(losses) == 3 {
			t.Error("power was never lost before the vote was spoken")
		}
		for i, l := range losses {
			onDisk(t, l.disk, func(rf *raft.Raft) {
				if again, _ := votes(rf, "n2", 5); again {
					t.Errorf("loss %d: voted for n3 in term 5 and, after the restart, for n2", i)
				}
				if other, _ := votes(rf, "n3", 6); other && l.spoken {
					t.Errorf("loss %d: voted for n2 in term 6 and, after the restart, for n3", i)
				}
			})
		}
	})
}
