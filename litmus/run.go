package litmus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/kelpie-registry/kelpie/store"
)

// Program is a list of steps that a driver takes in their order.
type Program struct {
	Level Level
	Seed  uint64
	Steps []Step
}

// Run takes a program through a session and appends a line for each step to
// out:
//
//	SEED STEP CLIENT CALL -> ANSWER
//
// It returns an error that wraps [ErrInterfered] when the answers say nothing.
func Run(p *Program, s Session, out []byte) ([]byte, error) {
	d := driver{p: p, s: s}
	defer d.close()
	for i := range p.Steps {
		step := &p.Steps[i]
		answer, err := d.take(step)
		if err != nil {
			return out, fmt.Errorf("litmus: seed %d, step %d, %v: %w", p.Seed, i+1, step, err)
		}
		out = strconv.AppendUint(out, p.Seed, 10)
		out = append(out, ' ')
		out = strconv.AppendInt(out, int64(i+1), 10)
		out = append(out, ' ', 'A'+byte(step.Client), ' ')
		out = append(out, step.String()...)
		out = append(out, " -> "...)
		out = append(out, answer...)
		out = append(out, '\n')
	}
	return out, nil
}

// driver takes a program's steps.
type driver struct {
	p       *Program
	s       Session
	clients [Clients]attempt
	ledger  ledger
	watches []watch
}

// attempt is a client's present transaction.
type attempt struct {
	tx      Transaction // nil before the first Begin
	fresh   bool        // nothing was called since Begin
	set     bool        // its read version was given
	touched []Span      // what it may have written
	stamped []*Step     // its SetStampedKeys
}

func (d *driver) close() {
	for i := range d.watches {
		if w := d.watches[i].Watch; w != nil {
			w.Cancel()
		}
	}
	for i := range d.clients {
		if tx := d.clients[i].tx; tx != nil {
			tx.Close()
		}
	}
}

// take takes one step and returns what its line says of the answer. Its error
// ends the program.
func (d *driver) take(s *Step) (string, error) {
	c := &d.clients[s.Client]
	switch s.Kind {
	case Begin:
		if c.tx != nil {
			c.tx.Close()
			d.endWatches(s.Client, watchFailed)
		}
		*c = attempt{tx: d.s.Begin(s.Client), fresh: true}
		return "ok", nil
	case Age:
		if err := d.s.Age(); err != nil {
			return "", err
		}
		return "ok", nil
	case Fired:
		return d.fired(int(s.N))
	case CancelWatch:
		return d.cancelWatch(int(s.N))
	default:
	}
	if c.tx == nil {
		return "", fmt.Errorf("client %c has not begun", 'A'+s.Client)
	}
	if span, writes := s.touches(); writes {
		c.touched = append(c.touched, span)
	}
	if s.Kind == SetStampedKey {
		c.stamped = append(c.stamped, s)
	}
	a := c.tx.Do(s, d.version(s))
	if errors.Is(a.Err, ErrInterfered) {
		return "", a.Err
	}
	text := d.result(s, &a)
	d.settle(s, &a)
	c.fresh = false
	return text, nil
}

// version returns the version that a SetReadVersion names.
func (d *driver) version(s *Step) int64 {
	if s.Kind != SetReadVersion {
		return 0
	}
	switch s.N {
	case FirstCommit:
		return d.ledger.first()
	case LastCommit:
		return d.ledger.last()
	case VersionOne:
		return 1
	case FutureVersion:
		return d.ledger.last() + 100_000_000
	default:
		return 0
	}
}

// settle notes what a call changed for the driver.
func (d *driver) settle(s *Step, a *Answer) {
	c := &d.clients[s.Client]
	switch s.Kind {
	case WatchKey:
		w := watch{client: s.Client, key: s.Key, seen: a.Value, Watch: a.Watch, state: watchPending}
		if a.Err != nil {
			w.state = watchNone
		}
		d.watches = append(d.watches, w)
	case Commit:
		switch {
		case a.Err != nil && d.p.Level == Client && !slices.Contains(refusals, d.s.ErrorName(a.Err)):
			d.endWatches(s.Client, watchUnknown)
		case a.Err != nil:
			d.endWatches(s.Client, watchFailed)
		default:
			d.ledger.touched = append(d.ledger.touched, c.touched)
			d.endWatches(s.Client, watchSet)
		}
		c.touched = nil
	case Cancel, Reset:
		d.endWatches(s.Client, watchFailed)
		c.touched, c.stamped, c.set = nil, nil, false
	case OnError:
		d.endWatches(s.Client, watchUnknown)
		c.touched, c.stamped, c.set = nil, nil, false
	case SetReadVersion:
		c.set = true
	default:
	}
}

// refusals are the errors of a commit that FoundationDB's servers refused. With
// which error a watch ends when the client itself refuses, nobody has recorded.
var refusals = []string{"1007", "1020"}

// result prints an answer.
func (d *driver) result(s *Step, a *Answer) string {
	if a.Err != nil {
		return "error " + d.s.ErrorName(a.Err)
	}
	l := &d.ledger
	switch s.Kind {
	case ReadVersion:
		c := &d.clients[s.Client]
		return l.readVersion(a.Version, c.fresh, c.set)
	case Get:
		return l.value(a.Value)
	case GetAll:
		var b bytes.Buffer
		for i, v := range a.Values {
			if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(l.value(v))
		}
		return b.String()
	case GetRange, GetSelected, Iterate:
		return l.rows(a.Rows, a.More)
	case GetKey:
		return l.bytes(a.Key)
	case WatchKey:
		return fmt.Sprintf("w%d %s", len(d.watches)+1, l.value(a.Value))
	case Commit:
		if a.Version <= 0 {
			return "ok"
		}
		return "ok " + l.commit(a.Version)
	case Committed:
		return l.name(a.Version)
	case Conflicts:
		return "read " + spans(a.Reads, l.bytes) + " write " + spans(a.Writes, d.clients[s.Client].writeBound(l))
	case Conflicting:
		return spans(a.Reads, l.bytes)
	case ApproximateSize:
		return strconv.FormatInt(a.Size, 10)
	case Versionstamp:
		return l.bytes(string(a.Stamp))
	default:
		return "ok"
	}
}

// writeBound returns how to print an end of a write conflict range. That of a
// stamped key begins with the stamp that the read version would give: it is
// printed as the read version's name.
func (c *attempt) writeBound(l *ledger) func(key string) string {
	return func(key string) string {
		for _, s := range c.stamped {
			head, tail := s.Key[:s.N], s.Key[s.N+store.StampBytes:]
			if len(key) != len(s.Key) || !strings.HasPrefix(key, head) || !strings.HasSuffix(key, "\x00\x00"+tail) {
				continue
			}
			text := quote(head) + "{read " + l.readName(int64(binary.BigEndian.Uint64([]byte(key[s.N:])))) + "}"
			if tail != "" {
				text += quote(tail)
			}
			return text
		}
		return l.bytes(key)
	}
}

func spans(list []Span, bound func(key string) string) string {
	if len(list) == 0 {
		return "none"
	}
	text := ""
	for _, s := range list {
		text += "[" + bound(s.Begin) + ", " + bound(s.End) + ")"
	}
	return text
}

// touches returns the keys that a step may write.
func (s *Step) touches() (Span, bool) {
	switch s.Kind {
	case Set, Clear, Add, SetStamped, AtomicOp:
		return Span{s.Key, s.Key + "\x00"}, true
	case ClearRange:
		return Span{s.Key, s.End}, true
	case SetStampedKey, Fill:
		return Span{"", "\xff\xff"}, true
	default:
		return Span{}, false
	}
}

func (s Span) contains(key string) bool { return s.Begin <= key && key < s.End }
