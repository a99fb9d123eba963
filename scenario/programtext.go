package scenario

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrProgram: a text is not a program.
var ErrProgram = errors.New("scenario: malformed program")

// String returns the program as text, a line a step:
//
//	beat 1s
//	node-1/0 +900ms claim actor-2 within 5ms
//	node-1/0 +300ms guard actor-2 for 70ms
//	node-2/1 +1s release actor-1 again
//	node-2/0 +1s transfer actor-1 to node-3
//
// The beat is there when it is not 0. [ParseProgram] reads it back; a script
// without steps is left out.
func (p Program) String() string {
	var b strings.Builder
	if p.Beat != 0 {
		fmt.Fprintf(&b, "beat %v\n", p.Beat)
	}
	for _, s := range p.Scripts {
		for _, st := range s.Steps {
			fmt.Fprintf(&b, "%s/%d %v\n", nodeName(s.Node), s.Worker, st)
		}
	}
	return b.String()
}

// String returns the step as in a program's text.
func (st Step) String() string {
	s := fmt.Sprintf("+%v %v", st.After, st.Do)
	if st.Do.OfActor() {
		s += " " + actorName(st.Actor)
	}
	if st.Do == Transfer {
		s += " to " + nodeName(st.To)
	}
	if st.Within != 0 {
		s += fmt.Sprintf(" within %v", st.Within)
	}
	if st.For != 0 {
		s += fmt.Sprintf(" for %v", st.For)
	}
	if st.Again {
		s += " again"
	}
	return s
}

func actorName(i int) string { return "actor-" + strconv.Itoa(i+1) }

// ParseProgram reads a program's text. Empty lines are skipped. The error wraps
// [ErrProgram] and names the line; whether the program fits a scenario is for
// Run to say.
func ParseProgram(text string) (Program, error) {
	var p Program
	for i, line := range strings.Split(text, "\n") {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if err := p.parseLine(words); err != nil {
			return Program{}, fmt.Errorf("%w: line %d: %w", ErrProgram, i+1, err)
		}
	}
	return p, nil
}

func (p *Program) parseLine(words []string) error {
	if words[0] == "beat" {
		if len(words) != 2 || p.Beat != 0 || len(p.Scripts) != 0 {
			return errors.New("a beat is one duration, in the first line")
		}
		d, err := time.ParseDuration(words[1])
		if err != nil || d <= 0 {
			return fmt.Errorf("beat %q is not a duration above 0", words[1])
		}
		p.Beat = d
		return nil
	}
	name, number, ok := strings.Cut(words[0], "/")
	node, err := ordinal(name, "node-")
	worker, werr := strconv.ParseUint(number, 10, 16)
	if !ok || err != nil || werr != nil {
		return fmt.Errorf("%q is not of the form node-N/WORKER", words[0])
	}
	st, err := parseStep(words[1:])
	if err != nil {
		return err
	}
	at := slices.IndexFunc(p.Scripts, func(s Script) bool { return s.Node == node && s.Worker == int(worker) })
	if at < 0 {
		at = len(p.Scripts)
		p.Scripts = append(p.Scripts, Script{Node: node, Worker: int(worker)})
	}
	p.Scripts[at].Steps = append(p.Scripts[at].Steps, st)
	return nil
}

func parseStep(words []string) (st Step, err error) {
	if len(words) < 2 || words[0][0] != '+' {
		return st, errors.New("a step begins with +PAUSE ACTION")
	}
	if st.After, err = time.ParseDuration(words[0][1:]); err != nil {
		return st, fmt.Errorf("pause %q is not a duration", words[0])
	}
	do := slices.Index(actionNames[:], words[1])
	if do < 0 {
		return st, fmt.Errorf("unknown action %q; there are: %s", words[1], strings.Join(actionNames[:], ", "))
	}
	st.Do, words = Action(do), words[2:]
	if st.Do.OfActor() {
		if len(words) == 0 {
			return st, fmt.Errorf("%v needs an actor", st.Do)
		}
		if st.Actor, err = ordinal(words[0], "actor-"); err != nil {
			return st, err
		}
		words = words[1:]
	}
	if st.Do == Transfer {
		if len(words) < 2 || words[0] != "to" {
			return st, fmt.Errorf("%v needs a node: to node-N", st.Do)
		}
		if st.To, err = ordinal(words[1], "node-"); err != nil {
			return st, err
		}
		words = words[2:]
	}
	return st, st.parseRest(words)
}

// parseRest reads what comes behind the action and its actor.
func (st *Step) parseRest(words []string) error {
	for len(words) > 0 {
		if words[0] == "again" {
			st.Again, words = true, words[1:]
			continue
		}
		to := map[string]*time.Duration{"within": &st.Within, "for": &st.For}[words[0]]
		if to == nil || len(words) < 2 {
			return fmt.Errorf("%q is none of: within DURATION, for DURATION, again", words[0])
		}
		d, err := time.ParseDuration(words[1])
		if err != nil {
			return fmt.Errorf("%s %q is not a duration", words[0], words[1])
		}
		*to, words = d, words[2:]
	}
	return nil
}

// ordinal reads a name that ends in a number from 1 on, and returns one less.
func ordinal(name, prefix string) (int, error) {
	digits, ok := strings.CutPrefix(name, prefix)
	n, err := strconv.ParseUint(digits, 10, 16)
	if !ok || err != nil || n == 0 {
		return 0, fmt.Errorf("%q is not of the form %sN", name, prefix)
	}
	return int(n) - 1, nil
}
