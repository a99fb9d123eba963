//go:build linux || darwin

package daemon

import "syscall"

// descriptors returns how many files and connections this process may have open; 0
// when it does not know.
func descriptors() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return limit.Cur
}
