package litmus

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
)

// ErrFormat: a file is not one of litmus lines, or not a whole one.
var ErrFormat = errors.New("litmus: bad file")

// formatVersion is the version of the file format.
const formatVersion = 1

// MaxPrograms bounds the programs of one file.
const MaxPrograms = 100_000_000

// Header is the first line of a file: which programs it holds.
//
//	# kelpie litmus 1 level=port class=quick seeds=1..1000 generator=0f1e2d3c4b5a6978
//
// It does not name the store: stores agree when their files are equal.
type Header struct {
	Generation
	From, To uint64 // the first and the last seed
	// Generator tells generators apart that make other programs of the same
	// seeds; see [Fingerprint].
	Generator string
}

// Classes of programs, as a header has them.
const (
	classQuick = "quick"
	classSlow  = "slow"
)

// String returns the line, without its end.
func (h Header) String() string {
	class := classQuick
	if h.Slow {
		class = classSlow
	}
	return fmt.Sprintf("# kelpie litmus %d level=%s class=%s seeds=%d..%d generator=%s", formatVersion, h.Level, class, h.From, h.To, h.Generator)
}

// ParseHeader reads a header. Its error wraps ErrFormat.
func ParseHeader(line string) (Header, error) {
	var h Header
	var version int
	var level, class string
	_, err := fmt.Sscanf(line, "# kelpie litmus %d level=%s class=%s seeds=%d..%d generator=%s", &version, &level, &class, &h.From, &h.To, &h.Generator)
	h.Level, h.Slow = Level(level), class == classSlow
	switch {
	case err != nil:
		return Header{}, fmt.Errorf("%w: the first line is no header of litmus lines", ErrFormat)
	case version != formatVersion:
		return Header{}, fmt.Errorf("%w: format %d, this program reads format %d", ErrFormat, version, formatVersion)
	case h.Level != Port && h.Level != Client:
		return Header{}, fmt.Errorf("%w: unknown level %q", ErrFormat, level)
	case h.From > h.To || h.To-h.From >= MaxPrograms || h.To == math.MaxUint64:
		return Header{}, fmt.Errorf("%w: seeds %d..%d", ErrFormat, h.From, h.To)
	case h.String() != line:
		return Header{}, fmt.Errorf("%w: the first line is not as it is written: %.200q", ErrFormat, line)
	}
	return h, nil
}

// NewHeader returns the header of a file of n programs from seed from on. It
// returns an error that names what is out of range.
func NewHeader(o Generation, from, n uint64) (Header, error) {
	switch {
	case n == 0 || n > MaxPrograms:
		return Header{}, fmt.Errorf("litmus: %d programs, must be 1 to %d", n, MaxPrograms)
	case from > math.MaxUint64-n:
		return Header{}, fmt.Errorf("litmus: %d programs from seed %d go beyond the last seed, %d", n, from, uint64(math.MaxUint64)-1)
	}
	return Header{Generation: o, From: from, To: from + n - 1, Generator: Fingerprint(o)}, nil
}

// fingerprinted is how many programs make a fingerprint. They take all of the
// generator's paths but the rarest.
const fingerprinted = 512

// Fingerprint returns 16 hexadecimal digits that tell this generator from any
// that makes other programs.
func Fingerprint(o Generation) string {
	h := sha256.New()
	for seed := range uint64(fingerprinted) {
		p := Generate(o, seed)
		for i := range p.Steps {
			fmt.Fprintf(h, "%d %v\n", p.Steps[i].Client, &p.Steps[i])
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
