package litmus

import "slices"

type draftState uint8

const (
	draftNone draftState = iota
	draftOpen
	draftEnded    // committed, or refused
	draftCanceled // by Cancel, or by an OnError that does not retry
)

// draft is what the generator knows of a client's transaction.
type draft struct {
	state   draftState
	calls   int
	version bool // it surely has a read version
	aged    bool // which is too old, or ahead of the store
	broken  bool // a mutation was refused: reads and the commit fail
	doomed  bool // the commit will fail, and only the commit is asked
	unread  bool // it has read the unreadable: the commit fails
	reset   bool // it went through Reset or OnError
	kept    bool // it went through Reset alone: the committed version is still there
	late    bool // it has written something that it could read
	plain   bool // it does not read its writes
	bypass  bool // it may read the unreadable
	system  bool // it may read system keys
	reports bool // it tells what conflicted
	after   bool // the life before did not read all of its writes
	mayFail bool // the commit may be refused by the client itself
	limited bool // OnError may be called limit times
	limit   int64
	retries int64 // calls of OnError
	hides   int   // above 0: its snapshot reads do not see its writes
	touches int   // calls that read or write, or may do
	wrote   []Span
	read    []Span
	stamps  []Span // unreadable until the commit

	stampedKey bool // some of stamps are those of a stamped key
}

func overlap(spans []Span, s Span) bool {
	return slices.ContainsFunc(spans, func(t Span) bool { return s.Begin < t.End && t.Begin < s.End })
}

func point(key string) Span { return Span{key, key + "\x00"} }

// note keeps track of what a step does to the transaction.
func (d *draft) note(s *Step) {
	switch s.Kind {
	case ReadVersion, SetReadVersion, SetOption:
	default:
		d.touches++
	}
	switch s.Kind {
	case SetOption:
		d.noteOption(s)
	case Set, Clear:
		d.late = true
	case ReadVersion:
		d.version = true
	case SetReadVersion:
		d.broken = d.broken || d.version || s.N == VersionZero
		d.aged = d.aged || s.N == VersionOne || s.N == FutureVersion
		d.version = true
	case Get:
		d.readSpan(point(s.Key), s.Snapshot)
	case GetAll:
		for _, k := range s.Keys {
			d.readSpan(point(k), s.Snapshot)
		}
	case WatchKey:
		d.readSpan(point(s.Key), false)
	case GetRange, Iterate:
		if s.Limit >= 0 {
			d.readSpan(Span{s.Key, s.End}, s.Snapshot)
		}
	case GetKey, GetSelected:
		d.readSpan(Span{"", firstSystemKey}, false)
	case Commit:
		d.state = draftEnded
		d.doomed = d.doomed || d.mayFail
	case Cancel:
		d.state = draftCanceled
	case Reset:
		*d = draft{state: draftOpen, reset: true, kept: !d.reset || d.kept}
	case OnError:
		d.onError(s.N)
	case SetStamped, SetStampedKey:
		d.noteStamp(s)
	default:
	}
	if span, writes := s.touches(); writes {
		d.wrote = append(d.wrote, span)
	}
}

func (d *draft) noteStamp(s *Step) {
	switch {
	case d.broken:
	case s.Kind == SetStamped:
		d.stamps = append(d.stamps, point(s.Key))
	default:
		d.stamps = append(d.stamps, stampedSpan(s.Key, int(s.N)))
		d.stampedKey = true
	}
}

func (d *draft) readSpan(s Span, snapshot bool) {
	if s.Begin < s.End {
		d.version = true
		d.read = append(d.read, s)
	}
	sees := !d.plain && !d.bypass && !(snapshot && d.hides > 0)
	d.unread = d.unread || sees && overlap(d.stamps, s)
}

// onError keeps track of OnError: what may be retried resets the transaction.
func (d *draft) onError(code int64) {
	limit := draft{limited: d.limited, limit: d.limit, retries: d.retries + 1, after: d.plain || d.hides > 0}
	switch {
	case d.state == draftCanceled:
	case slices.Contains(retried, code) && !(d.limited && d.retries >= d.limit):
		*d = limit
		d.state, d.reset = draftOpen, true
	default:
		*d = draft{state: draftCanceled, reset: true, doomed: d.state == draftEnded}
	}
}

// retried are error numbers after which FoundationDB's client tries again, and
// final are some after which it does not.
var (
	retried = []int64{1007, 1009, 1020, 1021, 1037}
	final   = []int64{1036, 2000, 2017, 2101}
)

// stampedSpan returns the keys that a stamped key may become.
func stampedSpan(key string, at int) Span {
	fill := func(b byte) string {
		k := []byte(key)
		for i := range 10 {
			k[at+i] = b
		}
		return string(k)
	}
	return Span{fill(0), fill(0xff) + "\x00"}
}

// allowed reports whether the answer to a step of that kind follows from the
// steps so far, on any store. What depends on the step's arguments is decided
// where they are drawn.
func (g *generator) allowed(d *draft, k Kind) bool {
	switch k {
	case Fired, CancelWatch:
		return g.watches > 0
	case Committed:
		return !d.reset && (d.state == draftOpen || d.state == draftEnded) || d.kept && d.state == draftOpen
	case Conflicting:
		return !d.reset && !d.failing() && !d.doomed && !d.aged && (d.state == draftOpen || d.state == draftEnded)
	case LateStamp:
		return d.state == draftEnded && !d.failing() && !d.doomed && !d.aged
	case Reset:
		return d.state != draftNone
	case OnError:
		return !d.doomed || d.state == draftCanceled
	case Versionstamp:
		return d.state == draftEnded && !d.broken && !d.doomed && !d.unread && !d.aged
	default:
	}
	switch d.state {
	case draftOpen:
		return g.allowedOpen(d, k)
	case draftEnded, draftCanceled:
		return g.allowedOver(d, k)
	default:
		return false
	}
}

func (d *draft) failing() bool { return d.broken || d.unread }

// allowedOpen is allowed for an open transaction.
func (g *generator) allowedOpen(d *draft, k Kind) bool {
	failing := d.failing()
	switch {
	case k == Commit || k == Cancel:
		return true
	case d.doomed:
		return false // FoundationDB finds out at the commit, others at the call
	case failing && g.Level == Port:
		return d.broken && k == Get // after a read of the unreadable, the port says nothing of reads
	case failing:
		return k == Get || k == GetRange
	}
	switch k {
	case WatchKey:
		// The adapters read what a watch compares with, and see what it sees.
		return d.version && !(d.aged && g.Level == Port) && !d.plain && !d.bypass && d.hides <= 0
	case SetStampedKey:
		return !d.bypass
	case Iterate:
		return d.version && !d.aged
	case SetOption:
		return !d.aged
	case GetAll, GetKey, GetSelected:
		return d.version && !(d.aged && g.Level == Port)
	case Conflicts:
		return d.version && !d.aged
	case SetReadVersion:
		return !d.aged && len(d.read) == 0
	default:
		return true
	}
}

// allowedOver is allowed for a transaction after its end.
func (g *generator) allowedOver(d *draft, k Kind) bool {
	if d.doomed || (g.Level == Client && (d.broken || d.unread)) {
		return false // nobody has recorded what FoundationDB says then
	}
	switch k {
	case Get, GetRange, Set, Commit:
		return true
	case Clear, ClearRange, Add, ReadVersion, GetAll, WatchKey, Cancel:
		return g.Level == Port
	default:
		return false
	}
}
