package build_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/kelpie-registry/kelpie/cmd/internal/build"
)

func TestThisSaysWhatItIs(t *testing.T) {
	b := build.This()
	if b.Module != "github.com/kelpie-registry/kelpie" || b.Go != runtime.Version() || b.Platform != runtime.GOOS+"/"+runtime.GOARCH {
		t.Errorf("%+v", b)
	}
}

func TestStringLeavesOutWhatIsNotKnown(t *testing.T) {
	b := build.Info{Module: "m", Go: "go1", Platform: "p/q"}
	if got := b.String(); got != "m go1 p/q" {
		t.Errorf("%q", got)
	}
	b.Version, b.Revision, b.Modified = "v1", "abc", true
	if got := b.String(); !strings.HasPrefix(got, "m v1 abc (modified)") {
		t.Errorf("%q", got)
	}
}
