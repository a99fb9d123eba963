//go:build unix

package remote

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is what all cores have spent on this process.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
