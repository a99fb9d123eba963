package faults

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// jsonFault is how a fault is printed: fields that are zero are left out,
// except the kind and the time.
type jsonFault struct {
	At     string  `json:"at"`
	For    string  `json:"for,omitempty"`
	Kind   Kind    `json:"kind"`
	Target string  `json:"target,omitempty"`
	Peer   string  `json:"peer,omitempty"`
	Amount float64 `json:"amount,omitempty"`
}

// MarshalJSON prints the plan as
//
//	{"version":1,"seed":7,"faults":[{"at":"1.5s","for":"2s","kind":"crash","target":"node-1"}]}
//
// or returns the error of [Plan.Validate].
func (p Plan) MarshalJSON() ([]byte, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	out := struct {
		Version int         `json:"version"`
		Seed    uint64      `json:"seed"`
		Faults  []jsonFault `json:"faults"`
	}{p.version(), p.Seed, make([]jsonFault, len(p.Faults))}
	for i, f := range p.Faults {
		out.Faults[i] = jsonFault{
			At: f.At.String(), Kind: f.Kind, Target: f.Target, Peer: f.Peer, Amount: f.Amount,
		}
		if f.For != 0 {
			out.Faults[i].For = f.For.String()
		}
	}
	return json.Marshal(out)
}

// UnmarshalJSON is [Parse] of JSON: unknown and repeated fields, and whatever
// [Plan.Validate] refuses, are errors. A null changes nothing, as the standard
// library has it.
func (p *Plan) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	if len(data) > MaxText {
		return tooLong(len(data))
	}
	q, err := parseJSON(string(data))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := q.Validate(); err != nil {
		return err
	}
	*p = q
	return nil
}

func parseJSON(text string) (Plan, error) {
	r := jsonReader{json.NewDecoder(strings.NewReader(text))}
	r.dec.UseNumber()
	var p Plan
	seen, err := r.object(func(key string) error {
		switch key {
		case "version":
			return r.integer(&p.Version)
		case "seed":
			return r.unsigned(&p.Seed)
		case "faults":
			return r.faults(&p.Faults)
		}
		return errors.New("unknown field; a plan has version, seed and faults")
	})
	if err != nil {
		return Plan{}, err
	}
	if _, err := r.dec.Token(); !errors.Is(err, io.EOF) {
		return Plan{}, errors.New("there is more after the plan")
	}
	for _, key := range []string{"version", "seed", "faults"} {
		if !seen[key] {
			return Plan{}, fmt.Errorf("%s is missing", key)
		}
	}
	if p.Version != Version {
		return Plan{}, fmt.Errorf("version is %d, must be %d", p.Version, Version)
	}
	return p, nil
}

// jsonReader reads the tokens of a plan. encoding/json by itself would take a
// repeated field's last value and fields in the wrong case.
type jsonReader struct{ dec *json.Decoder }

// object reads an object: field reads the value of each key. It returns the
// keys; errors name theirs.
func (r jsonReader) object(field func(key string) error) (seen map[string]bool, err error) {
	if err := r.delim('{', "an object"); err != nil {
		return nil, err
	}
	seen = map[string]bool{}
	for r.dec.More() {
		token, err := r.dec.Token()
		if err != nil {
			return nil, err
		}
		key, _ := token.(string) // the decoder lets nothing else be a key
		if seen[key] {
			return nil, fmt.Errorf("%s: repeated field", key)
		}
		seen[key] = true
		if err := field(key); err != nil {
			return nil, fmt.Errorf("%s: %w", clip(key), err)
		}
	}
	_, err = r.dec.Token()
	return seen, err
}

func (r jsonReader) faults(to *[]Fault) error {
	if err := r.delim('[', "a list"); err != nil {
		return err
	}
	for i := 0; r.dec.More(); i++ {
		if i == MaxFaults {
			return fmt.Errorf("at most %d are allowed", MaxFaults)
		}
		f, err := r.fault()
		if err != nil {
			return fmt.Errorf("[%d]: %w", i, err)
		}
		*to = append(*to, f)
	}
	_, err := r.dec.Token()
	return err
}

func (r jsonReader) fault() (Fault, error) {
	var f Fault
	seen, err := r.object(func(key string) error {
		switch key {
		case "at":
			return r.time(&f.At)
		case "for":
			return r.time(&f.For)
		case "kind":
			return r.text((*string)(&f.Kind))
		case "target":
			return r.text(&f.Target)
		case "peer":
			return r.text(&f.Peer)
		case "amount":
			return r.number(&f.Amount)
		}
		return errors.New("unknown field; a fault has at, for, kind, target, peer and amount")
	})
	if err == nil && !(seen["at"] && seen["kind"]) {
		err = errors.New("at or kind is missing")
	}
	return f, err
}

func (r jsonReader) delim(want json.Delim, name string) error {
	token, err := r.dec.Token()
	if err != nil {
		return err
	}
	if token != want {
		return fmt.Errorf("%v is not %s", clip(fmt.Sprint(token)), name)
	}
	return nil
}

func (r jsonReader) text(to *string) error {
	token, err := r.dec.Token()
	if err != nil {
		return err
	}
	s, ok := token.(string)
	if !ok {
		return fmt.Errorf("%v is not a string", clip(fmt.Sprint(token)))
	}
	*to = s
	return nil
}

func (r jsonReader) time(to *time.Duration) error {
	var text string
	if err := r.text(&text); err != nil {
		return err
	}
	var err error
	*to, err = parseTime(text)
	return err
}

// digits reads a number as it is written.
func (r jsonReader) digits() (string, error) {
	token, err := r.dec.Token()
	if err != nil {
		return "", err
	}
	n, ok := token.(json.Number)
	if !ok {
		return "", fmt.Errorf("%v is not a number", clip(fmt.Sprint(token)))
	}
	return n.String(), nil
}

func (r jsonReader) integer(to *int) error {
	text, err := r.digits()
	if err != nil {
		return err
	}
	if *to, err = strconv.Atoi(text); err != nil {
		return fmt.Errorf("%s is not an integer", clip(text))
	}
	return nil
}

func (r jsonReader) unsigned(to *uint64) error {
	text, err := r.digits()
	if err != nil {
		return err
	}
	if *to, err = strconv.ParseUint(text, 10, 64); err != nil {
		return fmt.Errorf("%s is not an integer from 0 to 2^64-1", clip(text))
	}
	return nil
}

func (r jsonReader) number(to *float64) error {
	text, err := r.digits()
	if err != nil {
		return err
	}
	*to, err = parseAmount(text)
	return err
}
