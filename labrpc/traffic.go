package labrpc

// Traffic counts messages and their encoded bytes as they are sent, whether or
// not they arrive. A duplicate is the network's doing and counts once.
type Traffic struct {
	Requests, RequestBytes int
	Replies, ReplyBytes    int
}

func (t *Traffic) add(o Traffic) {
	t.Requests += o.Requests
	t.RequestBytes += o.RequestBytes
	t.Replies += o.Replies
	t.ReplyBytes += o.ReplyBytes
}

// Sub returns what was added since an earlier count.
func (t Traffic) Sub(earlier Traffic) Traffic {
	return Traffic{
		t.Requests - earlier.Requests, t.RequestBytes - earlier.RequestBytes,
		t.Replies - earlier.Replies, t.ReplyBytes - earlier.ReplyBytes,
	}
}

// Bytes of requests and replies together.
func (t Traffic) Bytes() int { return t.RequestBytes + t.ReplyBytes }

// Traffic returns the sum over all calls whose caller, target and method are
// the given ones; an empty string stands for any.
func (n *Network) Traffic(from, to, method string) Traffic {
	n.mu.Lock()
	defer n.mu.Unlock()
	var sum Traffic
	for r, t := range n.traffic {
		if like(from, r.from) && like(to, r.to) && like(method, r.method) {
			sum.add(*t)
		}
	}
	return sum
}

func like(pattern, s string) bool { return pattern == "" || pattern == s }

// count adds to the traffic of a route. n.mu must be held.
func (n *Network) count(r route, t Traffic) {
	sum := n.traffic[r]
	if sum == nil {
		sum = &Traffic{}
		n.traffic[r] = sum
	}
	sum.add(t)
}
