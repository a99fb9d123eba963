package litmus

import (
	"fmt"
	"strings"
)

// Level is a vocabulary of steps.
type Level string

// The levels.
const (
	Port   Level = "port"   // package store's calls, errors by the names of its sentinels
	Client Level = "client" // FoundationDB's calls, errors by their numbers
)

// Clients is how many clients a program has, at most. They are named A, B, C
// and D.
const Clients = 4

// Kind says what a step does.
type Kind uint8

// The kinds of steps. Begin, ReadVersion and so on belong to a client's
// transaction; Age belongs to the driver.
const (
	Begin           Kind = iota // a new transaction; the client's last one is canceled
	ReadVersion                 // the version that reads see
	Get                         // of Key
	GetAll                      // of Keys
	GetRange                    // of [Key, End), up to Limit rows
	Set                         // Key to Value
	Clear                       // Key
	ClearRange                  // [Key, End)
	Add                         // N to Key, 64 bits little-endian
	SetStamped                  // Key to Value with the stamp at N
	ReadConflict                // on [Key, End)
	WriteConflict               // on [Key, End)
	Fill                        // sets N values of 100,000 bytes, and one of Limit bytes unless that is 0
	WatchKey                    // Key; the watches of a program are numbered from 1
	Fired                       // whether watch N has fired
	CancelWatch                 // watch N
	Commit                      //
	Committed                   // the commit version
	Cancel                      // the transaction
	Age                         // waits until every read version taken so far is too old
	GetKey                      // that From selects
	GetSelected                 // the rows between what From and To select, up to Limit
	AtomicOp                    // Op with Value on Key
	SetStampedKey               // Key with the stamp at N, to Value
	SetReadVersion              // to what N names, see the constants below
	HideWrite                   // the next write adds no write conflict range
	Conflicts                   // the read and write conflict ranges so far
	ApproximateSize             // of the transaction
	Versionstamp                // of the commit
	Reset                       // the transaction
	OnError                     // with error number N
	SetOption                   // Option, to N if it takes a number
	Iterate                     // over [Key, End) in Mode, taking up to N rows one by one
	Conflicting                 // the reads that made the commit conflict
	LateStamp                   // asks for the stamp when the commit is over
	kinds                       // how many there are
)

// What SetReadVersion can name.
const (
	FirstCommit   = iota // the version of the program's first commit
	LastCommit           // the version of its last commit
	VersionOne           // long gone
	VersionZero          // no version
	FutureVersion        // the last commit's and 100 million
)

var versionNames = [...]string{"first commit", "last commit", "1", "0", "far ahead"}

// kindRow is what the vocabulary says of a kind.
type kindRow struct {
	name   string
	client bool // not in the port's vocabulary
	text   func(s *Step) string
}

// vocabulary has a row for each kind: a new kind needs one here, a case in each
// adapter's Do, and a weight in the generator.
var vocabulary = [kinds]kindRow{
	Begin:           {"begin", false, noArguments},
	ReadVersion:     {"read-version", false, noArguments},
	Get:             {"get", false, func(s *Step) string { return s.snapshot() + quote(s.Key) }},
	GetAll:          {"get-all", false, func(s *Step) string { return s.snapshot() + quoteAll(s.Keys) }},
	GetRange:        {"range", false, func(s *Step) string { return s.snapshot() + s.span() + s.bounds() }},
	Set:             {"set", false, keyAndValue},
	Clear:           {"clear", false, func(s *Step) string { return quote(s.Key) }},
	ClearRange:      {"clear-range", false, (*Step).span},
	Add:             {"add", false, func(s *Step) string { return fmt.Sprintf("%s %d", quote(s.Key), s.N) }},
	SetStamped:      {"set-stamped", false, stampedText},
	ReadConflict:    {"read-conflict", false, (*Step).span},
	WriteConflict:   {"write-conflict", false, (*Step).span},
	Fill:            {"fill", false, func(s *Step) string { return fmt.Sprintf("%d %d", s.N, s.Limit) }},
	WatchKey:        {"watch", false, func(s *Step) string { return quote(s.Key) }},
	Fired:           {"fired", false, watchNumber},
	CancelWatch:     {"cancel-watch", false, watchNumber},
	Commit:          {"commit", false, noArguments},
	Committed:       {"committed", false, noArguments},
	Cancel:          {"cancel", false, noArguments},
	Age:             {"age", false, noArguments},
	GetKey:          {"get-key", true, func(s *Step) string { return s.From.String() }},
	GetSelected:     {"range", true, func(s *Step) string { return s.snapshot() + s.From.String() + " " + s.To.String() + s.bounds() }},
	AtomicOp:        {"", true, keyAndValue}, // named by its operation
	SetStampedKey:   {"set-stamped-key", true, stampedText},
	SetReadVersion:  {"set-read-version", true, func(s *Step) string { return versionNames[s.N] }},
	HideWrite:       {"next-write-no-write-conflict-range", true, noArguments},
	Conflicts:       {"conflict-ranges", true, noArguments},
	ApproximateSize: {"approximate-size", true, noArguments},
	Versionstamp:    {"versionstamp", true, noArguments},
	Reset:           {"reset", true, noArguments},
	SetOption:       {"option", true, optionText},
	Iterate: {"iterate", true, func(s *Step) string {
		return s.snapshot() + s.span() + fmt.Sprintf(" %v take %d", s.Mode, s.N) + s.bounds()
	}},
	Conflicting: {"conflicting", true, noArguments},
	LateStamp:   {"late-versionstamp", true, noArguments},
	OnError:     {"on-error", true, func(s *Step) string { return fmt.Sprint(s.N) }},
}

// Name returns the kind's name.
func (k Kind) Name() string { return vocabulary[k].name }

// Step is one step of a program. Which fields count depends on Kind.
type Step struct {
	Client   int // from 0
	Kind     Kind
	Key, End string
	Keys     []string
	Value    string
	N        int64
	Limit    int // rows; 0: none
	Reverse  bool
	Snapshot bool
	Op       Atomic
	From, To Selector
	Option   Option
	Mode     Mode
}

// String returns the step as its line has it, without the client.
func (s *Step) String() string {
	name := s.Kind.Name()
	if s.Kind == AtomicOp {
		name = s.Op.String()
	}
	if arguments := vocabulary[s.Kind].text(s); arguments != "" {
		return name + " " + arguments
	}
	return name
}

func noArguments(*Step) string { return "" }

func keyAndValue(s *Step) string { return quote(s.Key) + " " + quote(s.Value) }

func stampedText(s *Step) string {
	return fmt.Sprintf("%s %s at %d", quote(s.Key), quote(s.Value), s.N)
}

func watchNumber(s *Step) string { return fmt.Sprintf("w%d", s.N) }

func (s *Step) snapshot() string {
	if s.Snapshot {
		return "snapshot "
	}
	return ""
}

func (s *Step) span() string { return quote(s.Key) + " " + quote(s.End) }

func (s *Step) bounds() string {
	text := ""
	if s.Limit != 0 {
		text = fmt.Sprintf(" limit %d", s.Limit)
	}
	if s.Reverse {
		text += " reverse"
	}
	return text
}

func quoteAll(keys []string) string {
	quoted := make([]string, len(keys))
	for i, k := range keys {
		quoted[i] = quote(k)
	}
	return strings.Join(quoted, " ")
}

// Selector names a key by its place: of the keys in order, the one that is
// Offset keys behind the last key that is before Key, or at it if OrEqual.
type Selector struct {
	Key     string
	OrEqual bool
	Offset  int
}

// String returns the selector as FoundationDB's users write it.
func (s Selector) String() string {
	form, offset := "last<", s.Offset
	switch {
	case s.Offset > 0 && s.OrEqual:
		form, offset = "first>", s.Offset-1
	case s.Offset > 0:
		form, offset = "first>=", s.Offset-1
	case s.OrEqual:
		form = "last<="
	}
	if offset == 0 {
		return form + quote(s.Key)
	}
	return fmt.Sprintf("%s%s%+d", form, quote(s.Key), offset)
}

// Atomic is an atomic operation, by its number in FoundationDB.
type Atomic uint8

// The atomic operations.
const (
	AtomicAdd       Atomic = 2
	BitAnd          Atomic = 6
	BitOr           Atomic = 7
	BitXor          Atomic = 8
	AppendIfFits    Atomic = 9
	Max             Atomic = 12
	Min             Atomic = 13
	ByteMin         Atomic = 16
	ByteMax         Atomic = 17
	CompareAndClear Atomic = 20
)

// Atomics returns the atomic operations.
func Atomics() []Atomic {
	return []Atomic{AtomicAdd, BitAnd, BitOr, BitXor, AppendIfFits, Max, Min, ByteMin, ByteMax, CompareAndClear}
}

// String returns the operation's name.
func (a Atomic) String() string {
	switch a {
	case AtomicAdd:
		return "atomic-add"
	case BitAnd:
		return "bit-and"
	case BitOr:
		return "bit-or"
	case BitXor:
		return "bit-xor"
	case AppendIfFits:
		return "append-if-fits"
	case Max:
		return "max"
	case Min:
		return "min"
	case ByteMin:
		return "byte-min"
	case ByteMax:
		return "byte-max"
	case CompareAndClear:
		return "compare-and-clear"
	default:
		return fmt.Sprintf("atomic-%d", uint8(a))
	}
}
