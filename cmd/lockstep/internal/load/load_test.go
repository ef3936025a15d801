package load

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestHistogramKnowsValuesToThreePercent(t *testing.T) {
	for d := time.Duration(1); d < time.Hour; d += d/7 + 1 {
		bucket := bucketOf(d)
		low, high := lowest(bucket), lowest(bucket+1)
		if d < low || d >= high {
			t.Fatalf("%d ns is in bucket %d, which holds %d to %d", d, bucket, low, high)
		}
		if float64(high-low) > 1+0.032*float64(d) {
			t.Fatalf("bucket %d of %v is %v wide", bucket, d, high-low)
		}
	}
}

func TestQuantilesAgreeWithSorting(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var h, half histogram
	var values []time.Duration
	for i := range 10_000 {
		d := time.Duration(rng.ExpFloat64() * float64(time.Millisecond))
		values = append(values, d)
		if i%2 == 0 {
			h.add(d)
		} else {
			half.add(d)
		}
	}
	h.merge(&half)
	slices.Sort(values)
	for _, q := range []float64{0, 0.5, 0.95, 0.99, 1} {
		want := values[int(q*float64(len(values)-1))]
		got := h.quantile(q)
		if diff := max(got-want, want-got); float64(diff) > 1+0.04*float64(want) {
			t.Errorf("quantile %v is %v, sorting says %v", q, got, want)
		}
	}
	if got := new(histogram).quantile(0.5); got != 0 {
		t.Errorf("the median of nothing is %v", got)
	}
}

func TestRunCountsOnlyWhatEndsBetweenTheMarks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := Run{
			Clients: 3, WarmUp: 95 * time.Millisecond, Duration: time.Second,
			Operation: func(_ context.Context, client int) error {
				time.Sleep(10 * time.Millisecond)
				if client == 2 {
					return errors.New("broken")
				}
				return nil
			},
		}.Do(context.Background())
		// Two good clients at 100 operations a second. The third ends one every
		// 10 ms and pauses for 1 ms after those that are counted.
		if r.Operations != 200 {
			t.Errorf("%d operations, want 200", r.Operations)
		}
		if r.Errors < 90 || r.Errors > 92 || r.FirstError == nil {
			t.Errorf("%d errors (%v), want about 91", r.Errors, r.FirstError)
		}
		if r.P50 < 9*time.Millisecond || r.P50 > 11*time.Millisecond {
			t.Errorf("median %v, want about 10 ms", r.P50)
		}
		if got := r.PerSecond(); got != 200 {
			t.Errorf("%v operations a second, want 200", got)
		}
	})
}
