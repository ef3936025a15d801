package script

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Fields are the words of a send command after the kind: "term 2 prev 3/1". Each
// is to be asked for once; Err tells which were missing, malformed or too many.
type Fields struct {
	values map[string]string
	err    *error
}

func parseFields(words []string) (Fields, error) {
	f := Fields{map[string]string{}, new(error)}
	if len(words)%2 != 0 {
		return f, fmt.Errorf("%q has no value", words[len(words)-1])
	}
	for i := 0; i < len(words); i += 2 {
		if _, twice := f.values[words[i]]; twice {
			return f, fmt.Errorf("%s is told twice", words[i])
		}
		f.values[words[i]] = words[i+1]
	}
	return f, nil
}

func (f Fields) fail(format string, args ...any) {
	if *f.err == nil {
		*f.err = fmt.Errorf(format, args...)
	}
}

func (f Fields) take(key string) string {
	value, ok := f.values[key]
	if !ok {
		f.fail("%s is missing", key)
	}
	delete(f.values, key)
	return value
}

// Number returns the value of a key that must be there.
func (f Fields) Number(key string) uint64 {
	value := f.take(key)
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		f.fail("%s is a number, not %q", key, value)
	}
	return n
}

// Numbers returns the values of a key, separated by commas; none if it is not
// there.
func (f Fields) Numbers(key string) (numbers []uint64) {
	if _, ok := f.values[key]; !ok {
		return nil
	}
	value := f.take(key)
	for word := range strings.SplitSeq(value, ",") {
		n, err := strconv.ParseUint(word, 10, 64)
		if err != nil {
			f.fail("%s are numbers with commas between them, not %q", key, value)
		}
		numbers = append(numbers, n)
	}
	return numbers
}

// Place returns an index and a term, written index/term.
func (f Fields) Place(key string) (index, term uint64) {
	value := f.take(key)
	if n, err := fmt.Sscanf(value, "%d/%d", &index, &term); n != 2 || err != nil || value != fmt.Sprintf("%d/%d", index, term) {
		f.fail("%s is index/term, not %q", key, value)
	}
	return index, term
}

// Err is to be called last.
func (f Fields) Err() error {
	if left := slices.Sorted(maps.Keys(f.values)); len(left) > 0 {
		f.fail("%s means nothing here", left[0])
	}
	return *f.err
}
