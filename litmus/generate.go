package litmus

import (
	"math/rand/v2"
	"slices"
)

// Generation says which programs a seed stands for.
type Generation struct {
	Level Level
	// Slow programs wait until transactions are too old, or read ahead of the
	// store: seconds, on a real one. No other program does.
	Slow bool
}

// Sizes of a program.
const (
	leastSteps, mostSteps = 18, 38 // between the set-up and the end
	scriptedOneIn         = 150    // programs on the limits: they move megabytes
)

// Generate returns the program of a seed. It is the same on every machine.
func Generate(o Generation, seed uint64) *Program {
	g := newGenerator(o, seed)
	switch {
	case !o.Slow && g.oneIn(scriptedOneIn):
		g.limits()
	default:
		g.setUp()
		g.mingle()
	}
	g.end()
	return &Program{Level: o.Level, Seed: seed, Steps: g.steps}
}

// generator draws a program. It keeps track of each client's transaction as far
// as that is needed to leave out steps whose answer the store is free to choose.
type generator struct {
	Generation
	*rand.Rand

	keys    []string // in order; few, so that clients meet
	stamped string   // the key that may get a stamp; no arithmetic on it
	option  Option   // that comes more often than others
	weights [kinds]int
	total   int
	drafts  [Clients]draft
	clients int
	watches int
	past    bool // there was an Age: early versions are too old
	steps   []Step
}

// Streams of random numbers; arbitrary, but they make the programs.
const (
	streamPort   = 0x6c69746d75730001
	streamClient = 0x6c69746d75730002
	streamSlow   = 0x100
)

func newGenerator(o Generation, seed uint64) *generator {
	stream := uint64(streamPort)
	if o.Level == Client {
		stream = streamClient
	}
	if o.Slow {
		stream += streamSlow
	}
	g := &generator{Generation: o, Rand: rand.New(rand.NewPCG(seed, stream))}
	g.clients = choose(g, 2, 2, 3, 3, 3, Clients)
	g.keys = g.chooseKeys()
	g.stamped = g.keys[g.IntN(len(g.keys))]
	g.chooseWeights()
	if o.Level == Client {
		g.option = Option(g.IntN(int(options)))
	}
	return g
}

func (g *generator) oneIn(n int) bool { return g.IntN(n) == 0 }

func choose[T any](g *generator, from ...T) T { return from[g.IntN(len(from))] }

// universe are the keys of all programs: neighbors, prefixes of each other, and
// the ends of the key space.
var universe = []string{
	"", "\x00", "a", "a\x00", "a\x00\x00", "ab", "b", "b\xff", "b\xff\xff", "c", "p/", "p/1", "p/2", "p0", "\xfe\xff",
}

// chooseKeys returns some neighboring keys.
func (g *generator) chooseKeys() []string {
	n := 3 + g.IntN(4)
	keys := make([]string, 0, n)
	for _, i := range g.Perm(len(universe))[:n] {
		keys = append(keys, universe[i])
	}
	slices.Sort(keys)
	return keys
}

func (g *generator) key() string { return g.keys[g.IntN(len(g.keys))] }

// bound returns an end of a range.
func (g *generator) bound() string {
	switch g.IntN(8) {
	case 0:
		return g.key() + "\x00"
	case 1:
		return ""
	case 2:
		return firstSystemKey
	default:
		return g.key()
	}
}

// firstSystemKey is where the keys begin that FoundationDB keeps for itself.
const firstSystemKey = "\xff"

// span returns a range, seldom an inverted one and then only if that may be.
func (g *generator) span(inverted bool) (begin, end string) {
	begin, end = g.bound(), g.bound()
	if begin > end && !(inverted && g.oneIn(4)) {
		begin, end = end, begin
	}
	if begin < end || g.oneIn(4) || begin > end {
		return begin, end
	}
	return begin, firstSystemKey
}

// emit appends a step.
func (g *generator) emit(s Step) { g.steps = append(g.steps, s) }

// setUp gives about half of the keys a value.
func (g *generator) setUp() {
	g.begin(0, false)
	some := false
	for _, key := range g.keys {
		if key != g.stamped && g.oneIn(2) {
			g.emit(Step{Kind: Set, Key: key, Value: g.value()})
			some = true
		}
	}
	if !some {
		g.emit(Step{Kind: Set, Key: g.keys[0], Value: "0"})
	}
	g.emit(Step{Kind: Commit})
	g.drafts[0].state = draftEnded
}

// begin begins a client's transaction. Most take their read version at once, so
// that all that they see is settled.
func (g *generator) begin(client int, version bool) {
	g.drafts[client] = draft{state: draftOpen}
	g.emit(Step{Client: client, Kind: Begin})
	if version {
		g.emit(Step{Client: client, Kind: ReadVersion})
		g.drafts[client].version = true
	}
}

// mingle lets the clients take turns.
func (g *generator) mingle() {
	last := len(g.steps) + leastSteps + g.IntN(mostSteps-leastSteps+1)
	ageAt := -1
	if g.Slow {
		ageAt = last - 8 - g.IntN(6)
	}
	for len(g.steps) < last {
		if ageAt >= 0 && len(g.steps) >= ageAt {
			g.age()
			ageAt = -1
			if g.oneIn(4) {
				ageAt = last - 2
			}
			continue
		}
		client := g.IntN(g.clients)
		d := &g.drafts[client]
		switch {
		case d.state == draftNone, d.state != draftOpen && !g.oneIn(5):
			g.begin(client, !g.oneIn(5))
		case d.state == draftOpen && d.calls >= 2 && g.oneIn(4):
			g.draw(client, Commit)
		default:
			g.draw(client, g.kind())
		}
	}
}

// draw emits a step of that kind, unless its answer is not determined now.
func (g *generator) draw(client int, k Kind) {
	s := Step{Client: client, Kind: k}
	d := &g.drafts[client]
	if !g.allowed(d, k) || !g.fill(&s, d) {
		return
	}
	g.emit(s)
	d.calls++
	d.note(&s)
	d.aged = d.aged || g.past && k == SetReadVersion
	switch {
	case k == WatchKey:
		g.watches++
	case g.Level == Client && g.follow(&s, d):
	case k == Commit && g.oneIn(8):
		g.draw(client, Committed)
	case k == Commit && g.Level == Client && g.oneIn(8):
		g.draw(client, Versionstamp)
	}
}

// age lets every read version become too old.
func (g *generator) age() {
	g.emit(Step{Kind: Age})
	g.past = true
	for i := range g.drafts {
		d := &g.drafts[i]
		d.aged = d.aged || d.version
	}
}

// end commits what is open, asks the watches, and reads the whole store.
func (g *generator) end() {
	for i := range g.drafts {
		if g.drafts[i].state == draftOpen {
			g.emit(Step{Client: i, Kind: Commit})
		}
	}
	for n := range g.watches {
		g.emit(Step{Kind: Fired, N: int64(n + 1)})
	}
	g.begin(0, true)
	g.emit(Step{Kind: GetRange, Key: "", End: firstSystemKey})
}
