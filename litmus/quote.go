package litmus

import (
	"fmt"
	"hash/fnv"
	"strconv"
)

// longest is how many bytes of a key or a value are printed, at most.
const longest = 48

// quote prints a key or a value: a Go string of ASCII characters. A long one is
// cut, with its length and a checksum of all of it behind.
func quote(s string) string {
	if len(s) <= longest {
		return strconv.QuoteToASCII(s)
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(s)) // a hash never fails
	return fmt.Sprintf("%s…(%d bytes, %08x)", strconv.QuoteToASCII(s[:8]), len(s), h.Sum32())
}
