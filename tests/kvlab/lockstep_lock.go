package kvlab

import (
	"errors"
	"fmt"
	"time"
)

// SwapLock is a lock on a Clerk: the key has the name of the lock, and holds the
// name of who has it, or nothing. Only a put of the version that was read changes
// it, so of several clients that find it free one gets it.
//
// After ErrMaybe the key tells: it names this client, in this turn, if the put
// happened. It may also happen later, but not for long: the next put of anyone
// raises the version and spoils it, so a client that finds the lock free may
// always try again.
func SwapLock(clerk Clerk, name string, random func() uint64) Locker {
	return &swapLock{clerk: clerk, name: name, random: random, client: random()}
}

type swapLock struct {
	clerk  Clerk
	name   string
	random func() uint64
	client uint64
	turn   int
	holder string // who has it while this client does
}

// Acquire implements Locker.
func (l *swapLock) Acquire() error {
	l.turn++
	l.holder = fmt.Sprintf("%x turn %d", l.client, l.turn)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		value, version, err := l.clerk.Get(l.name)
		switch {
		case err != nil && !errors.Is(err, ErrNoKey):
			return err
		case value == l.holder:
			return nil
		case value == "":
			if _, err = l.clerk.Put(l.name, l.holder, version); err == nil {
				return nil
			}
			if !inDoubt(err) {
				return err
			}
		}
		time.Sleep(pause/2 + time.Duration(l.random()%uint64(pause)))
	}
}

// Release implements Locker.
func (l *swapLock) Release() error {
	for {
		value, version, err := l.clerk.Get(l.name)
		if err != nil {
			return err
		}
		if value != l.holder {
			return nil // an earlier try has done it
		}
		if _, err = l.clerk.Put(l.name, "", version); err == nil || !inDoubt(err) {
			return err
		}
	}
}

// inDoubt tells whether a put failed in a way that another look at the key is
// worth while.
func inDoubt(err error) bool {
	return errors.Is(err, ErrMaybe) || errors.Is(err, ErrVersion) || errors.Is(err, ErrNoKey)
}
