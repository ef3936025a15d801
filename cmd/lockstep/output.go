package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// fields is a JSON object in the making.
type fields map[string]any

// bytes adds a byte string: as text if it is UTF-8, else in base64 under another
// name, so that no byte is lost and no reader guesses.
func (f fields) bytes(name string, b []byte) fields {
	if utf8.Valid(b) {
		f[name] = string(b)
	} else {
		f[name+"_base64"] = base64.StdEncoding.EncodeToString(b)
	}
	return f
}

func (f fields) with(name string, value any) fields {
	f[name] = value
	return f
}

// printJSON prints one object on one line.
func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// printTable prints rows of cells in aligned columns. right names columns, from
// 0, that hold numbers.
func printTable(w io.Writer, rows [][]string, right ...int) error {
	width := map[int]int{}
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	var text strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if slices.Contains(right, i) {
				line.WriteString(pad + cell + "  ")
			} else {
				line.WriteString(cell + pad + "  ")
			}
		}
		text.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// printable shows a key in a line for people: as it is if it is plain text, else
// quoted as in Go.
func printable(b []byte) string {
	s := string(b)
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == '"' }) {
		return fmt.Sprintf("%q", s)
	}
	return s
}
