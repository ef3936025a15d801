package failover

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"lockstep.example/raft/cmd/lockstep/internal/local"
	"lockstep.example/raft/cmd/lockstep/internal/node"
	"lockstep.example/raft/kv"
)

// verify reads everything back and compares the servers. It returns the hash all
// of them have.
func (r *run) verify(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*settleTimeout)
	defer cancel()
	for _, w := range r.writers {
		if err := w.verify(ctx); err != nil {
			return 0, err
		}
	}
	return r.compare(ctx)
}

// verify walks the keys of a writer, in the order it wrote them, beside those the
// cluster has: an acknowledged one must be there, a refused one must not, and one
// of unknown outcome may be. Whatever is there must have its value.
func (w *writer) verify(ctx context.Context) error {
	n := uint64(0)
	// upTo checks the keys that the cluster does not have, from n to below end.
	upTo := func(end uint64) error {
		for ; n < end; n++ {
			if !w.unknown[n] && !w.refused[n] {
				return fmt.Errorf("%w: %s was acknowledged and is not there", ErrLost, w.key(n))
			}
		}
		return nil
	}
	options := kv.ListOptions{Prefix: []byte(w.prefix)}
	for {
		page, err := w.clerk.List(ctx, options)
		if err != nil {
			return fmt.Errorf("read back the keys of %s: %w", w.prefix, err)
		}
		for _, item := range page.Items {
			found, err := w.number(item.Key)
			if err != nil {
				return err
			}
			if err := upTo(found); err != nil {
				return err
			}
			if w.refused[n] {
				return fmt.Errorf("%w: %s was refused and is there", ErrLost, w.key(n))
			}
			if string(item.Value) != w.value(n) {
				return fmt.Errorf("%w: %s holds %q", ErrLost, w.key(n), item.Value)
			}
			n++
		}
		if !page.More || len(page.Items) == 0 {
			return upTo(w.next)
		}
		options.After = page.Items[len(page.Items)-1].Key
	}
}

// number returns the number of a key that was found.
func (w *writer) number(key []byte) (n uint64, err error) {
	digits, _ := bytes.CutPrefix(key, []byte(w.prefix))
	if _, err := fmt.Sscanf(string(digits), "%d", &n); err != nil || w.key(n) != string(key) || n >= w.next {
		return 0, fmt.Errorf("%w: the key %q was never written", ErrLost, key)
	}
	return n, nil
}

// compare waits until all servers have applied the same entries, which nobody
// adds to any more, and compares their states.
func (r *run) compare(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		statuses := node.Statuses(ctx, r.client, local.Addresses(r.cluster.Members), time.Second)
		first, same := statuses[0], true
		for _, s := range statuses {
			if s.Err != nil || s.HashIndex != first.HashIndex {
				same = false
				break
			}
			if s.Hash != first.Hash {
				return 0, fmt.Errorf("%w: after entry %d the state of %s has hash %016x, that of %s %016x",
					ErrLost, s.HashIndex, first.ID, first.Hash, s.ID, s.Hash)
			}
		}
		if same {
			return first.Hash, nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return 0, fmt.Errorf("the servers did not come to the same entry within %v: %s", settleTimeout, summary(statuses))
		}
	}
}

func summary(statuses []node.Status) (text string) {
	for i, s := range statuses {
		if i > 0 {
			text += "; "
		}
		if s.Err != nil {
			text += fmt.Sprintf("%s: %v", s.Address, s.Err)
		} else {
			text += fmt.Sprintf("%s at entry %d: %s", s.ID, s.HashIndex, s.Why)
		}
	}
	return text
}
