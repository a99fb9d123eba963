// Package realmisplaced excuses a file too late.
package realmisplaced

import "time"

//determinism:real too late // want `//determinism:real must stand before the package clause`

var Now = time.Now // want `time\.Now`
