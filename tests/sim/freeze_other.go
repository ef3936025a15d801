//go:build !raftsim

package sim

import "time"

// canFreeze: only a build with the tag raftsim can hold a server still.
const canFreeze = false

func (h *host) freeze(time.Duration) {}
