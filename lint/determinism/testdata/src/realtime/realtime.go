// Package realtime reads the machine's clock in every way that Go has.
package realtime

import (
	"time"
	. "time"
	clock "time"
)

func calls() {
	_ = time.Now()                         // want `time\.Now: read the host's clock`
	_ = time.Since(time.Time{})            // want `time\.Since`
	_ = time.Until(time.Time{})            // want `time\.Until`
	time.Sleep(1)                          // want `time\.Sleep: sleep on the host's clock`
	_ = time.After(1)                      // want `time\.After: wait on the host's clock`
	_ = time.AfterFunc(1, func() {})       // want `time\.AfterFunc`
	_ = time.NewTimer(1)                   // want `time\.NewTimer`
	_ = time.NewTicker(1)                  // want `time\.NewTicker`
	_ = time.Tick(1)                       // want `time\.Tick`
	_ = clock.Now()                        // want `time\.Now`
	_ = Now()                              // want `time\.Now`
	defer func() { clock.Sleep(Second) }() // want `time\.Sleep`
}

var now = time.Now // want `time\.Now`

type source struct{ now func() time.Time }

var sources = []source{{now: clock.Now}, {now: Now}} // want `time\.Now` `time\.Now`

func pass(func() time.Time) {}

func passes() { pass(time.Now) } // want `time\.Now`

// What only computes with times is fine.
func computes(t time.Time, d time.Duration) (time.Time, bool) {
	u := t.Add(d).Truncate(time.Second)
	return u, u.After(t) && time.Unix(0, 0).Before(u) && t.Sub(u) > 3*time.Second
}

// A name is not enough: these belong to the package.
type local struct{}

func (local) Now() time.Time   { return time.Time{} }
func (local) Sleep(d Duration) {}

func usesLocal(l local) { l.Sleep(1); _ = l.Now() }
