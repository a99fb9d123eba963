package sim

import (
	"flag"
	"fmt"
	"os" //determinism:allow reads the settings of go test, outside of any world
	"strconv"
	"strings"
	"testing"
)

// settings are what a user of go test may set from outside: by flag, which only
// packages that use this one have, or by environment variable.
var settings = []*setting{
	{flag: "seed", env: "KELPIE_SEED", usage: "run this seed only"},
	{flag: "seeds", env: "KELPIE_SEEDS", usage: "number of seeds to run"},
	{flag: "from", env: "KELPIE_FROM", usage: "first seed to run"},
	{flag: "plan", env: "KELPIE_PLAN", usage: "plan to run, as text or as @file"},
	{flag: "trace", env: "KELPIE_TRACE", usage: "print the trace of each seed: true or false"},
}

type setting struct {
	flag, env, usage string
	value            *string
}

func init() {
	for _, s := range settings {
		s.value = flag.String("sim."+s.flag, "", s.usage+" (environment: "+s.env+")")
	}
}

// lookup returns the setting of that name and where it came from; "" for both
// when it is not set.
func lookup(name string) (value, origin string) {
	for _, s := range settings {
		if s.flag != name {
			continue
		}
		if *s.value != "" {
			return *s.value, "-sim." + s.flag
		}
		if v := os.Getenv(s.env); v != "" {
			return v, s.env
		}
	}
	return "", ""
}

// lookupUint returns the setting of that name, or fallback.
func lookupUint(name string, fallback uint64) (uint64, error) {
	text, origin := lookup(name)
	if text == "" {
		return fallback, nil
	}
	n, err := strconv.ParseUint(text, 0, 64)
	if err != nil {
		return 0, fmt.Errorf("sim: %s is %q, must be a number from 0 to 2^64-1", origin, text)
	}
	return n, nil
}

// lookupPlan returns the plan to run, or fallback.
func lookupPlan(fallback string) (string, error) {
	text, origin := lookup("plan")
	file, isFile := strings.CutPrefix(text, "@")
	switch {
	case text == "":
		return fallback, nil
	case !isFile:
		return text, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("sim: %s: %w", origin, err)
	}
	return string(b), nil
}

// lookupTrace reports whether traces are to be printed.
func lookupTrace() (bool, error) {
	text, origin := lookup("trace")
	if text == "" {
		return false, nil
	}
	on, err := strconv.ParseBool(text)
	if err != nil {
		return false, fmt.Errorf("sim: %s is %q, must be true or false", origin, text)
	}
	return on, nil
}

// Numbers of seeds that [Test] runs unless told otherwise.
const (
	DefaultSeeds      = 100
	DefaultShortSeeds = 10 // with go test -short
	// MaxSeeds bounds the seeds of one Test; beyond it there is simrun.
	MaxSeeds = 1_000_000
)

// seedRange returns the first seed to run and how many.
func seedRange(o TestOptions) (from, count uint64, err error) {
	if o.Seeds < 0 || o.Seeds > MaxSeeds {
		return 0, 0, fmt.Errorf("sim: TestOptions.Seeds is %d, must be between 0 and %d", o.Seeds, MaxSeeds)
	}
	if text, _ := lookup("seed"); text != "" {
		seed, err := lookupUint("seed", 0)
		return seed, 1, err
	}
	count = uint64(o.Seeds)
	switch {
	case count > 0:
	case testing.Short():
		count = DefaultShortSeeds
	default:
		count = DefaultSeeds
	}
	if count, err = lookupUint("seeds", count); err != nil {
		return 0, 0, err
	}
	if count == 0 || count > MaxSeeds {
		_, origin := lookup("seeds")
		return 0, 0, fmt.Errorf("sim: %s is %d, must be between 1 and %d", origin, count, MaxSeeds)
	}
	from = o.From
	if from == 0 {
		from = 1
	}
	from, err = lookupUint("from", from)
	return from, count, err
}
