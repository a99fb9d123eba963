package litmus_test

import (
	"maps"
	"strings"

	"github.com/kelpie-registry/kelpie/litmus"
)

// situations finds out what a program and its lines show. A situation is a step
// with the class of its answer ("get -> nil"), or something that takes several
// steps to come about ("refused for a range").
type situations struct {
	counts    map[string]int
	contended int               // commits of what was read and written while others wrote it
	refused   int               // of them
	known     map[string]string // values that plain sets have left, of the present program
	watches   lives             // of the present program
}

// attempt is what the lines tell of a client's transaction.
type attempt struct {
	client
	open   bool
	reads  map[string][]litmus.Span // by the way of reading
	own    []litmus.Span            // set or cleared
	writes []litmus.Span
	hit    map[string]bool // ways of reading whose keys others have written since
	stale  bool            // others have committed since it began
	old    bool
	atomic bool
	hidden bool
	sets   map[string]string // values that the next commit leaves
}

func newAttempt() attempt {
	return attempt{client: client{options: map[litmus.Option]bool{}, stamped: map[string]bool{}}, open: true, reads: map[string][]litmus.Span{}, hit: map[string]bool{}, sets: map[string]string{}}
}

func (s *situations) add(name string) { s.counts[name]++ }

// program adds what one program showed.
func (s *situations) program(p *litmus.Program, lines []byte) {
	var clients [litmus.Clients]attempt
	s.known, s.watches = map[string]string{}, lives{fired: map[string]map[int64]bool{}}
	results := strings.Split(strings.TrimSuffix(string(lines), "\n"), "\n")
	for i := range p.Steps {
		step := &p.Steps[i]
		_, answer, _ := strings.Cut(results[i], " -> ")
		s.step(step, answer, &clients)
	}
}

func (s *situations) step(step *litmus.Step, answer string, clients *[litmus.Clients]attempt) {
	c := &clients[step.Client]
	switch {
	case step.Kind == litmus.GetAll && !strings.HasPrefix(answer, "error"):
		answer = "values"
	case step.Kind == litmus.Conflicting && strings.HasPrefix(answer, "["):
		answer = "read ranges"
	}
	s.add(modified(step) + " -> " + class(answer))
	failed := strings.HasPrefix(answer, "error")
	s.life(step, answer, c)
	s.watching(step, answer)
	switch step.Kind {
	case litmus.Begin:
		*c = newAttempt()
		return
	case litmus.Reset:
		*c = renewed(c, litmus.Reset)
		return
	case litmus.Age:
		for i := range clients {
			clients[i].old = true
		}
	default:
	}
	if c.open && !failed {
		s.reads(step, answer, c)
		s.writes(step, c)
	}
	switch step.Kind {
	case litmus.OnError:
		*c = renewed(c, litmus.OnError)
		c.open = !failed
	case litmus.Cancel:
		c.open = false
	case litmus.Commit:
		if c.open {
			s.commit(answer, c, clients)
		}
		c.open = false
	default:
	}
}

func point(key string) litmus.Span { return litmus.Span{Begin: key, End: key + "\x00"} }

// reads notes what a step read, and how.
func (s *situations) reads(step *litmus.Step, answer string, c *attempt) {
	add := func(way string, span litmus.Span) {
		if step.Snapshot {
			way = "a snapshot"
		}
		c.reads[way] = append(c.reads[way], span)
	}
	switch step.Kind {
	case litmus.Get:
		way := "a get"
		if answer == "nil" {
			way = "a get of nothing"
		}
		if within(c.own, step.Key) {
			way = "own writes"
			s.add("get sees own write -> " + class(answer))
		}
		add(way, point(step.Key))
	case litmus.GetAll:
		for _, k := range step.Keys {
			add("a get of several", point(k))
		}
	case litmus.GetRange:
		way := "a range"
		switch {
		case strings.HasSuffix(answer, " more") && step.Reverse:
			way = "a limited reverse range"
		case strings.HasSuffix(answer, " more"):
			way = "a limited range"
		}
		add(way, litmus.Span{Begin: step.Key, End: step.End})
		if len(c.writes) > 0 && answer != "[]" {
			s.add("range over own writes")
		}
		if c.atomic && answer != "[]" {
			s.add("range over own atomics")
		}
	case litmus.ReadConflict:
		add("an explicit conflict", litmus.Span{Begin: step.Key, End: step.End})
	case litmus.GetKey, litmus.GetSelected:
		add("selectors", litmus.Span{Begin: "", End: "\xff"})
		if len(c.writes) > 0 {
			s.add("selector over own writes")
		}
	case litmus.WatchKey:
		add("a watch", point(step.Key))
	default:
	}
}

// writes notes what a step wrote.
func (s *situations) writes(step *litmus.Step, c *attempt) {
	var span litmus.Span
	switch step.Kind {
	case litmus.Set, litmus.Clear, litmus.SetStamped:
		span = point(step.Key)
		if step.Kind == litmus.SetStamped {
			c.stamped[step.Key] = true
		}
		if step.Kind == litmus.Set {
			c.sets[step.Key] = step.Value
		}
		c.own = append(c.own, span)
	case litmus.ClearRange:
		span = litmus.Span{Begin: step.Key, End: step.End}
		c.own = append(c.own, span)
	case litmus.Add, litmus.AtomicOp:
		span = point(step.Key)
		c.atomic = true
		if step.Kind == litmus.AtomicOp {
			s.add(step.Op.String() + " on " + s.base(step, c))
		}
	case litmus.SetStampedKey:
		if int(step.N) <= len(step.Key)-10 {
			c.becoming = append(c.becoming, becomes(step))
		}
		return
	case litmus.WriteConflict:
		span = litmus.Span{Begin: step.Key, End: step.End}
	case litmus.HideWrite:
		c.hidden = true
		return
	default:
		return
	}
	if c.hidden {
		c.hidden = false
		s.add("a hidden write")
		return
	}
	if span.Begin < span.End {
		c.writes = append(c.writes, span)
	}
}

// base says what an atomic operation meets, as far as plain sets tell.
func (s *situations) base(step *litmus.Step, c *attempt) string {
	value, there := c.sets[step.Key]
	if !there {
		value, there = s.known[step.Key]
	}
	switch {
	case !there:
		return "something else"
	case value == "":
		return "an empty value"
	case len(value) < len(step.Value):
		return "a shorter value"
	case value == step.Value:
		return "its operand"
	case len(value) == len(step.Value):
		return "a value as long"
	default:
		return "a longer value"
	}
}

func within(spans []litmus.Span, key string) bool {
	for _, s := range spans {
		if s.Begin <= key && key < s.End {
			return true
		}
	}
	return false
}

// commit judges a commit by what others wrote since.
func (s *situations) commit(answer string, c *attempt, clients *[litmus.Clients]attempt) {
	conflict := answer == "error conflict" || answer == "error 1020"
	wrote := strings.HasPrefix(answer, "ok v") || conflict
	if c.hidden && wrote {
		s.add("a hidden write is the last")
	}
	only := ""
	for way := range c.hit {
		if only = way; len(c.hit) > 1 {
			only = ""
			break
		}
	}
	if wrote && len(c.hit) > 0 {
		s.contended++
		if conflict {
			s.refused++
		}
	}
	switch {
	case conflict && only != "":
		s.add("refused for " + only)
	case wrote && only != "":
		s.add("not refused for " + only)
	case wrote && !conflict && c.near && len(c.hit) == 0:
		s.add("not refused for what no stamped key became")
	case wrote && c.stale && len(c.reads) == 0:
		s.add("not refused, had read nothing")
	case answer == "ok" && len(c.hit) > 0:
		s.add("read-only, not refused")
	}
	if c.old {
		s.add("commit of an old one -> " + class(answer))
	}
	if !strings.HasPrefix(answer, "ok v") {
		return
	}
	maps.Copy(s.known, c.sets)
	for i := range clients {
		other := &clients[i]
		if other == c || !other.open {
			continue
		}
		other.stale = true
		other.meets(c.becoming)
		for way, spans := range other.reads {
			for _, r := range spans {
				for _, w := range c.writes {
					if r.Begin < w.End && w.Begin < r.End {
						other.hit[way] = true
					}
				}
			}
		}
	}
}

// modified is a step's name with what changes its meaning.
func modified(s *litmus.Step) string {
	name := s.Kind.Name()
	switch s.Kind {
	case litmus.AtomicOp:
		name = s.Op.String()
	case litmus.GetSelected:
		name = "selected range"
	case litmus.Iterate:
		name += " " + s.Mode.String()
	case litmus.GetKey:
		name += map[bool]string{true: " down", false: " up"}[s.From.Offset < 1]
	case litmus.SetReadVersion, litmus.OnError:
		name = s.String()
	default:
	}
	if s.Snapshot {
		name = "snapshot " + name
	}
	if s.Reverse {
		name += " reverse"
	}
	if s.Limit > 0 && s.Kind != litmus.Fill {
		name += " limit"
	}
	return name
}

// class is what kind of answer an answer is.
func class(answer string) string {
	switch {
	case strings.HasPrefix(answer, "error "), strings.Contains(answer, ", "), answer == "nil", answer == "ok", answer == "none", answer == "fired", answer == "quiet":
		if strings.HasPrefix(answer, "read ") {
			return "ranges"
		}
		return answer
	case answer == `""`:
		return "empty"
	case answer == "[]":
		return "no rows"
	case strings.HasSuffix(answer, "] more"):
		return "rows more"
	case strings.HasPrefix(answer, "["):
		return "rows"
	case strings.HasPrefix(answer, "ok v"):
		return "ok version"
	case strings.Contains(answer, "{v"):
		return "stamped"
	case answer == `"\xff"`:
		return "the end"
	case strings.HasPrefix(answer, `"`):
		return "bytes"
	case strings.HasPrefix(answer, "w"):
		return "watch"
	case answer == "values":
		return answer
	case strings.HasPrefix(answer, "v"):
		return "version"
	case strings.HasPrefix(answer, "read "):
		return "ranges"
	default:
		return strings.Trim(answer, "0123456789")
	}
}
