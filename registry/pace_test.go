package registry

import (
	"testing"
	"time"
)

func TestPaceIsTheSecondLongestOfTheLast(t *testing.T) {
	const quick, quicker, slow, slower = 4 * time.Millisecond, 3 * time.Millisecond, 900 * time.Millisecond, time.Second
	repeat := func(d time.Duration, times int) (ds []time.Duration) {
		for range times {
			ds = append(ds, d)
		}
		return ds
	}
	for name, c := range map[string]struct {
		took []time.Duration
		want time.Duration
	}{
		"none":                     {nil, 0},
		"one":                      {[]time.Duration{quick}, quick},
		"two":                      {[]time.Duration{quick, quicker}, quicker},
		"two, the other way":       {[]time.Duration{quicker, quick}, quicker},
		"one of many":              {append(repeat(quick, 20), slow), quick},
		"one of many, followed":    {append(append(repeat(quick, 20), slow), quicker), quick},
		"two in a row":             {append(repeat(quick, 20), slower, slow), slow},
		"the same, twice":          {append(repeat(quick, 20), slow, slow), slow},
		"two, not in a row":        {append(append(append(repeat(quick, 20), slow), repeat(quick, paceMemory-2)...), slower), slow},
		"two that are far apart":   {append(append(append(repeat(quick, 20), slow), repeat(quick, paceMemory-1)...), slower), quick},
		"a slow store":             {repeat(slow, 20), slow},
		"a store that is slow now": {append(repeat(quick, 20), repeat(slow, 2)...), slow},
		"a store that was slow":    {append(repeat(slow, 20), repeat(quick, paceMemory-1)...), quick},
	} {
		t.Run(name, func(t *testing.T) {
			var p pace
			for _, d := range c.took {
				p.see(d)
			}
			if got := p.time(); got != c.want {
				t.Errorf("after %v: %v, want %v", c.took, got, c.want)
			}
		})
	}
}
