package litmus_test

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/kelpie-registry/kelpie/litmus"
)

// client is what the lines tell of the vocabulary of FoundationDB's client in the
// present life of a transaction.
type client struct {
	options  map[litmus.Option]bool
	lastRead string
	stamped  map[string]bool // keys that get a stamped value
	becoming []litmus.Span   // that a stamped key may become
	ended    bool            // an option about own writes ended with the life before
	reset    bool
	near     bool // a stamped key that another committed might have become one that was read
}

// lives are the watches of a program, and how far they are.
type lives struct {
	keys    []string
	clients []int
	pending []bool
	fired   map[string]map[int64]bool
}

// tooLong is the length of keys that only programs on the limits have.
const tooLong = 9900

// life notes what a step of the client's vocabulary shows.
func (s *situations) life(step *litmus.Step, answer string, c *attempt) {
	failed := strings.HasPrefix(answer, "error")
	switch step.Kind {
	case litmus.SetOption:
		c.options[step.Option] = step.Option != litmus.SnapshotRywEnable
		if step.Option == litmus.SnapshotRywEnable {
			delete(c.options, litmus.SnapshotRywDisable)
		}
	case litmus.Get:
		s.lifeGet(step, answer, c)
	case litmus.Clear:
		if len(step.Key) > tooLong {
			s.add("clear of a key too long")
		}
	case litmus.GetRange:
		s.lifeRange(step, answer, c)
	case litmus.Iterate:
		if c.lastRead != "" {
			s.add(fmt.Sprintf("iterate %v after a read -> %s", step.Mode, class(answer)))
		}
		c.lastRead = "an iteration"
	case litmus.Conflicts:
		if !failed {
			s.add("conflict-ranges after " + c.lastRead)
		}
	case litmus.Committed:
		if c.reset {
			s.add("committed after a reset -> " + class(answer))
		}
	case litmus.OnError:
		if c.options[litmus.RetryLimit] && c.open {
			s.add(fmt.Sprintf("%v at the retry limit -> %s", step, answer))
		}
	case litmus.Reset:
		if !c.open {
			s.add("reset after a commit -> ok")
		}
	case litmus.Commit:
		switch {
		case !c.options[litmus.SizeLimit]:
		case answer == "error 2101":
			s.add("over the size limit by option")
		case class(answer) == "ok version":
			s.add("under the size limit by option")
		}
	default:
	}
}

func (s *situations) lifeGet(step *litmus.Step, answer string, c *attempt) {
	c.lastRead = "a get"
	switch {
	case len(step.Key) > tooLong:
		s.add("get of a key too long -> " + class(answer))
	case strings.HasPrefix(step.Key, "\xff") && !strings.HasPrefix(step.Key, "\xff\xff"):
		s.add("get of a system key -> " + class(answer))
	}
	if c.stamped[step.Key] && c.options[litmus.BypassUnreadable] && strings.HasSuffix(answer, `\x00\x00\x00"`) {
		s.add("get of a bypassed stamp")
	}
	own, written := c.sets[step.Key]
	if !written || strings.HasPrefix(answer, "error") {
		return
	}
	seen := answer == strconv.QuoteToASCII(own)
	switch {
	case !seen && c.options[litmus.ReadYourWritesDisable]:
		s.add("get past an own write")
	case !seen && c.options[litmus.SnapshotRywDisable] && step.Snapshot:
		s.add("snapshot get past an own write")
	case seen && c.ended:
		s.add("get sees own write after an option ended")
	}
}

func (s *situations) lifeRange(step *litmus.Step, answer string, c *attempt) {
	c.lastRead = "a range"
	if strings.HasSuffix(answer, " more") {
		c.lastRead = "a limited range"
	}
	if len(step.End) > tooLong {
		s.add("range to a key too long")
	}
	if len(c.own) > 0 && c.options[litmus.ReadYourWritesDisable] && strings.HasPrefix(answer, "[") {
		s.add("range past own writes")
	}
}

// renewed is the next life of a transaction, after OnError or Reset.
func renewed(c *attempt, kind litmus.Kind) attempt {
	next := newAttempt()
	next.reset = kind == litmus.Reset
	next.ended = kind == litmus.OnError && (c.options[litmus.ReadYourWritesDisable] || c.options[litmus.SnapshotRywDisable])
	next.options[litmus.RetryLimit] = kind == litmus.OnError && c.options[litmus.RetryLimit]
	return next
}

// watching keeps the list of a program's watches.
func (s *situations) watching(step *litmus.Step, answer string) {
	w := &s.watches
	switch step.Kind {
	case litmus.WatchKey:
		w.keys, w.clients = append(w.keys, step.Key), append(w.clients, step.Client)
		w.pending = append(w.pending, !strings.HasPrefix(answer, "error"))
	case litmus.Begin, litmus.Commit, litmus.Cancel, litmus.Reset, litmus.OnError:
		for i, client := range w.clients {
			w.pending[i] = w.pending[i] && client != step.Client
		}
	case litmus.Fired:
		if answer != "fired" {
			return
		}
		key := w.keys[step.N-1]
		if w.pending[step.N-1] {
			s.add("fired before the commit")
		}
		if w.fired[key] == nil {
			w.fired[key] = map[int64]bool{}
		}
		if w.fired[key][step.N] = true; len(w.fired[key]) == 2 {
			s.add("two watches of a key fired")
		}
	default:
	}
}

// meets notes that a commit set stamped keys that another may have read.
func (c *attempt) meets(becoming []litmus.Span) {
	for way, spans := range c.reads {
		for _, r := range spans {
			for _, w := range becoming {
				switch {
				case way == "a snapshot" || way == "own writes":
				case r.Begin <= w.Begin && w.End <= r.End:
					c.hit["a stamped key"] = true
				case r.Begin < w.End && w.Begin < r.End:
					c.near = true
				}
			}
		}
	}
}

// becomes returns the keys that a stamped key may become.
func becomes(step *litmus.Step) litmus.Span {
	head, tail := step.Key[:step.N], step.Key[step.N+10:]
	return litmus.Span{Begin: head + strings.Repeat("\x00", 10) + tail, End: head + strings.Repeat("\xff", 10) + tail + "\x00"}
}
