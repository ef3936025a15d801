package rpc

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"lockstep.example/raft"
)

func TestTurnsWaitForAllEarlierOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ts turns
		first, second, third, fourth := ts.take(), ts.take(), ts.take(), ts.take()
		var mu sync.Mutex
		var order []string
		wait := func(name string, tn *turn) {
			go func() {
				ok := tn.Wait()
				mu.Lock()
				defer mu.Unlock()
				if !ok {
					name = "no " + name
				}
				order = append(order, name)
			}()
			synctest.Wait()
		}
		expect := func(want ...string) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(order, want) {
				t.Fatalf("order is %v, want %v", order, want)
			}
		}
		wait("third", third)
		wait("first", first)
		expect("first")
		second.End() // before its time, without waiting
		second.End()
		expect("first")
		first.End()
		expect("first", "third")
		wait("second", second) // has ended, and its time has come
		expect("first", "third", "second")
		wait("fourth", fourth)
		ts.close()
		expect("first", "third", "second", "no fourth")
		third.End()
		wait("late", ts.take())
		expect("first", "third", "second", "no fourth", "no late")
	})
}

func TestAppendEntriesKeepTheirOrder(t *testing.T) {
	const requests = 300
	a, b := listen(t, "a", nil), listen(t, "b", nil)
	var mu sync.Mutex
	var order []uint64
	b.Attach(&stubHandler{append: func(args *raft.AppendEntriesArgs, turn raft.Turn) (*raft.AppendEntriesReply, error) {
		for range rand.N(20) {
			runtime.Gosched()
		}
		if args.PrevLogIndex%7 == 3 {
			return nil, errors.New("refused before its turn") // the service must end it
		}
		if !turn.Wait() {
			t.Error("the connection closed")
		}
		mu.Lock()
		order = append(order, args.PrevLogIndex)
		mu.Unlock()
		if args.PrevLogIndex%7 != 4 { // else the service must end it
			turn.End()
		}
		return &raft.AppendEntriesReply{}, nil
	}})
	p := a.Connect("b", b.Addr().String())
	if _, err := vote(t, p, "a", "b", soon()); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range uint64(requests) {
		wg.Add(1)
		p.AppendEntries(&raft.AppendEntriesArgs{Header: header("a", "b"), PrevLogIndex: i}, soon(), func(_ *raft.AppendEntriesReply, err error) {
			if (err != nil) != (i%7 == 3) {
				t.Errorf("request %d: %v", i, err)
			}
			wg.Done()
		})
	}
	wg.Wait()
	if want := requests - (requests+3)/7; len(order) != want || !slices.IsSorted(order) {
		t.Errorf("%d of %d requests ran, in order %v", len(order), want, order)
	}
}

func TestAPanicEndsItsTurn(t *testing.T) {
	s := listen(t, "b", nil)
	s.Attach(&stubHandler{append: func(*raft.AppendEntriesArgs, raft.Turn) (*raft.AppendEntriesReply, error) { panic("boom") }})
	c := newConn(reading(nil), greeting{sender: "a"}, s.limits, 0)
	service := &raftService{s: s, c: c, turns: map[*raft.AppendEntriesArgs]*turn{}}
	args := &raft.AppendEntriesArgs{Header: header("a", "b")}
	service.stamp(args)
	next := c.order.take()
	func() {
		defer func() { recover() }()
		service.AppendEntries(args, new(raft.AppendEntriesReply))
	}()
	if !next.Wait() { // hangs if the turn has not ended
		t.Error("the connection closed")
	}
}
