package fails

import "testing"

func TestLab(t *testing.T) {
	t.Run("3A", func(t *testing.T) {
		t.Run("Passes", func(*testing.T) {})
		t.Run("Fails", func(t *testing.T) {
			t.Attr("failure", "two leaders")
			t.Error("noise")
		})
		t.Run("Says", func(t *testing.T) {
			t.Error("a reason")
		})
		t.Run("Panics", func(*testing.T) {
			done := make(chan bool)
			go func() { panic("oh") }()
			<-done
		})
	})
}
