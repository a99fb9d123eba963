package storetest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/kelpie-registry/kelpie/store"
)

// randomChecks are the randomized cases.
func randomChecks() []check {
	return []check{
		{name: "random/concurrent histories are strictly serializable", needs: []Feature{Stamps}, run: randomHistory, repeat: true},
		{name: "random/drawn histories are strictly serializable", needs: []Feature{Stamps}, drawn: true},
		{name: "random/interleaved programs do what the model does", needs: []Feature{PreciseConflicts, WriteConflicts}, run: randomProgram, repeat: true},
	}
}

// Sizes of a random history.
const (
	historyTxns  = 30 // of each client
	historyReads = 50 // attempts at reading the end
)

// randomHistory has all clients run random transactions at once, and judges.
func randomHistory(l *lab) error {
	h := &history{}
	work := func(c *client) error {
		g := newGenerator(rand.New(rand.NewPCG(l.seed, uint64(c.n))), l.h)
		g.made = 1000 * c.n
		for n := range historyTxns {
			if err := h.take(c, g, n); err != nil {
				return err
			}
		}
		return nil
	}
	return h.conclude(l, work, work, work, work)
}

// conclude runs the clients' work at once, reads what the store holds in the
// end, and judges.
func (h *history) conclude(l *lab, work ...func(c *client) error) error {
	if err := l.together(work...); err != nil {
		return err
	}
	err := l.solo(func(c *client) error {
		var err error
		for range historyReads {
			if err = h.readFinal(c); err == nil || !c.h.interfered(err) {
				break
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	return h.judge(l.h.has(PreciseConflicts) && !l.h.suffers(TransientErrors))
}

// Sizes of a random program.
const (
	programSteps = 400
	programTxns  = 4 // open at a time
)

// programMarker is a key beyond the universe that each transaction of a program
// stamps, so that the driver knows its place.
const programMarker = "marker"

// program drives several transactions, a step at a time, in one task. What
// each step returns is then determined, and the model says what it is.
type program struct {
	c    *client
	g    *generator
	open []*programTxn

	states  []state   // states[i] is the state after i commits
	writes  []slotSet // writes[i] is what commit i+1 wrote
	highest store.Version
	marks   []string // the steps so far
}

// programTxn is an open transaction of a program.
type programTxn struct {
	name  string
	tx    store.Txn
	blind bool // takes no read version
	base  int  // number of commits that its reads see
	calls []op
	reads slotSet
	dead  bool // has read the unreadable
}

// randomProgram runs a random program on the engine and on the model.
func randomProgram(l *lab) error {
	return l.solo(func(c *client) error {
		p := &program{c: c, g: newGenerator(c.rand(), l.h), states: []state{{}}}
		defer func() {
			for _, t := range p.open {
				t.tx.Cancel()
			}
		}()
		for i := range programSteps {
			if err := p.step(i); err != nil {
				return fmt.Errorf("%w\n%s", err, p.listing())
			}
		}
		return nil
	})
}

func (p *program) note(format string, args ...any) {
	p.marks = append(p.marks, fmt.Sprintf(format, args...))
}

func (p *program) listing() string {
	var s string
	for _, m := range p.marks {
		s += "    " + m + "\n"
	}
	return s
}

// step begins a transaction, makes a call in one, or ends one.
func (p *program) step(i int) error {
	r := p.g.rand
	if len(p.open) == 0 || (len(p.open) < programTxns && r.IntN(6) == 0) {
		return p.begin(fmt.Sprintf("t%d", i))
	}
	at := r.IntN(len(p.open))
	t := p.open[at]
	if r.IntN(6) == 0 {
		p.open = append(p.open[:at:at], p.open[at+1:]...)
		return p.end(t)
	}
	return p.call(t)
}

func (p *program) begin(name string) error {
	t := &programTxn{name: name, tx: p.c.begin(), blind: p.g.rand.IntN(6) == 0, base: len(p.states) - 1}
	p.open = append(p.open, t)
	p.note("%s begins, blind %v", name, t.blind)
	if t.blind {
		return nil
	}
	rv, err := t.tx.ReadVersion()
	if err != nil {
		return fmt.Errorf("ReadVersion: %w", err)
	}
	if rv < p.highest {
		return fmt.Errorf("%s has read version %d after a commit at %d", name, rv, p.highest)
	}
	p.highest = rv
	return nil
}

func (p *program) call(t *programTxn) error {
	o := p.g.op()
	if t.dead || (t.blind && (o.reads() || o.kind == opReadConflict)) {
		return nil
	}
	got := o.do(t.tx)
	if !o.reads() {
		p.note("%s: %v", t.name, o)
	} else {
		p.note("%s: %v = %v", t.name, o, got)
		if got.err != nil && !errors.Is(got.err, store.ErrUnreadable) {
			return got.err
		}
		if want := expect(p.states[t.base], t.calls, o); !agrees(t.calls, o, got, want) {
			return fmt.Errorf("%s: %v = %v, want %v", t.name, o, got, want)
		}
	}
	t.dead = got.err != nil
	s := readsOf(t.calls, o, got)
	for k := range s {
		t.reads[k] = t.reads[k] || s[k]
	}
	t.calls = append(t.calls, o)
	return nil
}

// end commits a transaction, or gives it up.
func (p *program) end(t *programTxn) error {
	defer t.tx.Cancel()
	if p.g.rand.IntN(8) == 0 {
		p.note("%s is given up", t.name)
		return nil
	}
	wrote := mutates(t.calls)
	if wrote && p.c.h.has(Stamps) {
		t.tx.SetStamped([]byte(programMarker), make([]byte, store.StampBytes), 0)
	}
	err := t.tx.Commit()
	p.note("%s commits: %v", t.name, err)
	switch {
	case t.dead:
		return wantError(t.name+" commits after a read of the unreadable", err, store.ErrUnreadable)
	case wrote && p.changed(t):
		return wantError(t.name+" commits, what it read has changed", err, store.ErrConflict)
	case err != nil:
		return fmt.Errorf("%s commits, nothing stands against it: %w", t.name, err)
	case !wrote && t.tx.Committed() != 0:
		return fmt.Errorf("%s wrote nothing and has commit version %d", t.name, t.tx.Committed())
	case !wrote:
		return nil
	}
	v := t.tx.Committed()
	if v <= p.highest {
		return fmt.Errorf("%s committed at version %d, and %d was known before", t.name, v, p.highest)
	}
	p.highest = v
	return p.applied(t, v)
}

// changed reports whether what t read was written since.
func (p *program) changed(t *programTxn) bool {
	for _, w := range p.writes[t.base:] {
		if w.meets(&t.reads) {
			return true
		}
	}
	return false
}

// applied moves the model on and compares the whole store with it.
func (p *program) applied(t *programTxn, v store.Version) error {
	tx := p.c.begin()
	defer tx.Cancel()
	rows, err := all(tx, store.RangeOptions{})
	if err != nil {
		return err
	}
	at := place{version: v}
	if n := len(rows); n > 0 && string(rows[n-1].Key) == programMarker {
		at.order = binary.BigEndian.Uint16(rows[n-1].Value[8:])
		rows = rows[:n-1]
	}
	next := p.states[len(p.states)-1].after(t.calls, at)
	p.states = append(p.states, next)
	p.writes = append(p.writes, writesOf(t.calls))
	var want []store.KeyValue
	for _, k := range keysOf(next, nil) {
		want = append(want, store.KeyValue{Key: []byte(k), Value: []byte(next[k])})
	}
	if !sameRows(rows, want) {
		return fmt.Errorf("after the commit of %s the store holds %s, want %s", t.name, showRows(rows), showRows(want))
	}
	return nil
}
