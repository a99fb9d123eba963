package litmus

import "fmt"

// FillWith makes the sets of a Fill.
func FillWith(s *Step, set func(key, value []byte)) {
	value := make([]byte, fillValueBytes)
	for i := range s.N {
		set(fmt.Appendf(nil, "fill-%03d", i), value)
	}
	if s.Limit > 0 {
		set([]byte("fill-end"), value[:s.Limit])
	}
}

// Bytes returns keys as slices.
func Bytes(keys []string) [][]byte {
	b := make([][]byte, len(keys))
	for i, k := range keys {
		b[i] = []byte(k)
	}
	return b
}
