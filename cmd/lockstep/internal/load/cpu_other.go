//go:build !unix

package load

import "time"

// processCPU cannot be told here.
func processCPU() time.Duration { return 0 }
