package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestTrialRunsTheSeedsOfAScenario(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run([]string{"--scenario", "mixed", "--from", "7", "--seeds", "5", "--workers", "2"}, &out, &errs); code != exitHeld {
		t.Fatalf("exit code %d: %s", code, &errs)
	}
	var v verdict
	if err := json.Unmarshal(out.Bytes(), &v); err != nil || v.Seeds != 5 || v.Unknown != 0 || v.Failures == nil || len(v.Failures) > 0 {
		t.Errorf("got %+v, %v", v, err)
	}
}

func TestTrialRefuses(t *testing.T) {
	for says, args := range map[string][]string{
		"nonsense":         {"--scenario", "nonsense"},
		"seeds 0":          {"--scenario", "mixed", "--seeds", "0"},
		"not a range":      {"--scenario", "mixed", "--from", "18446744073709551615", "--seeds", "2"},
		"0 workers":        {"--scenario", "mixed", "--workers", "0"},
		"unknown argument": {"--scenario", "mixed", "more"},
		"-what":            {"--what"},
	} {
		var out, errs bytes.Buffer
		if code := run(args, &out, &errs); code != exitUsage || out.Len() > 0 || !strings.Contains(errs.String(), says) {
			t.Errorf("%q: exit code %d, printed %q and %q", args, code, &out, &errs)
		}
	}
}
