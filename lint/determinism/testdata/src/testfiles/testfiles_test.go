package testfiles

import "time"

var later = time.Now
