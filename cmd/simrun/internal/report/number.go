package report

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Grouped writes n with a comma between groups of three digits.
func Grouped(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	out := make([]byte, 0, len(digits)+len(digits)/3)
	for i := range len(digits) {
		if i > 0 && (len(digits)-i)%3 == 0 {
			out = append(out, ',')
		}
		out = append(out, digits[i])
	}
	return string(out)
}

// Rate returns n for each second of d, zero when no time has passed.
func Rate(n float64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return n / d.Seconds()
}

// rounded writes a figure of which nobody wants the digits behind the point.
func rounded(x float64) string { return Grouped(uint64(math.Round(max(x, 0)))) }

// Plural writes a number with its noun.
func Plural(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%s %ss", Grouped(n), noun)
}
