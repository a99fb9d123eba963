//determinism:real // want `//determinism:real without a reason`

package realunused

import "time"

var Now = time.Now
