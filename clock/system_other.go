//go:build !linux

package clock

// monotonic has no better source here than Go's own clock; see [System].
var monotonic = processTime
