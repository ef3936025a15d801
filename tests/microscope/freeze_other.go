//go:build !raftsim

package microscope

// freezing lists nothing: only under the tag raftsim can a server stand still.
func (w *world) freezing() []step { return nil }
