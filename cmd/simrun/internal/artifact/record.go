package artifact

import (
	"bytes"

	"github.com/kelpie-registry/kelpie/cmd/internal/build"
	"github.com/kelpie-registry/kelpie/scenario"
)

// Record repeats the run that ended as r, with the digests of its events and
// its history written down. The artifact holds what the repetition did; its
// trace hash differs from r's when the run does not repeat itself. The error is
// that of run.
func Record(run func(scenario.Config) (scenario.Result, error), r *scenario.Result) (*Artifact, error) {
	a := &Artifact{Scenario: r.Scenario, Store: r.Store, Seed: r.Seed, Plan: r.Plan, Build: build.This()}
	again, err := run(scenario.Config{
		Seed: r.Seed, Store: r.Store, Plan: &r.Plan, OnEvent: a.Trail.Record, KeepHistory: true,
	})
	if err != nil {
		return nil, err
	}
	a.TraceHash, a.Virtual = again.Hash.String(), again.Virtual
	a.Events, a.Operations = again.Events, again.Operations
	a.Failure, a.Unknown = again.Failure, again.Unknown
	if a.Failure == nil && a.Unknown == "" {
		a.Failure, a.Unknown = r.Failure, r.Unknown
	}
	var history bytes.Buffer
	// A history that cannot be written is one more symptom, not a reason to lose
	// the artifact: the seed has it all.
	if again.History.Encode(&history) == nil {
		a.History = history.Bytes()
	}
	return a, nil
}
