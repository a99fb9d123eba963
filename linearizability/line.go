package linearizability

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// A line of a history file is one flat JSON object: its values are strings,
// integers from 0 to 2^64-1, true and false. lineReader takes one apart
// without building a tree.

var errSyntax = errors.New("malformed line")

// valueKind says what a value is.
type valueKind uint8

const (
	valueString valueKind = iota
	valueNumber
	valueBool
)

// value is one member of a line's object. text points into the line unless the
// string had escapes.
type value struct {
	kind   valueKind
	text   []byte
	number uint64
	truth  bool
}

type lineReader struct {
	buf []byte
	pos int
}

// eachMember calls f for every member of the object that line holds, and makes
// sure that nothing follows it.
func eachMember(line []byte, f func(key []byte, v value) error) error {
	if !utf8.Valid(line) {
		return fmt.Errorf("%w: not valid UTF-8", errSyntax)
	}
	r := lineReader{buf: line}
	if !r.take('{') {
		return r.fail("expected {")
	}
	if !r.take('}') {
		for {
			key, err := r.string()
			if err != nil {
				return err
			}
			if !r.take(':') {
				return r.fail("expected :")
			}
			v, err := r.value()
			if err != nil {
				return err
			}
			if err := f(key, v); err != nil {
				return err
			}
			if r.take(',') {
				continue
			}
			if r.take('}') {
				break
			}
			return r.fail("expected , or }")
		}
	}
	r.space()
	if r.pos != len(r.buf) {
		return r.fail("text after the object")
	}
	return nil
}

func (r *lineReader) fail(what string) error {
	return fmt.Errorf("%w: column %d: %s", errSyntax, r.pos+1, what)
}

func (r *lineReader) space() {
	for r.pos < len(r.buf) && (r.buf[r.pos] == ' ' || r.buf[r.pos] == '\t') {
		r.pos++
	}
}

// take skips blanks and then c, if it is there.
func (r *lineReader) take(c byte) bool {
	r.space()
	if r.pos < len(r.buf) && r.buf[r.pos] == c {
		r.pos++
		return true
	}
	return false
}

func (r *lineReader) string() ([]byte, error) {
	if !r.take('"') {
		return nil, r.fail("expected a string")
	}
	start, escaped := r.pos, false
	for ; r.pos < len(r.buf); r.pos++ {
		switch c := r.buf[r.pos]; {
		case c == '"':
			raw := r.buf[start:r.pos]
			r.pos++
			if !escaped {
				return raw, nil
			}
			var s string
			if err := json.Unmarshal(r.buf[start-1:r.pos], &s); err != nil {
				return nil, r.fail("bad escape in a string")
			}
			return []byte(s), nil
		case c < ' ':
			return nil, r.fail("control character in a string")
		case c == '\\':
			escaped = true
			r.pos++
		}
	}
	return nil, r.fail("string without an end")
}

func (r *lineReader) value() (value, error) {
	r.space()
	if r.pos == len(r.buf) {
		return value{}, r.fail("expected a value")
	}
	switch c := r.buf[r.pos]; {
	case c == '"':
		s, err := r.string()
		return value{kind: valueString, text: s}, err
	case c >= '0' && c <= '9':
		n, err := r.number()
		return value{kind: valueNumber, number: n}, err
	case r.word("true"):
		return value{kind: valueBool, truth: true}, nil
	case r.word("false"):
		return value{kind: valueBool}, nil
	}
	return value{}, r.fail("expected a string, a whole number from 0 to 2^64-1, true or false")
}

func (r *lineReader) word(w string) bool {
	if len(r.buf)-r.pos < len(w) || string(r.buf[r.pos:r.pos+len(w)]) != w {
		return false
	}
	r.pos += len(w)
	return true
}

func (r *lineReader) number() (uint64, error) {
	start := r.pos
	var n uint64
	for ; r.pos < len(r.buf) && r.buf[r.pos] >= '0' && r.buf[r.pos] <= '9'; r.pos++ {
		d := uint64(r.buf[r.pos] - '0')
		if n > (math.MaxUint64-d)/10 {
			return 0, r.fail("number above 2^64-1")
		}
		n = n*10 + d
	}
	if r.buf[start] == '0' && r.pos-start > 1 {
		return 0, r.fail("number with a leading zero")
	}
	if r.pos < len(r.buf) {
		switch r.buf[r.pos] {
		case '.', 'e', 'E':
			return 0, r.fail("number that is not whole")
		}
	}
	return n, nil
}
