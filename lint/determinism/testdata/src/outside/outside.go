// Package outside imports what reaches the world around the simulator.
package outside

import (
	_ "io/ioutil"         // want `import of io/ioutil: the outside world is not simulated`
	_ "net"               // want `import of net: take the network from the host`
	_ "net/http"          // want `import of net/http`
	_ "net/http/httptest" // want `import of net/http/httptest`
	_ "os"                // want `import of os: the outside world is not simulated`
	_ "os/exec"           // want `import of os/exec`
	_ "os/signal"         // want `import of os/signal`
	"path/filepath"       // only some of its functions are forbidden
	_ "plugin"            // want `import of plugin`
	sys "syscall"         // want `import of syscall`
	_ "testing/synctest"  // want `import of testing/synctest`
	_ "weak"              // want `import of weak`

	_ "bytes"
	_ "io"
	_ "io/fs"
	_ "log/slog"
	_ "net/netip"
	_ "net/url"
)

const number = sys.SYS_READ

func files() {
	_, _ = filepath.Glob("*")      // want `path/filepath\.Glob`
	_, _ = filepath.Abs(".")       // want `path/filepath\.Abs`
	_ = filepath.WalkDir(".", nil) // want `path/filepath\.WalkDir`
	_ = filepath.Join("a", "b")
}
