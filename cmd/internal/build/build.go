// Package build says what a command was built from.
package build

import (
	"runtime"
	"runtime/debug"
	"strings"
)

// Info is what a command was built from. Fields that the toolchain did not record are
// empty: `go run` records no revision.
type Info struct {
	Module   string `json:"module"`
	Version  string `json:"version,omitempty"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"` // the work tree had changes
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// This returns the build of this process.
func This() Info {
	b := Info{Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Module, b.Version = info.Main.Path, info.Main.Version
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

func (b Info) String() string {
	parts := []string{b.Module}
	for _, p := range []string{b.Version, b.Revision} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	if b.Modified {
		parts = append(parts, "(modified)")
	}
	return strings.Join(append(parts, b.Go, b.Platform), " ")
}
