//determinism:real the real clock reads the machine's time

package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

// monotonic is chosen once, so that the origin stays fixed for the life of the
// process. A sandbox may refuse CLOCK_BOOTTIME.
var monotonic = func() func() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return processTime
	}
	return bootTime
}()

// bootTime reads CLOCK_BOOTTIME: it counts the time during which the machine
// was suspended, which CLOCK_MONOTONIC and so Go's own clock do not.
//
// Go's runtime calls the vDSO for CLOCK_MONOTONIC only; this is a system call,
// of about 150 ns (see BenchmarkMonotonic), without allocation.
func bootTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("clock: CLOCK_BOOTTIME was readable and no longer is: " + err.Error())
	}
	return time.Duration(ts.Nano())
}
