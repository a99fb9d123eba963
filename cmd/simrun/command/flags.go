package command

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kelpie-registry/kelpie/scenario"
)

// count is a flag that holds a whole number in a range.
type count struct {
	value    uint64
	min, max uint64
}

func (c *count) String() string { return strconv.FormatUint(c.value, 10) }
func (c *count) Type() string   { return "n" }

func (c *count) Set(s string) error {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n < c.min || n > c.max {
		return fmt.Errorf("must be a whole number from %d to %d", c.min, c.max)
	}
	c.value = n
	return nil
}

// duration is a flag that holds a length of time in a range.
type duration struct {
	value    time.Duration
	min, max time.Duration
}

func (d *duration) String() string { return d.value.String() }
func (d *duration) Type() string   { return "duration" }

func (d *duration) Set(s string) error {
	v, err := time.ParseDuration(s)
	if err != nil || v < d.min || v > d.max {
		return fmt.Errorf("must be a duration from %v to %v, such as 20s or 500ms", d.min, d.max)
	}
	d.value = v
	return nil
}

// choice is a flag that holds one of a few words.
type choice struct {
	value string
	of    []string
}

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return strings.Join(c.of, "|") }

func (c *choice) Set(s string) error {
	if !slices.Contains(c.of, s) {
		return fmt.Errorf("must be one of: %s", strings.Join(c.of, ", "))
	}
	c.value = s
	return nil
}

// Bounds of flags.
const (
	maxSeeds   = 1_000_000_000
	maxWorkers = 1024
)

func storeFlag() *choice {
	return &choice{value: scenario.StoreBoth, of: []string{scenario.StoreSimFDB, scenario.StoreMemory, scenario.StoreBoth}}
}
