//go:build !fdb

package conform

// tagged returns the stores that only a build with a tag has.
func tagged() []Store { return nil }
