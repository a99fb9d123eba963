//go:build linux || darwin

package httpnet_test

import (
	"syscall"
	"testing"
)

// descriptors returns how many connections a test may hold, at most most.
func descriptors(t *testing.T, most int) int {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	const others = 1000 // of the server's end, and the test's
	if limit.Cur < 2*others {
		t.Fatalf("the process may have %d descriptors, the test needs %d", limit.Cur, 2*others)
	}
	return int(min(uint64(most), limit.Cur-others))
}
