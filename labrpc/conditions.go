package labrpc

import (
	"math/rand/v2"
	"time"
)

// Range is a span of time from which a duration is drawn, all alike.
type Range struct{ Min, Max time.Duration }

func (r Range) draw(random *rand.Rand) time.Duration {
	if r.Max <= r.Min {
		return r.Min
	}
	return r.Min + time.Duration(random.Int64N(int64(r.Max-r.Min)+1))
}

// Hidden, as LossSeen or CutSeen, means that only the deadline ends the call.
var Hidden = Range{1 << 62, 1 << 62}

// Conditions say how the network treats every message. The zero value is a
// perfect network but for a latency of a microsecond.
type Conditions struct {
	Latency     Range   // of each message, request or reply; at least a microsecond
	LoseRequest float64 // probability that a request never arrives
	LoseReply   float64 // probability that a reply never arrives
	Duplicate   float64 // probability that a request arrives twice
	LateRequest float64 // probability that a request takes Late longer, so that later ones overtake it
	LateReply   float64 // the same for a reply
	Replay      float64 // probability that a request arrives once more, Late later, when nobody waits for its answer
	Late        Range
	LossSeen    Range // how long after the loss the caller learns of it, as if its connection broke
	CutSeen     Range // how long a call takes to fail that cannot reach its target
}

// The course labs of MIT 6.5840 test under the following conditions.

// Reliable is a local network: 50 to 500 microseconds a message.
func Reliable() Conditions {
	return Conditions{
		Latency: Range{50 * time.Microsecond, 500 * time.Microsecond},
		CutSeen: Range{0, 100 * time.Millisecond},
	}
}

// Unreliable delays messages by up to 26 ms and loses a tenth of the requests
// and a tenth of the replies.
func Unreliable() Conditions {
	c := Reliable()
	c.Latency = Range{50 * time.Microsecond, 26 * time.Millisecond}
	c.LoseRequest, c.LoseReply = 0.1, 0.1
	c.LossSeen = Range{0, 26 * time.Millisecond}
	return c
}

// LongReordering makes two of three replies 200 to 2,200 ms late.
func (c Conditions) LongReordering() Conditions {
	c.LateReply, c.Late = 2.0/3, Range{200 * time.Millisecond, 2200 * time.Millisecond}
	return c
}

// LongDelays lets a call to an unreachable endpoint take up to 7 s to fail.
func (c Conditions) LongDelays() Conditions {
	c.CutSeen = Range{0, 7 * time.Second}
	return c
}
