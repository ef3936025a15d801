package kvlab

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"lockstep.example/raft/labrpc"
)

// lab4B are the labs' scenarios for a key-value store on Raft that need no
// snapshot.
var lab4B = []scenario{
	{"Basic", []int{5, 3, 7}, load{clients: 1}.run},
	{"Concurrent", []int{5, 3, 7}, load{clients: 5}.run},
	{"Unreliable", []int{5, 3, 7}, load{clients: 5, unreliable: true}.run},
	{"Speed", []int{3, 5, 7}, speed},
	{"OnePartition", []int{5, 3, 7}, onePartition},
	{"ManyPartitionsOneClient", []int{5, 3, 7}, load{clients: 1, partitions: true}.run},
	{"ManyPartitionsManyClients", []int{5, 3, 7}, load{clients: 5, partitions: true}.run},
	{"PersistOneClient", []int{5, 3, 7}, load{clients: 1, crash: true}.run},
	{"PersistConcurrent", []int{5, 3, 7}, load{clients: 5, crash: true}.run},
	{"PersistConcurrentUnreliable", []int{5, 3, 7}, load{clients: 5, crash: true, unreliable: true}.run},
	{"PersistPartition", []int{5, 3, 7}, load{clients: 5, crash: true, partitions: true}.run},
	{"PersistPartitionUnreliable", []int{5, 3, 7}, load{clients: 5, crash: true, partitions: true, unreliable: true}.run},
	{"PersistPartitionUnreliableLinearizable", []int{7, 3, 5}, load{clients: 15, crash: true, partitions: true, unreliable: true, keys: 100}.run},
}

// lab4BBeyond are worse than the labs': servers crash with requests under way, and
// requests arrive twice.
var lab4BBeyond = []scenario{
	{"CrashWhileBusy", []int{5, 3, 7}, load{clients: 5, busy: true}.run},
	{"CrashWhileBusyDuplicating", []int{5, 3, 7}, load{clients: 5, busy: true, crash: true, partitions: true, duplicates: 0.2}.run},
}

// load is the labs' generic test: rounds of clients that read and write the same
// keys while things go wrong.
type load struct {
	clients    int
	keys       int // 0: one
	unreliable bool
	duplicates float64 // unreliable, and this part of all requests arrives twice
	partitions bool    // cut links at random, again and again, while the clients work
	crash      bool    // all servers crash after each round
	busy       bool    // and in each, while the clients work
}

const (
	rounds      = 3
	roundTime   = time.Second
	repartition = 3           // per round
	splitTime   = time.Second // of each, and up to as much longer as the next
	splitSpread = 200 * time.Millisecond
	pace        = 20 * time.Millisecond // between two operations of a client: at most
)

func (l load) run(w *world) {
	if l.unreliable {
		w.unreliable()
	}
	if l.duplicates > 0 {
		conditions := labrpc.Unreliable()
		conditions.Duplicate = l.duplicates
		w.Net.SetConditions(conditions)
	}
	keys := []string{"k"}
	for i := 1; i < l.keys; i++ {
		keys = append(keys, fmt.Sprint("k", i))
	}
	var clients []*client
	for range l.clients {
		clients = append(clients, w.client())
	}
	clients[0].write(w, keys[0], 0)
	all := tally{done: 1}
	for range rounds {
		if _, _, err := clients[0].Get(keys[0]); err != nil { // when it returns there is a leader
			w.judge()
			w.fatal("get %q before a round: %w", keys[0], err)
		}
		ctx, end := context.WithCancel(w.ctx)
		var working sync.WaitGroup
		var sum sync.Mutex
		for i, c := range clients {
			gets := 1.0 / 3
			if l.partitions && i%2 == 1 {
				gets = 1 // no put drives it away from a server that answers gets and should not
			}
			w.run(&working, func() {
				t := c.work(ctx, keys, gets)
				sum.Lock()
				defer sum.Unlock()
				all.add(t)
			})
		}
		w.Sleep(roundTime)
		if l.busy {
			w.crashAll(electionTimeout)
			w.Sleep(roundTime)
		}
		if l.partitions {
			w.partition()
		}
		end()
		// Whatever is under way ends once the network is mended.
		w.within(30*time.Second, "the clients of a round", ended(&working))
		w.stopIfFailed()
		if l.crash {
			w.crashAll(electionTimeout)
		}
	}
	w.settled(clients[0], keys, all, l)
}

// partition cuts links at random for a while, and mends them.
func (w *world) partition() {
	for range repartition {
		side := make([]int, w.N)
		for i := range side {
			side[i] = w.Random(2)
		}
		w.split(func(i int) int { return side[i] })
		w.Sleep(splitTime + time.Duration(w.Random(int(splitSpread))))
	}
	w.mend()
	w.Sleep(electionTimeout)
}

// settled is the end of a load: every key can be read, and of a single key as
// many versions were made as puts were acknowledged, or more by as many as were in
// doubt. There were enough of them to prove something.
func (w *world) settled(c *client, keys []string, all tally, l load) {
	w.T.Helper()
	w.judge() // its report says most
	for _, key := range keys {
		_, version, err := c.Get(key)
		if err != nil && !errors.Is(err, ErrNoKey) {
			w.fatal("get %q at the end: %w", key, err)
		}
		if len(keys) > 1 {
			continue
		}
		if first, last := uint64(all.done), uint64(all.done+all.doubt); version < first || version > last {
			w.fatal("%q has version %d after %d puts that were acknowledged and %d in doubt", key, version, all.done, all.doubt)
		}
	}
	readers, writers := l.clients, l.clients
	if l.partitions {
		writers = (l.clients + 1) / 2 // the others only read
	}
	if all.done < rounds*(writers+1)/2 || all.reads < rounds*(readers+1)/2 {
		w.fatal("%d puts and %d gets were answered in %d rounds of %d clients: too few", all.done, all.reads, rounds, l.clients)
	}
}

// tally counts what was answered.
type tally struct{ done, doubt, reads int }

func (t *tally) add(o tally) {
	t.done += o.done
	t.doubt += o.doubt
	t.reads += o.reads
}

// work reads and writes until told to stop; gets is the part of the former.
func (c *client) work(ctx context.Context, keys []string, gets float64) (t tally) {
	versions := map[string]uint64{} // that the client believes in
	for {
		key := keys[c.w.Random(len(keys))]
		version, known := versions[key]
		switch {
		case !known || c.w.Random(1000) < int(1000*gets):
			_, now, err := c.Get(key)
			if err != nil && !errors.Is(err, ErrNoKey) {
				c.w.Fail(fmt.Errorf("get %q: %w", key, err))
				return t
			}
			versions[key] = now
			t.reads++
		default:
			delete(versions, key)
			now, err := c.Put(key, c.fresh(0), version)
			switch {
			case err == nil:
				t.done++
				if now != Untold {
					versions[key] = now
				}
			case errors.Is(err, ErrMaybe):
				t.doubt++
			case !errors.Is(err, ErrVersion):
				c.w.Fail(fmt.Errorf("put %q at version %d: %w", key, version, err))
				return t
			}
		}
		select {
		case <-ctx.Done():
			return t
		case <-time.After(time.Duration(c.w.Random(int(pace)))):
		}
	}
}

// speed: a thousand puts, one after the other, at least three for each heartbeat.
func speed(w *world) {
	const puts, heartbeat, perHeartbeat = 1000, 100 * time.Millisecond, 3
	c := w.client()
	version := c.write(w, "k", 0) // there is a leader now
	began := time.Now()
	for range puts {
		version = c.write(w, "k", version)
	}
	if took, most := time.Since(began), puts*heartbeat/perHeartbeat; took > most {
		w.fatal("%d puts took %v, the limit is %v", puts, took, most)
	}
}

// write puts a fresh value that nobody else can have prevented, and returns the
// new version.
func (c *client) write(w *world, key string, version uint64) uint64 {
	w.T.Helper()
	now, err := c.Put(key, c.fresh(0), version)
	w.must("put", err, nil)
	if now == Untold {
		_, now, err = c.Get(key)
		w.must("get", err, nil)
	}
	return now
}

// onePartition: a leader in a minority answers neither put nor get; the majority
// goes on, and once the network is mended those of the minority end too.
func onePartition(w *world) {
	all := w.client()
	first := all.write(w, "k", 0)
	cut := w.minority(w.Leader())
	w.splitOff(cut)
	var few, many []int
	for i := range w.N {
		if cut[i] {
			few = append(few, i)
		} else {
			many = append(many, i)
		}
	}
	majority, putter, getter := w.client(many...), w.client(few...), w.client(few...)
	second := majority.write(w, "k", first)

	var put, get sync.WaitGroup
	var putErr, getErr error
	var got string
	w.run(&put, func() { _, putErr = putter.Put("k", putter.fresh(0), second) })
	w.run(&get, func() { got, _, getErr = getter.Get("k") })
	putDone, getDone := ended(&put), ended(&get)
	select {
	case <-putDone:
		w.fatal("in a minority put ended: %v", putErr)
	case <-getDone:
		w.fatal("in a minority get ended with %q: %v", got, getErr)
	case <-time.After(time.Second):
	}
	third := majority.write(w, "k", second)
	last, _, err := majority.Get("k")
	w.must("get in the majority", err, nil)

	w.mend()
	mended := time.Now()
	w.within(3*time.Second, "put of the former minority", putDone)
	w.within(3*time.Second-time.Since(mended), "get of the former minority", getDone)
	w.must("get of the former minority", getErr, nil)
	if got != last {
		w.fatal("get of the former minority returned %q, expected %q", got, last)
	}
	if !errors.Is(putErr, ErrVersion) && !errors.Is(putErr, ErrMaybe) {
		w.fatal("put of the former minority returned %v, expected another version", putErr)
	}
	value, version, err := all.Get("k")
	w.must("get at the end", err, nil)
	if value != last || version != third {
		w.fatal("the key is %q at version %d at the end, expected %q at %d", value, version, last, third)
	}
}
