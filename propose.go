package raft

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// errCancelled is the caller's context; whoever has the context says more.
var errCancelled = errors.New("cancelled")

// errGone is the cause of an unknown outcome when the server stops. It is not
// ErrStopped, which says for certain that a proposal had no effect.
var errGone = errors.New("the server stopped")

// Ticket says where Start appended a command.
type Ticket struct {
	Index, Term, Number uint64
}

// waiter is one proposal that somebody waits for. It is in exactly one state;
// the step from queued is a compare-and-swap, so a caller that gives up and the
// intake that takes up never both win.
type waiter struct {
	command     []byte
	state       atomic.Uint32
	index, term uint64 // set once, under Raft.mu
	done        chan outcome
}

const (
	waiterQueued    uint32 = iota // in the inbox
	waiterTaken                   // appended at index and term
	waiterWithdrawn               // the caller gave up first: never appended
)

type outcome struct {
	result Result
	err    error
}

// newWaiter takes a waiter from the pool. The pool is the server's own: a channel
// made in one synctest bubble may not be used in another.
func (rf *Raft) newWaiter() *waiter {
	if w, ok := rf.waiters.Get().(*waiter); ok {
		return w
	}
	return &waiter{done: make(chan outcome, 1)}
}

// inbox holds proposals until the intake drains it. Its mutex is a leaf.
type inbox struct {
	mu      sync.Mutex
	waiters []*waiter
	bytes   uint64
}

// put queues a proposal; first tells that the inbox was empty, and its drainer
// must be woken. It refuses above limit bytes.
func (b *inbox) put(w *waiter, limit uint64) (first bool, err error) {
	size := uint64(len(w.command) + entryHeaderSize)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bytes > 0 && b.bytes+size > limit {
		return false, &OverloadedError{Budget: "inbox", Used: b.bytes, Limit: limit}
	}
	b.waiters = append(b.waiters, w)
	b.bytes += size
	return len(b.waiters) == 1, nil
}

func (b *inbox) take() []*waiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.waiters
	b.waiters, b.bytes = nil, 0
	return taken
}

// reject refuses everything in the inbox: none of it was appended.
func (b *inbox) reject(err error) {
	for _, w := range b.take() {
		w.done <- outcome{err: err}
	}
}

// Propose appends a command on the leader and waits until it is applied here. It
// has three outcomes. Committed: the result, nil. Rejected, the command will
// never be applied: ErrNotLeader (with a hint), ErrOverloaded, ErrTooLarge,
// ErrStopped, ErrRejected. Unknown, it may be applied later or never: ErrUnknown,
// with index and term. ctx bounds the wait: if it ends while the command still
// waits to be appended the outcome is rejected, ErrOverloaded, which then also
// wraps the error of ctx. The command must not be changed before Propose returns.
func (rf *Raft) Propose(ctx context.Context, command []byte) (Result, error) {
	if len(command) > rf.config.MaxCommandBytes {
		return Result{}, fmt.Errorf("propose: %w", &TooLargeError{Size: len(command), Limit: rf.config.MaxCommandBytes})
	}
	if !rf.leading.Load() {
		return Result{}, fmt.Errorf("propose: %w", rf.notLeading())
	}
	w := rf.newWaiter()
	w.command = command
	w.state.Store(waiterQueued)
	first, err := rf.inbox.put(w, rf.config.MaxInboxBytes)
	if err != nil {
		rf.waiters.Put(w)
		return Result{}, fmt.Errorf("propose: %w", err)
	}
	if first {
		rf.intakeWake.Notify()
	}
	var cause error
	select {
	case out := <-w.done:
		w.command = nil
		rf.waiters.Put(w)
		if out.err != nil {
			return Result{}, fmt.Errorf("propose: %w", out.err)
		}
		return out.result, nil
	case <-ctx.Done():
		cause = context.Cause(ctx)
	case <-rf.guard.stopping:
		cause = errGone
	}
	// The waiter is left to whoever still holds it, and not used again.
	if w.state.CompareAndSwap(waiterQueued, waiterWithdrawn) {
		if cause == errGone {
			return Result{}, fmt.Errorf("propose: %w before the command was appended", ErrStopped)
		}
		return Result{}, fmt.Errorf("propose: %w (%w)", &OverloadedError{Budget: "inbox", Limit: rf.config.MaxInboxBytes}, cause)
	}
	// Whoever took it up did so under Raft.mu: once we have held it too, the
	// command is copied and its index set.
	rf.lock()
	index, term := w.index, w.term
	rf.unlock()
	select {
	case out := <-w.done: // it was settled in the same moment
		if out.err != nil {
			return Result{}, fmt.Errorf("propose: %w", out.err)
		}
		return out.result, nil
	default:
		return Result{}, fmt.Errorf("propose: %w", &UnknownError{Index: index, Term: term, Cause: cause})
	}
}

// Start appends a command if this server leads and returns at once; the ticket
// says where it will be if it commits. The command is copied. It fails with
// ErrNotLeader, ErrOverloaded, ErrTooLarge or ErrStopped, without effect.
func (rf *Raft) Start(command []byte) (Ticket, error) {
	if len(command) > rf.config.MaxCommandBytes {
		return Ticket{}, fmt.Errorf("start: %w", &TooLargeError{Size: len(command), Limit: rf.config.MaxCommandBytes})
	}
	var ticket Ticket
	err := fmt.Errorf("start: %w", ErrStopped)
	rf.guard.run("start", func() {
		rf.lock()
		defer rf.unlock()
		// Those who came before go first.
		rf.drainInboxLocked()
		if rf.role != Leader {
			err = fmt.Errorf("start: %w", rf.notLeaderLocked(""))
			return
		}
		if full := rf.budgetLocked(uint64(len(command) + entryHeaderSize)); full != nil {
			err = fmt.Errorf("start: %w", full)
			return
		}
		rf.appendOwnLocked(NewBatch(AppendEntry(nil, EntryCommand, rf.currentTerm, command), 1))
		last := rf.log.at(rf.log.lastIndex())
		ticket, err = Ticket{Index: rf.log.lastIndex(), Term: last.term, Number: last.number}, nil
	})
	return ticket, err
}

func (rf *Raft) notLeading() error {
	if rf.stopped() {
		return ErrStopped
	}
	rf.lock()
	defer rf.unlock()
	return rf.notLeaderLocked("")
}

// budgetLocked refuses size more bytes if they do not fit what may be appended
// and not committed, or if the state machine lags too far behind. One command
// fits when nothing is pending. rf.mu must be held.
func (rf *Raft) budgetLocked(size uint64) error {
	if used := rf.log.bytesBetween(rf.commitIndex, rf.log.lastIndex()); used > 0 && used+size > rf.config.MaxUncommittedBytes {
		return &OverloadedError{Budget: "uncommitted", Used: used, Limit: rf.config.MaxUncommittedBytes}
	}
	if used := rf.applyLagLocked(); used > rf.config.MaxApplyBytes {
		return &OverloadedError{Budget: "apply", Used: used, Limit: rf.config.MaxApplyBytes}
	}
	return nil
}

// intakeBatchBytes is where the intake closes one batch and begins the next.
const intakeBatchBytes = 1 << 20

// drainInboxLocked appends everything in the inbox: one slab, one checksum and
// one stage a batch. Proposals that no longer fit a budget are refused, those
// whose callers gave up are passed over. A waiter is registered here, in the same
// critical section, before its entry can commit. rf.mu must be held.
func (rf *Raft) drainInboxLocked() {
	waiters := rf.inbox.take()
	if len(waiters) == 0 {
		return
	}
	if rf.role != Leader {
		gone := rf.notLeaderLocked("")
		for _, w := range waiters {
			w.done <- outcome{err: gone}
		}
		return
	}
	for len(waiters) > 0 {
		n, size := 0, 0
		for n < len(waiters) && (n == 0 || size+len(waiters[n].command)+entryHeaderSize <= intakeBatchBytes) {
			size += len(waiters[n].command) + entryHeaderSize
			n++
		}
		rf.appendProposalsLocked(waiters[:n], size)
		waiters = waiters[n:]
	}
}

// appendProposalsLocked appends up to size bytes of proposals as one batch.
// rf.mu must be held.
func (rf *Raft) appendProposalsLocked(waiters []*waiter, size int) {
	body, count := make([]byte, 0, size), 0
	first := rf.log.end()
	taken := make([]*waiter, 0, len(waiters))
	for _, w := range waiters {
		if full := rf.budgetLocked(uint64(len(body) + len(w.command) + entryHeaderSize)); full != nil {
			w.done <- outcome{err: full}
			continue
		}
		if !w.state.CompareAndSwap(waiterQueued, waiterTaken) {
			continue
		}
		w.index, w.term = first+uint64(count), rf.currentTerm
		body = AppendEntry(body, EntryCommand, rf.currentTerm, w.command)
		taken = append(taken, w)
		count++
	}
	if count == 0 {
		return
	}
	rf.waiting = append(rf.waiting, waiterRun{term: rf.currentTerm, first: first, waiters: taken})
	rf.appendOwnLocked(NewBatch(body, count))
}

// waiterRun is the waiters of one batch, of consecutive indexes from first on.
type waiterRun struct {
	term    uint64
	first   uint64
	waiters []*waiter
}

// appliedWaiter is a waiter whose index was applied, to be told after the lock is
// released.
type appliedWaiter struct {
	*waiter
	winner uint64 // term of the entry applied at its index
}

// takeWaitersLocked takes out the waiters of the indexes from..upTo, which have
// been applied, and those above whose term is below that of the last: terms never
// fall in a log (TERMS), so what they wait for can never be committed. rf.mu must
// be held.
func (rf *Raft) takeWaitersLocked(from, upTo uint64) (woken []appliedWaiter) {
	keep := rf.waiting[:0]
	last := rf.log.term(upTo)
	for _, run := range rf.waiting {
		for len(run.waiters) > 0 && run.first <= upTo {
			if run.first >= from {
				woken = append(woken, appliedWaiter{run.waiters[0], rf.log.term(run.first)})
			}
			run.first++
			run.waiters = run.waiters[1:]
		}
		if run.term < last {
			for _, w := range run.waiters {
				woken = append(woken, appliedWaiter{w, last})
			}
			continue
		}
		if len(run.waiters) > 0 {
			keep = append(keep, run)
		}
	}
	clear(rf.waiting[len(keep):])
	rf.waiting = keep
	return woken
}

// settle tells a waiter how its proposal ended. commands are what was applied,
// dense in number; results are beside them.
func (w appliedWaiter) settle(commands []Entry, results []Result) {
	if w.winner != w.term {
		w.done <- outcome{err: &RejectedError{Index: w.index, Term: w.term, Winner: w.winner}}
		return
	}
	// An entry of this term at this index is the command itself. Indexes are not
	// dense over commands, so look at or below the same distance.
	i := min(int(w.index-commands[0].Index), len(commands)-1)
	for commands[i].Index != w.index {
		i--
	}
	r := results[i]
	r.Index, r.Term, r.Number = w.index, w.term, commands[i].Number
	w.done <- outcome{result: r}
}
