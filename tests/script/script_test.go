package script

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
)

var update = flag.Bool("update", false, "rewrite the transcripts in testdata with what happens now")

const testdata = "../testdata"

// files lists the scripts.
func files(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(testdata, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts in %s: %v", testdata, err)
	}
	return files
}

// TestScripts runs every script: go test ./tests/script -run Scripts/figure8.
func TestScripts(t *testing.T) {
	for _, file := range files(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			s, err := Load(file)
			if err != nil {
				t.Fatal(err)
			}
			if text := play(t, s); *update {
				rewrite(t, file, text)
			}
		})
	}
}

// play runs a script, and returns its text with what happened. Unless the scripts
// are being rewritten the test fails if the file says otherwise.
func play(t *testing.T, s *Script) (text string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		transcripts, err := s.Run(t, Lockstep)
		if err != nil {
			t.Fatal(err)
		}
		if difference := s.Compare(transcripts); difference != "" && !*update {
			t.Errorf("the transcript differs; if it is right now: go test ./tests/script -update\n%s", difference)
		}
		text = s.Format(transcripts)
	})
	return text
}

func rewrite(t *testing.T, file, text string) {
	t.Helper()
	if t.Failed() {
		return
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestFormat: to rewrite a script with the transcript it has changes nothing.
func TestFormat(t *testing.T) {
	for _, file := range files(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Parse(file, string(text))
		if err != nil {
			t.Fatal(err)
		}
		var transcripts [][]string
		for _, b := range s.blocks {
			transcripts = append(transcripts, b.want)
		}
		if s.Format(transcripts) != string(text) {
			t.Errorf("%s is not formatted; go test ./tests/script -update", file)
		}
	}
}
