package sim

import "time"

func zzProbe() time.Time { println(1); return time.Now() }
