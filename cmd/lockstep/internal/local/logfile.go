package local

import (
	"bytes"
	"os"
	"sync"
)

// logFile keeps the end of what a server writes to standard error: in a file
// that begins anew at maxLogBytes, the one before it beside it, and the last
// line in memory, for it says why a server stopped. A log that cannot be
// written must not stop a server, so such errors are dropped.
type logFile struct {
	path string

	mu   sync.Mutex // guards what follows; a leaf
	file *os.File
	size int64
	line []byte // the last line that is not empty
	open bool   // line has no end yet
}

const (
	maxLogBytes  = 8 << 20
	maxLineBytes = 4 << 10
)

func newLogFile(path string) *logFile {
	l := &logFile{path: path}
	l.file, _ = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if l.file != nil {
		if info, err := l.file.Stat(); err == nil {
			l.size = info.Size()
		}
	}
	return l
}

func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for part := range bytes.SplitAfterSeq(p, []byte("\n")) {
		l.noteLocked(part)
	}
	if l.size > maxLogBytes {
		l.beginAnewLocked()
	}
	if l.file != nil {
		n, _ := l.file.Write(p)
		l.size += int64(n)
	}
	return len(p), nil
}

// noteLocked adds to the last line.
func (l *logFile) noteLocked(part []byte) {
	text, ended := bytes.CutSuffix(part, []byte("\n"))
	if len(text) > 0 {
		if !l.open {
			l.line = l.line[:0]
		}
		l.line = append(l.line, text[:min(len(text), max(0, maxLineBytes-len(l.line)))]...)
		l.open = true
	}
	if ended {
		l.open = false
	}
}

func (l *logFile) beginAnewLocked() {
	if l.file != nil {
		l.file.Close()
	}
	os.Rename(l.path, l.path+".old")
	l.file, _ = os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	l.size = 0
}

// lastLine returns the last line written.
func (l *logFile) lastLine() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.line)
}

func (l *logFile) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		l.file.Close()
		l.file = nil
	}
}
