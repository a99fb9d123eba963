package litmus

import "fmt"

// Option is an option of a transaction.
type Option uint8

// The options. N of the step is the number that the last ones take.
const (
	ReadYourWritesDisable Option = iota
	SnapshotRywDisable
	SnapshotRywEnable
	BypassUnreadable
	ReadSystemKeys
	ReadLockAware
	LockAware
	ReportConflictingKeys
	SizeLimit     // bytes
	RetryLimit    // calls of OnError
	MaxRetryDelay // milliseconds
	Timeout       // milliseconds
	Tags          // so many tags, "tag1" and on
	options       // how many there are
)

var optionNames = [options]string{
	"read-your-writes-disable", "snapshot-ryw-disable", "snapshot-ryw-enable", "bypass-unreadable", "read-system-keys",
	"read-lock-aware", "lock-aware", "report-conflicting-keys", "size-limit", "retry-limit", "max-retry-delay", "timeout", "tags",
}

// optionText prints an option with its number.
func optionText(s *Step) string {
	if s.Option < SizeLimit {
		return optionNames[s.Option]
	}
	return fmt.Sprintf("%s %d", optionNames[s.Option], s.N)
}

// Mode is a streaming mode, by its number in FoundationDB's Go binding.
type Mode int

// The streaming modes that programs use.
const (
	Iterator Mode = 0
	Exact    Mode = 1
	Small    Mode = 2
	Medium   Mode = 3
)

// String returns the mode's name.
func (m Mode) String() string {
	switch m {
	case Iterator:
		return "iterator"
	case Exact:
		return "exact"
	case Small:
		return "small"
	case Medium:
		return "medium"
	default:
		return fmt.Sprintf("mode-%d", int(m))
	}
}

// fillOption draws an option whose effect is determined now.
func (g *generator) fillOption(s *Step, d *draft) bool {
	s.Option = g.option
	if g.oneIn(3) {
		s.Option = Option(g.IntN(int(options)))
	}
	switch s.Option {
	case ReadYourWritesDisable:
		return d.late || d.touches == 0
	case BypassUnreadable:
		return !d.stampedKey
	case SizeLimit:
		s.N = choose(g, int64(32), 150, 200, 300, 400, 10_000_000, 31, 10_000_001)
	case RetryLimit:
		s.N = choose(g, int64(0), 0, 1, 2, -1, -2)
	case MaxRetryDelay:
		s.N = choose(g, int64(0), 5, -1)
	case Timeout:
		s.N = -1 // others make the outcome a matter of time
	case Tags:
		s.N = choose(g, int64(5), 6)
	default:
	}
	return true
}

// follow draws, now and then, what shows the effect of an option or of the end of
// a life that had some. It returns whether it did.
func (g *generator) follow(s *Step, d *draft) bool {
	switch {
	case d.failing() || g.oneIn(3):
		return false
	case s.Kind == Set && d.version && d.plain && g.oneIn(3):
		g.emitNoted(Step{Client: s.Client, Kind: GetRange, End: firstSystemKey}, d)
	case s.Kind == Set && d.version && (d.plain || d.hides > 0 || d.after), s.Kind == SetStamped && d.version && d.bypass:
		g.emitNoted(Step{Client: s.Client, Kind: Get, Key: s.Key, Snapshot: d.hides > 0}, d)
	case s.Kind == SetOption && s.Option == BypassUnreadable:
		g.draw(s.Client, SetStamped)
	case s.Kind == SetOption && (s.Option == ReadYourWritesDisable || s.Option == SnapshotRywDisable):
		g.draw(s.Client, Set)
	case s.Kind == Commit && (d.plain || d.hides > 0):
		g.draw(s.Client, OnError)
	case s.Kind == OnError && d.after && d.state == draftOpen:
		g.emitNoted(Step{Client: s.Client, Kind: ReadVersion}, d)
		g.draw(s.Client, Set)
	case s.Kind == SetOption && d.version && d.system:
		g.emitNoted(Step{Client: s.Client, Kind: Get, Key: firstSystemKey + "/x"}, d)
	case d.limited && (s.Kind == SetOption || s.Kind == OnError && d.state == draftOpen):
		g.draw(s.Client, OnError)
	case s.Kind == Reset && d.kept:
		g.draw(s.Client, Committed)
	case s.Kind == Commit && d.reports:
		g.draw(s.Client, Conflicting)
	default:
		return false
	}
	return true
}

func (g *generator) emitNoted(s Step, d *draft) {
	g.emit(s)
	d.calls++
	d.note(&s)
}

// noteOption keeps track of what an option does to the transaction.
func (d *draft) noteOption(s *Step) {
	switch s.Option {
	case ReadYourWritesDisable:
		d.broken = d.late
		d.plain = true
	case SnapshotRywDisable:
		d.hides++
	case SnapshotRywEnable:
		d.hides--
	case BypassUnreadable:
		d.bypass = true
	case ReadSystemKeys:
		d.system = true
	case ReportConflictingKeys:
		d.reports = true
	case ReadLockAware:
		d.mayFail = true
	case SizeLimit:
		d.mayFail = true
		d.broken = s.N < 32 || s.N > 10_000_000
	case RetryLimit:
		d.limited, d.limit = s.N >= 0, s.N
		d.broken = s.N < -1
	case MaxRetryDelay, Timeout:
		d.broken = s.N < 0
	case Tags:
		d.broken = s.N > 5
	default:
	}
}
