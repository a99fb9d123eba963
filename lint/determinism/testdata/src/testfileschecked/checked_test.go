package testfileschecked

import "time"

var later = time.Now // want `time\.Now`
