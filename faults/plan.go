package faults

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Version is the version of the formats that this package prints.
const Version = 1

// Limits of a plan.
const (
	MaxFaults = 10_000            // faults in a plan
	MaxTime   = 1_000 * time.Hour // At and For of a fault
	MaxName   = 128               // bytes of a Target or Peer
	MaxText   = 8 << 20           // bytes of a plan that is parsed
)

// Errors of plans.
var (
	// ErrInvalid: a plan breaks a limit or a rule of its kinds, does not fit the
	// world, or its text cannot be parsed. The error names the field.
	ErrInvalid = errors.New("faults: invalid plan")
)

// Fault is one thing that goes wrong. [Kinds] says which fields a kind uses;
// the others must be zero.
type Fault struct {
	// At is when it begins, in true time since the start of the world; 0 to
	// [MaxTime].
	At time.Duration
	// For is how long it lasts; 0 to [MaxTime], 0 means for ever.
	For  time.Duration
	Kind Kind
	// Target and Peer name processes: letters, digits and any of ".:_/-", at
	// most [MaxName] bytes.
	Target, Peer string
	// Amount is how much, in the unit of the kind.
	Amount float64
}

// Plan is what goes wrong in a run. The order of the faults has no meaning but
// for those that begin at one instant.
type Plan struct {
	// Version is that of the format. 0 stands for the present one.
	Version int
	// Seed is what the plan was generated from, for people: it decides nothing.
	Seed   uint64
	Faults []Fault
}

// Validate returns an error that wraps [ErrInvalid] and names the field and the
// limit that it breaks.
func (p Plan) Validate() error {
	if p.Version != 0 && p.Version != Version {
		return fmt.Errorf("%w: version is %d, must be %d", ErrInvalid, p.Version, Version)
	}
	if len(p.Faults) > MaxFaults {
		return fmt.Errorf("%w: %d faults, at most %d are allowed", ErrInvalid, len(p.Faults), MaxFaults)
	}
	for i, f := range p.Faults {
		if err := f.check(); err != nil {
			return fmt.Errorf("%w: faults[%d]: %w", ErrInvalid, i, err)
		}
	}
	return nil
}

// Validate returns an error that wraps [ErrInvalid] and names the field and the
// limit that it breaks.
func (f Fault) Validate() error {
	if err := f.check(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

func (f Fault) check() error {
	spec, ok := f.Kind.Spec()
	if !ok {
		return unknownKind(f.Kind)
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"at", f.At}, {"for", f.For}} {
		if d.value < 0 || d.value > MaxTime {
			return fmt.Errorf("%s is %v, must be 0 to %v", d.name, d.value, MaxTime)
		}
	}
	if err := checkName("target", f.Target); err != nil {
		return err
	}
	if err := checkName("peer", f.Peer); err != nil {
		return err
	}
	return spec.check(f)
}

func unknownKind(k Kind) error {
	names := make([]string, len(table))
	for i, s := range table {
		names[i] = string(s.Kind)
	}
	return fmt.Errorf("kind is %q, must be one of %s", clip(string(k)), strings.Join(names, ", "))
}

// nameBytes are the bytes of targets and peers.
const nameBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:_/-"

func checkName(field, name string) error {
	if len(name) > MaxName {
		return fmt.Errorf("%s has %d bytes, at most %d are allowed", field, len(name), MaxName)
	}
	for i := range len(name) {
		if strings.IndexByte(nameBytes, name[i]) < 0 {
			return fmt.Errorf("%s is %q: byte %q is not a letter, a digit or one of .:_/-", field, name, name[i])
		}
	}
	return nil
}

// clip shortens text for an error message.
func clip(s string) string {
	const most = 100
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}

// end returns when the fault ends; false when it never does.
func (f Fault) end() (time.Duration, bool) {
	if f.For > 0 {
		return f.At + f.For, true
	}
	spec, _ := f.Kind.Spec()
	return f.At, !spec.Lasts
}

// Equal reports whether two plans are the same, in all fields.
func (p Plan) Equal(q Plan) bool {
	return p.version() == q.version() && p.Seed == q.Seed && slices.Equal(p.Faults, q.Faults)
}

func (p Plan) version() int {
	if p.Version == 0 {
		return Version
	}
	return p.Version
}

// Heal returns the plan with every fault over at time at: a fault that would
// begin at that time or later is left out, one that lasts longer, or for ever,
// ends then. So nothing is down, paused, cut or degraded by a fault any more,
// and a scenario may demand that what it tests converges.
func (p Plan) Heal(at time.Duration) Plan {
	q := Plan{Version: p.Version, Seed: p.Seed, Faults: make([]Fault, 0, len(p.Faults))}
	for _, f := range p.Faults {
		if f.At >= at {
			continue
		}
		if end, ends := f.end(); !ends || end > at {
			f.For = at - f.At
		}
		q.Faults = append(q.Faults, f)
	}
	return q
}

// Healed returns the time from which on no fault lasts; false when one lasts
// for ever.
func (p Plan) Healed() (time.Duration, bool) {
	last := time.Duration(0)
	for _, f := range p.Faults {
		end, ends := f.end()
		if !ends {
			return 0, false
		}
		last = max(last, end)
	}
	return last, true
}

// Without returns the plan without the faults of those indices. Indices that
// the plan does not have are ignored.
func (p Plan) Without(indices ...int) Plan {
	return p.only(func(i int) bool { return !slices.Contains(indices, i) })
}

// Halves returns the plan's first half and its second, which is the longer one
// when the number of faults is odd.
func (p Plan) Halves() (first, second Plan) {
	half := len(p.Faults) / 2
	return p.only(func(i int) bool { return i < half }), p.only(func(i int) bool { return i >= half })
}

// only returns the plan with the faults whose index keep accepts.
func (p Plan) only(keep func(i int) bool) Plan {
	q := Plan{Version: p.Version, Seed: p.Seed}
	for i, f := range p.Faults {
		if keep(i) {
			q.Faults = append(q.Faults, f)
		}
	}
	return q
}
