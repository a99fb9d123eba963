package realside

import "time"

func Later() time.Time { return time.Now() } // want `time\.Now`
