package simfdb

import "time"

// Version numbers a point in the cluster's history. Versions advance by about
// a million per second of true time, and jump at a recovery.
type Version int64

// invalidVersion is the commit version of a transaction that wrote nothing.
const invalidVersion Version = -1

const (
	versionsPerSecond = 1_000_000

	// windowVersions is how far back reads and commits may reach: five seconds.
	windowVersions Version = 5 * versionsPerSecond

	// recoveryJump is how far a recovery moves the version, so that no version
	// that the old generation may have given out is used again.
	recoveryJump Version = 100 * versionsPerSecond

	// idleInterval is how often an idle cluster commits an empty batch, which is
	// what moves its read version.
	idleInterval = 2_080_475 * time.Microsecond
)

// idleVersion returns the version of the last empty batch that an idle cluster
// has committed by now, when its last real one got version last at time at.
// Empty batches are not simulated one by one: they change nothing but this.
func idleVersion(last Version, at, now time.Duration) Version {
	if now <= at {
		return last
	}
	steps := (now - at) / idleInterval
	return last + versionsIn(steps*idleInterval)
}

// versionsIn returns by how much the version advances in d.
func versionsIn(d time.Duration) Version {
	return Version(d / (time.Second / versionsPerSecond))
}
