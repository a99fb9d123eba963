// Package testfiles has a test.
package testfiles

import "time"

var Now = time.Now // want `time\.Now`
