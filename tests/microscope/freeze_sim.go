//go:build raftsim

package microscope

// freezing lists how the old leader could be held still, and let go.
func (w *world) freezing() []step {
	if w.thaw != nil {
		return []step{{verb: thaw}}
	}
	if w.did[freeze] == 0 {
		return []step{{verb: freeze}}
	}
	return nil
}

func init() {
	stories = append(stories, tell("L4Frozen", "the old leader's process stands still while it is deposed; answers and a read wait for it",
		"read 0", "0>1 beat", "0>2 beat", "freeze 0", elected, writes,
		"1>0 beat'", "2>0 beat'", "read 0", "thaw 0", learns))
}
