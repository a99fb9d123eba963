package mutants

import (
	"slices"
	"time"
)

// Result is what came of one mutant.
type Result struct {
	Mutant   string   `json:"mutant"`
	Title    string   `json:"title"`
	Caught   bool     `json:"caught"`
	Tried    []string `json:"tried"`              // scenarios that were run, in order
	Scenario string   `json:"scenario,omitempty"` // that caught it
	Seed     uint64   `json:"seed"`               // of that scenario
	Rule     string   `json:"rule,omitempty"`     // that was violated
	Message  string   `json:"message,omitempty"`

	// Seeds is how many were run, in order, up to the one that failed, over all
	// scenarios that were tried; of a survivor, all.
	Seeds int `json:"seeds"`
	// Wall is the time that running them took.
	Wall time.Duration `json:"wall_ns"`
	// Build is the time that building took.
	Build time.Duration `json:"build_ns"`
}

// Report is the score.
type Report struct {
	Results []Result `json:"results"` // in order of name
	// Survivors names the mutants that were not caught, in order.
	Survivors []string `json:"survivors"`
	// MedianSeeds is the median of Seeds over the mutants that were caught; the
	// lower of the two in the middle when their number is even, and zero when
	// none was caught.
	MedianSeeds int `json:"median_seeds"`
	// ControlSeeds is how many seeds the unchanged code was run on, over all
	// scenarios; it held on each.
	ControlSeeds int `json:"control_seeds"`
	// Wall is the time that all of it took.
	Wall time.Duration `json:"wall_ns"`
}

// add appends a result.
func (r *Report) add(res Result) {
	r.Results = append(r.Results, res)
	if !res.Caught {
		r.Survivors = append(r.Survivors, res.Mutant)
	}
	r.MedianSeeds = median(r.Results)
}

func median(results []Result) int {
	var seeds []int
	for _, r := range results {
		if r.Caught {
			seeds = append(seeds, r.Seeds)
		}
	}
	if len(seeds) == 0 {
		return 0
	}
	slices.Sort(seeds)
	return seeds[(len(seeds)-1)/2]
}
