package artifact_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/kelpie-registry/kelpie/cmd/internal/build"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/artifact"
	"github.com/kelpie-registry/kelpie/faults"
	"github.com/kelpie-registry/kelpie/linearizability"
	"github.com/kelpie-registry/kelpie/scenario"
	"github.com/kelpie-registry/kelpie/sim"
)

// sample returns an artifact with something in every field.
func sample(t testing.TB) *artifact.Artifact {
	t.Helper()
	plan, err := faults.Parse("v1 seed=7 crash(node-1)@1.5s+2s")
	if err != nil {
		t.Fatal(err)
	}
	a := &artifact.Artifact{
		Scenario: "mixed", Store: scenario.StoreSimFDB, Seed: 1<<64 - 1, Plan: plan, Build: build.This(),
		TraceHash: strings.Repeat("0123456789abcdef", 2), Events: 3, Operations: 9, Virtual: 61 * time.Second,
		Failure: &scenario.Failure{
			Rule: "token-order", Signature: "token-order: here", Message: "two\nlines", Process: "node-1", Task: "worker-0",
			Stack: "stack", At: 5 * time.Second, Event: 2,
		},
		Unknown: "why", History: []byte("{\"x\":\"<&>\"}\n\x01"),
	}
	for i := range uint64(3) {
		a.Trail.Record(i+1, 0xdead_beef_0000_0000+i)
	}
	return a
}

func encode(t testing.TB, a *artifact.Artifact) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := artifact.Encode(&b, a); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestAnArtifactComesBackAsItWas(t *testing.T) {
	passed := sample(t)
	passed.Failure = nil
	for _, want := range []*artifact.Artifact{sample(t), passed} {
		got, err := artifact.Decode(bytes.NewReader(encode(t, want)))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("came back as\n%+v, want\n%+v", got, want)
		}
	}
}

func TestDecodeRefusesWhatIsNoArtifact(t *testing.T) {
	whole := encode(t, sample(t))
	change := func(f func(m map[string]any)) []byte {
		var m map[string]any
		if err := json.Unmarshal(whole, &m); err != nil {
			t.Fatal(err)
		}
		m["seed"] = 1 // exact as a float
		f(m)
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	set := func(key string, v any) []byte { return change(func(m map[string]any) { m[key] = v }) }
	for name, c := range map[string]struct {
		file []byte
		want error
	}{
		"empty":               {nil, artifact.ErrForeign},
		"blank":               {[]byte(" \n"), artifact.ErrForeign},
		"half":                {whole[:len(whole)/2], artifact.ErrTruncated},
		"all but the end":     {whole[:len(whole)-2], artifact.ErrTruncated},
		"a start of nothing":  {whole[:10], artifact.ErrForeign},
		"another object":      {[]byte(`{"a":1}`), artifact.ErrForeign},
		"a history":           {[]byte(`{"format":"kelpie-history","version":1}` + "\n{}\n"), artifact.ErrForeign},
		"text":                {[]byte("PK\x03\x04"), artifact.ErrForeign},
		"two":                 {append(bytes.Clone(whole), whole...), artifact.ErrForeign},
		"newer":               {set("version", artifact.Version+1), artifact.ErrNewer},
		"newer, unknown form": {[]byte(`{"format":"kelpie-simrun-artifact","version":9,"seed":"x"}`), artifact.ErrNewer},
		"version 0":           {set("version", 0), artifact.ErrMalformed},
		"unknown field":       {set("extra", 1), artifact.ErrMalformed},
		"no scenario":         {set("scenario", ""), artifact.ErrMalformed},
		"store both":          {set("store", scenario.StoreBoth), artifact.ErrMalformed},
		"short hash":          {set("trace_hash", "00"), artifact.ErrMalformed},
		"no hash":             {set("trace_hash", strings.Repeat("x", 32)), artifact.ErrMalformed},
		"negative seed":       {set("seed", -1), artifact.ErrMalformed},
		"negative time":       {set("virtual_ns", -1), artifact.ErrMalformed},
		"too few digests":     {set("events", 4), artifact.ErrMalformed},
		"digests not base64":  {set("event_hashes", "??"), artifact.ErrMalformed},
		"no seed":             {change(func(m map[string]any) { delete(m, "seed") }), artifact.ErrMalformed},
		"no plan":             {set("plan", nil), artifact.ErrMalformed},
		"bad plan":            {set("plan", map[string]any{"version": 1}), artifact.ErrMalformed},
	} {
		a, err := artifact.Decode(bytes.NewReader(c.file))
		if !errors.Is(err, c.want) || a != nil {
			t.Errorf("%s: %v, error %v; want %v", name, a, err, c.want)
		}
	}
}

func TestAHistoryIsToldFromAnArtifact(t *testing.T) {
	var history bytes.Buffer
	if err := (&linearizability.History{Header: linearizability.Header{Scenario: "mixed"}}).Encode(&history); err != nil {
		t.Fatal(err)
	}
	// No more than the start is read: what follows cannot be.
	start := strings.NewReader(history.String() + strings.Repeat(" ", 4096))
	_, err := artifact.Decode(io.MultiReader(start, iotest.ErrReader(io.ErrClosedPipe)))
	if !errors.Is(err, artifact.ErrForeign) || !strings.Contains(err.Error(), "a history, which simrun check judges") {
		t.Errorf("error %v of a history", err)
	}
	a := sample(t)
	a.History = bytes.Clone(history.Bytes())
	file := encode(t, a)
	if _, err := artifact.Decode(bytes.NewReader(file)); err != nil {
		t.Errorf("an artifact that holds a history: %v", err)
	}
	for name, c := range map[string]struct {
		file string
		want bool
	}{
		"artifact":        {string(file), true},
		"half of one":     {string(file[:len(file)/2]), true},
		"a newer one":     {`{"version":7,"format":"kelpie-simrun-artifact"`, true},
		"history":         {history.String(), false},
		"empty":           {"", false},
		"text that names": {`the "kelpie-simrun-artifact"`, false},
		"too far behind":  {"{" + strings.Repeat(" ", 4096) + `"format":"kelpie-simrun-artifact"`, false},
	} {
		if got := artifact.Recognize(strings.NewReader(c.file)); got != c.want {
			t.Errorf("%s: recognized is %v", name, got)
		}
	}
	if _, err := artifact.Decode(iotest.ErrReader(io.ErrClosedPipe)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("error %v of what cannot be read", err)
	}
	if artifact.Recognize(iotest.ErrReader(io.ErrClosedPipe)) {
		t.Error("recognized what cannot be read")
	}
}

// endless is a reader that never ends and counts what was taken.
type endless struct{ taken int }

func (e *endless) Read(b []byte) (int, error) {
	clear(b)
	e.taken += len(b)
	return len(b), nil
}

func TestDecodeReadsABoundedPartOfAHugeFile(t *testing.T) {
	var huge endless
	if _, err := artifact.Decode(&huge); !errors.Is(err, artifact.ErrTooLarge) {
		t.Errorf("error %v, want %v", err, artifact.ErrTooLarge)
	}
	if huge.taken > artifact.MaxBytes+1 {
		t.Errorf("read %d bytes, the bound is %d", huge.taken, artifact.MaxBytes)
	}
	a := sample(t)
	a.History = make([]byte, artifact.MaxBytes+1)
	var b bytes.Buffer
	if err := artifact.Encode(&b, a); !errors.Is(err, artifact.ErrTooLarge) || b.Len() > 0 {
		t.Errorf("encoding too much: error %v and %d bytes, want %v and none", err, b.Len(), artifact.ErrTooLarge)
	}
}

func TestTrailFindsTheDifferingEvent(t *testing.T) {
	a := sample(t)
	if !a.Trail.Agrees(2, 0xdead_beef_0000_0001) {
		t.Error("disagrees with what was recorded")
	}
	if a.Trail.Agrees(2, 0xdead_beef_0000_0002) {
		t.Error("agrees with another hash")
	}
	for _, outside := range []uint64{0, 4, 1 << 60} {
		if !a.Trail.Agrees(outside, 1) {
			t.Errorf("disagrees on event %d, which it does not know", outside)
		}
	}
}

func TestAFolderKeepsTheFirstOfEachSignature(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	f, err := artifact.NewFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the folder is there before anything was kept: %v", err)
	}
	a := sample(t)
	for i := range artifact.DefaultPerSignature {
		if !f.Wants("s") {
			t.Fatalf("does not want number %d", i+1)
		}
		a.Seed = uint64(i)
		path, err := f.Keep("s", a)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := artifact.Read(path); err != nil || back.Seed != a.Seed {
			t.Fatalf("read back %v, %v", back, err)
		}
	}
	if f.Wants("s") {
		t.Error("wants more of a signature than its bound")
	}
	if !f.Wants("t") {
		t.Error("does not want another signature")
	}
	for i := artifact.DefaultPerSignature; i < artifact.DefaultTotal; i++ {
		a.Seed = uint64(i)
		if _, err := f.Keep(string(rune('A'+i)), a); err != nil {
			t.Fatal(err)
		}
	}
	if f.Wants("new") {
		t.Error("wants more than its bound in all")
	}
}

func TestReadNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.json")
	if _, err := artifact.Read(path); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v of a missing file", err)
	}
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := artifact.Read(path); !errors.Is(err, artifact.ErrForeign) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v of a foreign file", err)
	}
}

func TestRecordWritesDownWhatTheRunDoes(t *testing.T) {
	first := scenario.Result{
		Scenario: "fake", Store: scenario.StoreMemory, Seed: 3, Hash: sim.Hash{1},
		Failure: &scenario.Failure{Rule: "r", Signature: "r: s"},
	}
	run := func(c scenario.Config) (scenario.Result, error) {
		if c.Seed != 3 || c.Store != scenario.StoreMemory || c.Plan == nil || !c.KeepHistory {
			t.Errorf("config %+v does not repeat the run", c)
		}
		c.OnEvent(1, 10)
		c.OnEvent(2, 20)
		res := first
		res.Events = 2
		res.History = linearizability.History{Header: linearizability.Header{Scenario: "fake", Seed: 3}}
		return res, nil
	}
	a, err := artifact.Record(run, &first)
	if err != nil {
		t.Fatal(err)
	}
	if a.TraceHash != first.Hash.String() || a.Events != 2 || a.Trail.Len() != 2 || !a.Trail.Agrees(2, 20) || a.Failure == nil {
		t.Errorf("recorded %+v", a)
	}
	h, err := linearizability.Decode(bytes.NewReader(a.History), linearizability.Limits{})
	if err != nil || h.Scenario != "fake" {
		t.Errorf("history %v, %v", h, err)
	}
	boom := errors.New("boom")
	if _, err := artifact.Record(func(scenario.Config) (scenario.Result, error) { return scenario.Result{}, boom }, &first); !errors.Is(err, boom) {
		t.Errorf("error %v, want %v", err, boom)
	}
}

func FuzzDecode(f *testing.F) {
	whole := encode(f, sample(f))
	f.Add(whole)
	f.Add(whole[:len(whole)/3])
	f.Add([]byte(`{"format":"kelpie-simrun-artifact","version":1}`))
	f.Add([]byte(`{"format":"kelpie-simrun-artifact","version":2}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, file []byte) {
		a, err := artifact.Decode(bytes.NewReader(file))
		if err != nil {
			known := []error{artifact.ErrTruncated, artifact.ErrTooLarge, artifact.ErrForeign, artifact.ErrNewer, artifact.ErrMalformed}
			for _, k := range known {
				if errors.Is(err, k) {
					return
				}
			}
			t.Fatalf("error %v is of no known kind", err)
		}
		again, err := artifact.Decode(bytes.NewReader(encode(t, a)))
		if err != nil {
			t.Fatalf("what was decoded does not decode again: %v", err)
		}
		if !reflect.DeepEqual(a, again) {
			t.Fatalf("decoded as\n%+v, and then as\n%+v", a, again)
		}
	})
}
