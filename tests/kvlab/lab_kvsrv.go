package kvlab

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"
)

// labAlone are the labs' scenarios for a key-value server without replicas.
var labAlone = []scenario{
	{"ReliablePut", []int{1}, reliablePut},
	{"PutConcurrentReliable", []int{1}, putConcurrent},
	{"UnreliableNet", []int{1}, unreliableNet},
}

// reliablePut: what each call returns.
func reliablePut(w *world) {
	c := w.client()
	_, _, err := c.Get("k")
	w.must("get of a missing key", err, ErrNoKey)
	_, err = c.Put("k", "never", 1)
	w.must("put of a missing key at version 1", err, ErrNoKey)

	value := c.fresh(0)
	first, err := c.Put("k", value, 0)
	w.must("put of a new key", err, nil)
	got, version, err := c.Get("k")
	w.must("get", err, nil)
	if got != value || version == 0 || first != Untold && version != first {
		w.fatal("get returned %q at version %d; put wrote %q at version %d", got, version, value, first)
	}
	_, err = c.Put("k", "never", 0)
	w.must("put of a key that exists as a new one", err, ErrVersion)
	_, err = c.Put("k", "never", version+1)
	w.must("put at a version that never was", err, ErrVersion)
	_, err = c.Put("other", "never", version)
	w.must("put of a missing key at another's version", err, ErrNoKey)
	now := c.write(w, "k", version)
	if now <= version {
		w.fatal("put made version %d of version %d", now, version)
	}
	_, err = c.Put("k", "never", version)
	w.must("put at a version that was", err, ErrVersion)
	_, _, err = c.Get("other")
	w.must("get of a key that nobody made", err, ErrNoKey)
}

// putConcurrent: ten clients, one key, one second; as many versions as puts.
func putConcurrent(w *world) {
	const clients = 10
	w.client().write(w, "k", 0)
	ctx, end := context.WithCancel(w.ctx)
	var working sync.WaitGroup
	var sum sync.Mutex
	all := tally{done: 1}
	for range clients {
		c := w.client()
		w.run(&working, func() {
			t := c.work(ctx, []string{"k"}, 1.0/3)
			sum.Lock()
			defer sum.Unlock()
			all.add(t)
		})
	}
	w.Sleep(time.Second)
	end()
	w.within(10*time.Second, "the clients", ended(&working))
	w.stopIfFailed()
	w.settled(w.client(), []string{"k"}, all, load{clients: clients})
}

// unreliableNet: a hundred puts over a network that loses a tenth of requests and
// of replies. A put in doubt is tried again at the same version: each happens
// once, not less and not more.
func unreliableNet(w *world) {
	w.unreliable()
	c := w.client()
	version := uint64(0)
	for range 100 {
		value, doubt := c.fresh(0), false
		for {
			_, err := c.Put("k", value, version)
			if err == nil || doubt && errors.Is(err, ErrVersion) {
				break
			}
			w.must("put by the only client", err, ErrMaybe)
			doubt = true
		}
		got, now, err := c.Get("k")
		w.must("get", err, nil)
		if got != value || now != version+1 {
			w.fatal("get returned %q at version %d after a put of %q at version %d", got, now, value, version)
		}
		version = now
	}
}

// clientBytes is the labs' limit of what a client may cost the server's state.
// What a log keeps does not count: it takes a snapshot to shorten one.
const clientBytes = 200

// memPutManyClients: a hundred thousand clients, each with one put.
func memPutManyClients(t *testing.T, put func(client int) error) {
	each, err := memory(put)
	if err == nil && each > clientBytes {
		err = fmt.Errorf("a client costs %.1f bytes of heap, the limit is %d", each, clientBytes)
	}
	if err != nil {
		t.Attr("failure", err.Error())
		t.Fatal(err)
	}
	t.Logf("a client costs %.1f bytes of heap", each)
}

// memory measures what each client costs. Nothing else may run meanwhile.
func memory(put func(client int) error) (each float64, err error) {
	const clients = 100_000
	if err := put(1); err != nil { // what the first one makes is not the others' cost
		return 0, fmt.Errorf("client 1: %w", err)
	}
	before := heap()
	for i := range clients {
		if err := put(2 + i); err != nil {
			return 0, fmt.Errorf("client %d: %w", 2+i, err)
		}
	}
	each = float64(heap()-before) / clients
	runtime.KeepAlive(put)
	return each, nil
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
