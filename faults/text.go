package faults

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// String prints the plan on one line, which [Parse] turns back into an equal
// plan: "v1", "seed=N", then each fault as [Fault.String] prints it, with single
// spaces between.
func (p Plan) String() string {
	b := fmt.Appendf(nil, "v%d seed=%d", p.version(), p.Seed)
	for _, f := range p.Faults {
		b = append(b, ' ')
		b = f.appendText(b)
	}
	return string(b)
}

// String prints the fault as
//
//	KIND(TARGET,PEER)@AT+FOR*AMOUNT
//
// without the comma when there is no peer, and without the parts of For and
// Amount that are zero. Times are printed as time.Duration does.
func (f Fault) String() string { return string(f.appendText(nil)) }

func (f Fault) appendText(b []byte) []byte {
	b = append(b, f.Kind...)
	b = append(b, '(')
	b = append(b, f.Target...)
	if f.Peer != "" {
		b = append(b, ',')
		b = append(b, f.Peer...)
	}
	b = append(b, ")@"...)
	b = append(b, f.At.String()...)
	if f.For != 0 {
		b = append(b, '+')
		b = append(b, f.For.String()...)
	}
	if f.Amount != 0 {
		b = append(b, '*')
		b = strconv.AppendFloat(b, f.Amount, 'g', -1, 64)
	}
	return b
}

// Parse reads a plan from what [Plan.String] prints or from JSON. It is strict:
// an error wraps [ErrInvalid] and names the field. Text over [MaxText] bytes is
// refused.
func Parse(text string) (Plan, error) {
	if len(text) > MaxText {
		return Plan{}, tooLong(len(text))
	}
	var p Plan
	var err error
	if trimmed := strings.TrimSpace(text); strings.HasPrefix(trimmed, "{") {
		p, err = parseJSON(trimmed)
	} else {
		p, err = parseText(trimmed)
	}
	if err != nil {
		return Plan{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := p.Validate(); err != nil {
		return Plan{}, err
	}
	return p, nil
}

// Read is Parse of all that r has; it reads no more than [MaxText] bytes and
// one.
func Read(r io.Reader) (Plan, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxText+1))
	if err != nil {
		return Plan{}, fmt.Errorf("faults: reading a plan: %w", err)
	}
	return Parse(string(text))
}

func tooLong(n int) error {
	return fmt.Errorf("%w: the text has over %d bytes (%d)", ErrInvalid, MaxText, n)
}

func parseText(text string) (Plan, error) {
	words := strings.Fields(text)
	if len(words) < 2 {
		return Plan{}, fmt.Errorf("%q is neither JSON nor a line that begins with \"v%d seed=N\"", clip(text), Version)
	}
	var p Plan
	var err error
	version, ok := strings.CutPrefix(words[0], "v")
	if p.Version, err = strconv.Atoi(version); err != nil || !ok || p.Version != Version {
		return Plan{}, fmt.Errorf("version is %q, must be \"v%d\"", clip(words[0]), Version)
	}
	seed, ok := strings.CutPrefix(words[1], "seed=")
	if p.Seed, err = strconv.ParseUint(seed, 10, 64); err != nil || !ok {
		return Plan{}, fmt.Errorf("seed is %q, must be \"seed=\" and a number from 0 to 2^64-1", clip(words[1]))
	}
	words = words[2:]
	if len(words) > MaxFaults {
		return Plan{}, fmt.Errorf("%d faults, at most %d are allowed", len(words), MaxFaults)
	}
	for i, w := range words {
		f, err := parseFault(w)
		if err != nil {
			return Plan{}, fmt.Errorf("faults[%d]: %w", i, err)
		}
		p.Faults = append(p.Faults, f)
	}
	return p, nil
}

// ParseFault reads a fault from what [Fault.String] prints.
func ParseFault(text string) (Fault, error) {
	f, err := parseFault(text)
	if err != nil {
		return Fault{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return f, f.Validate()
}

func parseFault(text string) (Fault, error) {
	bad := func() error {
		return fmt.Errorf("%q has not the form kind(target,peer)@at+for*amount", clip(text))
	}
	kind, rest, ok := strings.Cut(text, "(")
	if !ok {
		return Fault{}, bad()
	}
	names, when, ok := strings.Cut(rest, ")@")
	if !ok {
		return Fault{}, bad()
	}
	f := Fault{Kind: Kind(kind)}
	if f.Target, f.Peer, ok = strings.Cut(names, ","); ok && f.Peer == "" {
		return Fault{}, bad()
	}
	when, amount, hasAmount := strings.Cut(when, "*")
	at, lasts, hasFor := strings.Cut(when, "+")
	var err error
	if f.At, err = parseTime(at); err != nil {
		return Fault{}, fmt.Errorf("at: %w", err)
	}
	if hasFor {
		if f.For, err = parseTime(lasts); err != nil {
			return Fault{}, fmt.Errorf("for: %w", err)
		}
	}
	if hasAmount {
		if f.Amount, err = parseAmount(amount); err != nil {
			return Fault{}, fmt.Errorf("amount: %w", err)
		}
	}
	return f, nil
}

func parseTime(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a time such as \"1.5s\"", clip(text))
	}
	return d, nil
}

func parseAmount(text string) (float64, error) {
	x, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number within the range of float64", clip(text))
	}
	return x, nil
}
