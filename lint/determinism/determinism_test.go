package determinism_test

import (
	"testing"

	"golang.org/x/tools/go/analysis/analysistest"

	"github.com/kelpie-registry/kelpie/lint/determinism"
)

// Every line of testdata that must be rejected says with which words; every
// other line must be accepted.
func TestAnalyzer(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), determinism.New(),
		"addresses", "chance", "contexts", "directives", "linkname", "mapaccept", "mapiterators", "mapreject", "outside",
		"realmisplaced", "realside", "realtime", "realunused", "tasks", "testfiles", "waiting")
}

func TestFlagTestsChecksTestFiles(t *testing.T) {
	a := determinism.New()
	if err := a.Flags.Set("tests", "true"); err != nil {
		t.Fatal(err)
	}
	analysistest.Run(t, analysistest.TestData(), a, "testfileschecked")
}

func TestFlagPackagesLeavesOthersAlone(t *testing.T) {
	a := determinism.New()
	if err := a.Flags.Set("packages", "realtime,outside"); err != nil {
		t.Fatal(err)
	}
	analysistest.Run(t, analysistest.TestData(), a, "realtime")
	if findings := analysistest.Run(quiet{t}, analysistest.TestData(), a, "waiting"); len(findings[0].Diagnostics) > 0 {
		t.Errorf("package waiting is not among the packages to check, and got %d findings", len(findings[0].Diagnostics))
	}
}

// quiet drops the complaints that expected findings are missing.
type quiet struct{ *testing.T }

func (quiet) Errorf(string, ...any) {}
