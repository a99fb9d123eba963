package litmus

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// ErrIncomparable: two files do not hold the same programs.
var ErrIncomparable = errors.New("litmus: the files do not hold the same programs")

// Difference is where two files first differ: the lines of one program.
type Difference struct {
	Seed uint64
	A, B []string
}

// Compare returns where two files first differ, or nil when they are equal, and
// the header that they share. It returns an error when one is not a whole file
// of litmus lines or when they are of different programs.
func Compare(a, b io.Reader) (*Difference, Header, error) {
	fa, err := NewReader(a)
	if err != nil {
		return nil, Header{}, fmt.Errorf("the first file: %w", err)
	}
	fb, err := NewReader(b)
	if err != nil {
		return nil, Header{}, fmt.Errorf("the second file: %w", err)
	}
	if fa.Header != fb.Header {
		return nil, Header{}, fmt.Errorf("%w: %q and %q", ErrIncomparable, fa.Header, fb.Header)
	}
	var first *Difference
	for {
		seed, la, erra := fa.Next()
		_, lb, errb := fb.Next()
		switch {
		case erra != nil && !errors.Is(erra, io.EOF):
			return nil, fa.Header, fmt.Errorf("the first file: %w", erra)
		case errb != nil && !errors.Is(errb, io.EOF):
			return nil, fa.Header, fmt.Errorf("the second file: %w", errb)
		case erra != nil || errb != nil: // both: they have as many programs
			return first, fa.Header, nil
		case first == nil && !slices.Equal(la, lb):
			first = &Difference{seed, la, lb}
		}
	}
}

// Step returns the number of the first step that differs, from 1.
func (d *Difference) Step() int {
	n := min(len(d.A), len(d.B))
	for i := range n {
		if d.A[i] != d.B[i] {
			return i + 1
		}
	}
	return n + 1
}

// String prints the whole program. What the files have in common is printed
// once; of the rest, the lines of the first file are marked with "-", those of
// the second with "+".
func (d *Difference) String() string {
	var b strings.Builder
	for i := range max(len(d.A), len(d.B)) {
		switch {
		case i < len(d.A) && i < len(d.B) && d.A[i] == d.B[i]:
			b.WriteString("  " + d.A[i] + "\n")
			continue
		case i < len(d.A):
			b.WriteString("- " + d.A[i] + "\n")
		}
		if i < len(d.B) {
			b.WriteString("+ " + d.B[i] + "\n")
		}
	}
	return b.String()
}
