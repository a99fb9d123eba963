package linearizability

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// A Note is a remark on a picture, such as a rule that was broken. It stands in a
// row of its own below the operations.
type Note struct {
	At    time.Duration // true time
	Title string        // short, in the bar
	Text  string        // shown when the pointer is on it
}

// WritePicture writes one HTML page, complete in itself, that shows the history
// as porcupine draws it: the operations as bars in time, and for each part the
// longest legal orders that were found. Porcupine numbers the rows; each begins
// with the name of its client, whose operations that overlap take further rows.
// Operations that take no part in the
// specification (uses, fenced writes, notes that a session is lost) and those
// that failed are annotations. A short history is one part; see
// [Options.WholeMax].
//
// It returns the error of [History.Validate] or of the writer.
func WritePicture(w io.Writer, h *History, o Options, notes ...Note) error {
	if err := h.Validate(); err != nil {
		return err
	}
	if o.WholeMax == 0 {
		o.WholeMax = defaultWholeMax
	}
	if o.Steps <= 0 {
		o.Steps = defaultSteps
	}
	p := newPicture(h)
	model := p.x.model(func() *state { return p.initial() })
	model.DescribeState = func(st any) string { return p.newSearch(1).describe(st.(*state)) }
	model.Partition = func(ops []porcupine.Operation) [][]porcupine.Operation {
		return p.partition(ops, o)
	}
	_, info := porcupine.CheckOperationsVerbose(model, p.operations(), 0)
	info.AddAnnotations(slices.Concat(p.legend(), p.annotations(), remarks(notes)))
	// Porcupine replays the orders that it found: that is not to be refused for
	// want of steps.
	for _, s := range p.searches {
		s.stepsLeft = -1
	}
	if err := porcupine.Visualize(model, info, w); err != nil {
		return fmt.Errorf("linearizability: write picture: %w", err)
	}
	return nil
}

// picture lays a history out for porcupine's page.
type picture struct {
	x        *index
	lanes    []int         // by operation
	clients  []string      // by lane: who called
	start    time.Duration // before everything that was called
	end      time.Duration // after everything that returned
	searches []*search
}

func newPicture(h *History) *picture {
	p := &picture{x: newIndex(), start: Open}
	p.x.build(h)
	for i := range h.Ops {
		p.start = min(p.start, h.Ops[i].Call)
		p.end = max(p.end, h.Ops[i].Call)
		if h.Ops[i].Return != Open {
			p.end = max(p.end, h.Ops[i].Return)
		}
	}
	p.start--
	p.end++
	p.layOut()
	return p
}

// layOut gives each operation a lane, so that the operations of a client are
// near each other and none overlap.
func (p *picture) layOut() {
	ops := p.x.h.Ops
	order := make([]int, len(ops))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(ops[a].Client, ops[b].Client), cmp.Compare(ops[a].Call, ops[b].Call))
	})
	p.lanes = make([]int, len(ops))
	var busy []time.Duration // of the client's lanes: until when
	base, client := 0, ""
	for _, i := range order {
		if ops[i].Client != client {
			base, client, busy = base+len(busy), ops[i].Client, busy[:0]
		}
		lane := slices.IndexFunc(busy, func(until time.Duration) bool { return until < ops[i].Call })
		if lane < 0 {
			lane = len(busy)
			busy = append(busy, 0)
			p.clients = append(p.clients, client)
		}
		busy[lane] = ops[i].Return
		p.lanes[i] = base + lane
	}
}

// newSearch returns a search over all slots, whose states are its own.
func (p *picture) newSearch(budget int) *search {
	s := &search{x: p.x, actor0: int32(len(p.x.nodes))}
	for i := range p.x.nodes {
		s.nodeSlot = append(s.nodeSlot, int32(i))
	}
	s.start(len(p.x.nodes)+len(p.x.actors), budget)
	return s
}

func (p *picture) initial() *state { return p.newSearch(1).initial }

// operations returns what takes part in the specification.
func (p *picture) operations() []porcupine.Operation {
	var ops []porcupine.Operation
	for i := range p.x.ops {
		if o := &p.x.ops[i]; o.code != opNone {
			ret := min(o.ret, p.end+2)
			ops = append(ops, porcupine.Operation{
				ClientId: p.lane(i), Input: o, Call: int64(o.from), Return: int64(ret),
			})
		}
	}
	return ops
}

// lane is that of an operation; the second half of an open transfer has one of its
// own.
func (p *picture) lane(i int) int {
	if extra := i - len(p.lanes); extra >= 0 {
		return slices.Max(p.lanes) + 2 + extra // behind the horizon's
	}
	return p.lanes[i]
}

// partition splits the operations as the check does, each part with a search of
// its own, since porcupine searches all of them at once.
func (p *picture) partition(ops []porcupine.Operation, o Options) [][]porcupine.Operation {
	if p.x.relevant <= o.WholeMax {
		return [][]porcupine.Operation{p.part(ops, o, func(*xop) bool { return true })}
	}
	var parts [][]porcupine.Operation
	for i := range p.x.nodes {
		parts = append(parts, p.part(ops, o, func(x *xop) bool { return x.code.ofSession() && x.node == int32(i) }))
	}
	for i := range p.x.actors {
		touched := make(map[int32]bool)
		for j := range p.x.ops {
			if x := &p.x.ops[j]; x.actor == int32(i) && x.code != opNone && !x.code.ofSession() {
				if x.record != none {
					touched[p.x.sessions[p.x.records[x.record].session].node] = true
					if x.made != none {
						touched[p.x.sessions[p.x.records[x.made].session].node] = true
					}
				} else if x.session != none {
					touched[x.node] = true
				}
			}
		}
		parts = append(parts, p.part(ops, o, func(x *xop) bool {
			if x.code.ofSession() {
				return touched[x.node] && x.code != opInUse && x.code != opLeaveLost
			}
			return x.actor == int32(i)
		}))
	}
	return slices.DeleteFunc(parts, func(ops []porcupine.Operation) bool { return len(ops) == 0 })
}

// part copies the operations that belong to a part and ends them with a
// horizon.
func (p *picture) part(ops []porcupine.Operation, o Options, belongs func(*xop) bool) []porcupine.Operation {
	s := p.newSearch(o.Steps)
	var out []porcupine.Operation
	for _, op := range ops {
		if x := op.Input.(*xop); belongs(x) {
			mine := *x
			mine.search = s
			op.Input = &mine
			out = append(out, op)
		}
	}
	if len(out) == 0 {
		return nil
	}
	p.searches = append(p.searches, s)
	if p.x.open > 0 {
		lane := slices.Max(p.lanes) + 1
		out = append(out, porcupine.Operation{
			ClientId: lane, Input: &xop{search: s, op: none, code: opHorizon}, Call: int64(p.end + 1), Return: int64(p.end + 1),
		})
	}
	return out
}

// maxLegend bounds the characters of a client's name that a row begins with.
const maxLegend = 40

// legend names the client of each row, left of its first operation.
func (p *picture) legend() []porcupine.Annotation {
	notes := make([]porcupine.Annotation, 0, len(p.clients))
	for lane, client := range p.clients {
		name := []rune(client)
		if len(name) > maxLegend {
			name = append(name[:maxLegend], '…')
		}
		notes = append(notes, porcupine.Annotation{
			ClientId: lane, Start: int64(p.start), Description: string(name), Details: "client " + client,
			TextColor: "#000000", BackgroundColor: "#dddddd",
		})
	}
	return notes
}

// annotations shows what takes no part in the specification.
func (p *picture) annotations() []porcupine.Annotation {
	var notes []porcupine.Annotation
	for i := range p.x.h.Ops {
		if p.x.ops[i].code != opNone {
			continue
		}
		op := &p.x.h.Ops[i]
		notes = append(notes, porcupine.Annotation{
			ClientId: p.lanes[i], Start: int64(op.Call), End: int64(min(op.Return, p.end)),
			Description: op.Kind.String() + " " + op.Outcome.String(),
			Details:     op.String(),
		})
	}
	return notes
}

// remarks puts the notes into a row of their own.
func remarks(notes []Note) []porcupine.Annotation {
	out := make([]porcupine.Annotation, 0, len(notes))
	for _, n := range notes {
		out = append(out, porcupine.Annotation{
			Tag: "violations", Start: int64(n.At), Description: n.Title, Details: n.Text,
			TextColor: "#ffffff", BackgroundColor: "#c0392b",
		})
	}
	return out
}
