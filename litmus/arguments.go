package litmus

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/kelpie-registry/kelpie/store"
)

// theme is a bias of a program: some kinds more often than others.
type theme map[Kind]int

// base is how often kinds come in every program, of those that its level has.
var base = theme{
	ReadVersion: 2, Get: 10, GetAll: 2, GetRange: 8, Set: 10, Clear: 4, ClearRange: 3, Add: 2, SetStamped: 1,
	ReadConflict: 2, WriteConflict: 2, WatchKey: 1, Fired: 1, Commit: 2, Committed: 1, Cancel: 1,
	GetKey: 3, GetSelected: 2, AtomicOp: 3, SetStampedKey: 1, SetReadVersion: 1, HideWrite: 1,
	Conflicts: 2, ApproximateSize: 1, Versionstamp: 1, Reset: 1, OnError: 1,
	SetOption: 1, Iterate: 1, Conflicting: 1, LateStamp: 1,
}

// themes are drawn from, one or two for a program.
var themes = []theme{
	{Get: 12, Set: 12},
	{GetRange: 16, Set: 6, Clear: 6, ClearRange: 4},
	{Add: 12, AtomicOp: 20, Get: 6, Set: 4, Clear: 3},
	{SetStamped: 8, SetStampedKey: 8, Versionstamp: 6, GetRange: 6, Get: 6, Set: 4, Committed: 4},
	{WatchKey: 12, Fired: 14, CancelWatch: 2, Set: 12, Clear: 4},
	{GetKey: 14, GetSelected: 10, Set: 6, Clear: 4, GetRange: 4},
	{ReadConflict: 10, WriteConflict: 10, HideWrite: 6, Conflicts: 10, Set: 6},
	{Cancel: 8, Commit: 6, Reset: 6, OnError: 12, Committed: 4, ApproximateSize: 4},
	{SetOption: 14, Set: 6, SetStamped: 4, Get: 10, GetRange: 4, OnError: 4, Commit: 3},
	{Iterate: 16, Set: 14, Conflicts: 6, GetRange: 3},
	{Conflicting: 8, SetOption: 6, Get: 6, Set: 8, Commit: 4},
	{SetReadVersion: 10, ReadVersion: 6, ApproximateSize: 4},
}

// chooseWeights draws how often each kind comes in this program.
func (g *generator) chooseWeights() {
	add := func(t theme) {
		for k := range kinds {
			if g.Level == Client || !vocabulary[k].client {
				g.weights[k] += t[k]
				g.total += t[k]
			}
		}
	}
	add(base)
	for range 1 + g.IntN(2) {
		add(themes[g.IntN(len(themes))])
	}
}

// kind draws a kind.
func (g *generator) kind() Kind {
	n := g.IntN(g.total)
	for k, weight := range g.weights {
		if n < weight {
			return Kind(k)
		}
		n -= weight
	}
	return Get // the weights add up to the total
}

// fill draws the arguments of a step. It returns false when the answer to what
// it has drawn is not determined.
func (g *generator) fill(s *Step, d *draft) bool {
	switch s.Kind {
	case SetOption:
		return g.fillOption(s, d)
	case Get, GetAll, GetRange, GetKey, GetSelected, WatchKey, Iterate:
		return g.fillRead(s, d)
	case Set, Clear, ClearRange, Add, SetStamped, AtomicOp, SetStampedKey:
		return g.fillWrite(s, d)
	case ReadConflict, WriteConflict:
		return g.fillConflict(s, d)
	case Fired, CancelWatch:
		s.N = int64(1 + g.IntN(g.watches))
	case SetReadVersion:
		s.N = choose(g, int64(FirstCommit), LastCommit, LastCommit, VersionOne, VersionZero)
		if g.Slow && g.oneIn(2) {
			s.N = FutureVersion
		}
		return !d.version || g.oneIn(6)
	case OnError:
		s.N = retried[g.IntN(len(retried))]
		if d.state == draftOpen && g.oneIn(3) || d.state == draftEnded && g.oneIn(6) {
			s.N = final[g.IntN(len(final))]
		}
	default:
	}
	return true
}

func (g *generator) fillRead(s *Step, d *draft) bool {
	s.Snapshot = g.oneIn(5)
	switch s.Kind {
	case Get:
		s.Key = g.key()
		if g.Level == Client && d.version && g.oneIn(40) {
			s.Key = choose(g, "\xff", "\xff/x", "\xff\xff/nowhere")
			return true
		}
		return d.settled(g, point(s.Key))
	case GetAll:
		for range 1 + g.IntN(4) {
			s.Keys = append(s.Keys, g.key())
		}
	case GetRange:
		s.Key, s.End = g.span(!s.Snapshot)
		s.Reverse = g.oneIn(2)
		if g.oneIn(2) {
			s.Limit = 1 + g.IntN(4)
		}
		switch {
		case g.Level == Port && g.oneIn(40):
			s.Limit = -1
			return true
		case g.Level == Client && d.version && !s.Snapshot && g.oneIn(40):
			s.Key, s.End = "\xfe", "\xff\x00"
			if d.system || g.oneIn(2) {
				s.Key, s.End = "\xff\xff/transaction/", "\xff\xff/v"
			}
			return true
		}
		return d.settled(g, Span{s.Key, s.End})
	case GetKey:
		s.Snapshot = false
		s.From = g.selector()
		if g.oneIn(30) && !d.system {
			s.From = Selector{"\xff/x", false, 1}
		}
	case GetSelected:
		s.Snapshot = false
		s.From, s.To = g.selector(), g.selector()
		s.Reverse = g.oneIn(3)
		if g.oneIn(2) {
			s.Limit = 1 + g.IntN(3)
		}
	case Iterate:
		s.Key, s.End = g.span(false)
		s.Reverse = g.oneIn(3)
		s.Mode = choose(g, Iterator, Small, Small, Small, Medium, Exact)
		s.N = int64(choose(g, 0, 1, 2, 3, 4, 100))
		if g.oneIn(3) {
			s.Limit = 1 + g.IntN(5)
		}
		return s.Key < s.End
	case WatchKey:
		s.Key, s.Snapshot = g.key(), false
	default:
	}
	return true
}

// settled reports whether a read of s surely has a determined answer. Without a
// read version that holds when it takes one: when it has to ask the store. With
// one that is too old, at the level Port, when nothing of s is known already.
func (d *draft) settled(g *generator, s Span) bool {
	switch {
	case d.state != draftOpen || d.broken || d.unread:
		return true
	case d.aged && g.Level == Port:
		return s.Begin < s.End && !overlap(d.read, s) && !overlap(d.wrote, s)
	case d.version || s.Begin >= s.End:
		return true
	default:
		return !overlap(d.wrote, s) && !overlap(d.stamps, s)
	}
}

func (g *generator) selector() Selector {
	return Selector{Key: g.bound(), OrEqual: g.oneIn(2), Offset: choose(g, 0, 0, 1, 1, 1, 2, 3, -1, -2)}
}

func (g *generator) fillConflict(s *Step, d *draft) bool {
	s.Key, s.End = g.span(g.Level == Port)
	switch {
	case s.Key > s.End:
		d.broken = true
	case g.Level == Client && !d.system && g.oneIn(40):
		s.Key, s.End = "\xff/x", "\xff/x\x00"
		d.doomed = true
	}
	return true
}

func (g *generator) fillWrite(s *Step, d *draft) bool {
	s.Key = g.key()
	if d.state == draftOpen && g.oneIn(60) {
		return g.fillRefused(s, d)
	}
	switch s.Kind {
	case Set:
		s.Value = g.value()
	case ClearRange:
		s.Key, s.End = g.span(false)
	case Add:
		s.N = choose(g, int64(1), 2, 255, 256, -1, -256, 1<<40, 1<<63-1)
		return s.Key != g.stamped
	case SetStamped:
		s.Key = g.stamped
		s.N = int64(g.IntN(3))
		s.Value = "pre"[:s.N] + strings.Repeat("-", store.StampBytes) + "suf"[:g.IntN(4)]
	case AtomicOp:
		s.Op = Atomics()[g.IntN(len(Atomics()))]
		s.Value = choose(g, g.operand(), g.operand(), g.value())
		return s.Key != g.stamped
	case SetStampedKey:
		head := choose(g, "s/", "p/", "a", "ab")
		s.N = int64(len(head))
		s.Key = head + strings.Repeat("-", store.StampBytes) + choose(g, "", "/1", "/2")
		s.Value = g.value()
	default:
	}
	return true
}

// fillRefused draws a mutation that makes no sense. From then on the
// transaction fails.
func (g *generator) fillRefused(s *Step, d *draft) bool {
	switch {
	case s.Kind == SetStamped:
		s.Key, s.Value, s.N = g.stamped, "12345678901", 2
	case s.Kind == ClearRange:
		s.Key, s.End = "b", "a"
		if g.Level == Client && g.oneIn(2) {
			s.Key, s.End = "x", "\xff\x01"
		}
	case g.Level == Client && (s.Kind == Set || s.Kind == Clear):
		s.Key = choose(g, "\xff", "\xff/x", "\xff\xff/x")
	case g.Level == Client && s.Kind == SetStampedKey:
		s.Key, s.N = choose(g, "1234567890", "\xff1234567890"), 1
	default:
		return false
	}
	d.broken = true
	return true
}

// value returns a short value. None holds what could be taken for a stamp.
func (g *generator) value() string {
	if g.weights[Iterate] > base[Iterate] && g.oneIn(2) {
		return strings.Repeat("v", 100) // so that the bounds of the streaming modes are in reach
	}
	switch g.IntN(8) {
	case 0:
		return ""
	case 1:
		return string(binary.LittleEndian.AppendUint64(nil, uint64(g.IntN(600))))
	case 2:
		return g.operand()
	default:
		return string("0123456789"[g.IntN(10)])
	}
}

// operand returns a few bytes from the ends of their range.
func (g *generator) operand() string {
	b := make([]byte, g.IntN(4))
	for i := range b {
		b[i] = choose(g, byte(0), 1, 2, 0x7f, 0xff)
	}
	return string(b)
}

// limits is a program at the limits of sizes, taken by one client.
func (g *generator) limits() {
	g.emit(Step{Kind: Begin})
	g.emit(Step{Kind: Set, Key: "a", Value: "1"})
	g.emit(Step{Kind: Commit})
	scripts := [][]Step{g.longKey(0), g.longKey(1), g.longValue(0), g.longValue(1), g.longKeyRead()}
	if g.oneIn(2) {
		scripts = append(scripts, g.fullTransaction())
	}
	g.Shuffle(len(scripts), func(i, j int) { scripts[i], scripts[j] = scripts[j], scripts[i] })
	for _, script := range scripts[:3] {
		g.emit(Step{Kind: Begin})
		g.steps = append(g.steps, script...)
		g.emit(Step{Kind: Begin})
		g.emit(Step{Kind: ClearRange, Key: "f", End: firstSystemKey})
		g.emit(Step{Kind: Commit})
	}
}

// longest returns a key that is so many bytes over the limit: at the level
// Client with its prefix; at the level Port, where an engine may put something
// in front of keys, one that fits is clearly under it.
func (g *generator) longest(over int) string {
	n := store.MaxKeyBytes + over
	switch {
	case g.Level == Client:
		n -= PrefixBytes
	case over <= 0:
		n -= 200
	}
	return strings.Repeat("k", n)
}

func (g *generator) longKey(over int) []Step {
	return []Step{{Kind: Set, Key: g.longest(over), Value: "1"}, {Kind: Get, Key: "a"}, {Kind: Commit}}
}

func (g *generator) longValue(over int) []Step {
	return []Step{{Kind: Set, Key: "v", Value: strings.Repeat("x", store.MaxValueBytes+over)}, {Kind: Get, Key: "a"}, {Kind: Commit}}
}

func (g *generator) longKeyRead() []Step {
	key := g.longest(1)
	script := []Step{{Kind: Get, Key: key}, {Kind: Clear, Key: key}, {Kind: ClearRange, Key: key, End: key + "k"}, {Kind: Commit}}
	if g.Level == Client {
		script = slices.Insert(script, 3, Step{Kind: GetRange, Key: "a", End: key + "k"}, Step{Kind: Conflicts})
	}
	return script
}

// Sizes that FoundationDB counts for a set.
const (
	fillKeyBytes   = 8
	setOverhead    = 44 + 24 + 1 // of the mutation, of its conflict range and of the range's end
	fillValueBytes = store.MaxValueBytes
)

// fullTransaction fills a transaction: at the level Client to the byte, at the
// level Port, where an engine may have overhead of its own, clearly.
func (g *generator) fullTransaction() []Step {
	s := Step{Kind: Fill, N: choose(g, int64(90), 101)}
	if g.Level == Client {
		s.N = 99
		each := setOverhead + 3*(PrefixBytes+fillKeyBytes)
		s.Limit = store.MaxTxnBytes - int(s.N)*(each+fillValueBytes) - each + choose(g, -1, 0, 1, 2)
	}
	return []Step{s, {Kind: Commit}}
}
