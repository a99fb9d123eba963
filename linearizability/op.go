package linearizability

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// Open is the return time of an operation that has not returned.
const Open time.Duration = math.MaxInt64

// MaxTime bounds call and return times, in nanoseconds (about 146 years).
const MaxTime time.Duration = 1 << 62

// MaxIDBytes bounds the length of a client, node or actor id.
const MaxIDBytes = 1024

// TokenVersionBits is how many low bits of a token, an incarnation or a version
// hold a commit version. The bits above hold the epoch, so that all three
// compare as plain numbers.
const TokenVersionBits = 56

// ErrOp is wrapped by every error about an operation that breaks the table of
// kinds and outcomes; see [Op.Validate].
var ErrOp = errors.New("linearizability: invalid operation")

// Kind says what an operation does.
type Kind uint8

// Kinds. The sessions, actors and tokens that each takes are in docs/history.md.
const (
	kindNone     Kind = iota
	KindJoin          // start a session of a node
	KindClaim         // become an actor's owner
	KindRelease       // give a claim up
	KindTransfer      // give a claim to another session
	KindLookup        // ask for an actor's owner
	KindLeave         // end the own session
	KindRevoke        // end another node's session
	KindUse           // ask a claim's handle whether it is valid, and act
	KindWrite         // write to a resource outside the store that checks tokens
	KindGuard         // commit a transaction that is guarded by a claim
	KindLost          // a note: the moment a node was told that its session is lost
	kindCount
)

// Outcome says how an operation ended.
type Outcome uint8

// Outcomes. Which of them a kind may have is in docs/history.md.
const (
	OutcomePending  Outcome = iota // has not returned
	OutcomeOK                      // took effect, or saw what it reports
	OutcomeHeld                    // claim: another live session owns the actor
	OutcomeLost                    // the session was over; no effect
	OutcomeInUse                   // join: the node has a live session
	OutcomeNotOwner                // release, transfer: the claim was not the record
	OutcomeUnowned                 // lookup: nobody owns the actor
	OutcomeUnknown                 // may have taken effect, or may yet
	OutcomeFailed                  // an error that promises no effect
	OutcomeRejected                // guard, write: refused
	OutcomeValid                   // use: the handle was valid
	OutcomeInvalid                 // use: the handle was not valid
	outcomeCount
)

// Op is one operation of a history. Fields that a kind or an outcome does not
// have are zero.
type Op struct {
	ID     int    // unique in the history, not negative
	Client string // who called, for people and pictures
	Kind   Kind

	Node        string // the session that acts; of a revoke, its victim
	Incarnation uint64 // of that session; of a join, the new one, a result
	Actor       string
	Token       uint64 // release, transfer, use, write, guard: presented; claim, lookup: a result
	Replace     bool   // join: ends a live session of the node
	Given       bool   // claim: made by others on behalf of the session, and no act of it

	Call   time.Duration
	Return time.Duration // Open while pending

	Outcome          Outcome
	OwnerNode        string // held, lookup ok, in-use: who owns; "" of in-use is Node; transfer: who is to own
	OwnerIncarnation uint64
	NewToken         uint64 // transfer: what the new owner got, a result
	Version          uint64 // commit version of the effect, in a token's form; 0: not known
}

// Result is what a return adds to an operation.
type Result struct {
	Outcome          Outcome
	Incarnation      uint64 // join ok
	Token            uint64 // claim ok, held; lookup ok
	OwnerNode        string
	OwnerIncarnation uint64
	NewToken         uint64 // transfer ok
	Version          uint64
}

// field is a set of an operation's fields.
type field uint16

const (
	fieldNode field = 1 << iota
	fieldIncarnation
	fieldActor
	fieldToken
	fieldReplace
	fieldGiven
	fieldOwner
	fieldOwnerIncarnation
	fieldNewToken
	fieldVersion
)

var fieldNames = []struct {
	bit  field
	name string
}{
	{fieldNode, "node"},
	{fieldIncarnation, "inc"},
	{fieldActor, "actor"},
	{fieldToken, "token"},
	{fieldReplace, "replace"},
	{fieldGiven, "given"},
	{fieldOwner, "owner"},
	{fieldOwnerIncarnation, "owner_inc"},
	{fieldNewToken, "new_token"},
	{fieldVersion, "version"},
}

func (f field) String() string {
	var names []string
	for _, n := range fieldNames {
		if f&n.bit != 0 {
			names = append(names, n.name)
		}
	}
	return strings.Join(names, ", ")
}

// fieldSet says which fields must and which may be there.
type fieldSet struct {
	allowed bool // an outcome that the kind does not have is not
	must    field
	may     field
}

const (
	sessionFields = fieldNode | fieldIncarnation
	ownerFields   = fieldOwner | fieldOwnerIncarnation
)

// kinds is the table of docs/history.md.
var kinds = [kindCount]struct {
	name    string
	invoke  fieldSet
	results [outcomeCount]fieldSet
}{
	KindJoin: {
		name: "join", invoke: fieldSet{must: fieldNode, may: fieldReplace},
		results: [outcomeCount]fieldSet{
			OutcomeOK:      {true, fieldIncarnation, fieldVersion},
			OutcomeInUse:   {true, fieldOwnerIncarnation, fieldOwner},
			OutcomeFailed:  {true, 0, 0},
			OutcomeUnknown: {true, 0, 0},
		},
	},
	KindClaim: {
		name: "claim", invoke: fieldSet{must: sessionFields | fieldActor, may: fieldGiven},
		results: [outcomeCount]fieldSet{
			OutcomeOK:      {true, fieldToken, fieldVersion},
			OutcomeHeld:    {true, fieldToken | ownerFields, 0},
			OutcomeLost:    {true, 0, 0},
			OutcomeFailed:  {true, 0, 0},
			OutcomeUnknown: {true, 0, 0},
		},
	},
	KindRelease: {
		name: "release", invoke: fieldSet{must: sessionFields | fieldActor | fieldToken},
		results: [outcomeCount]fieldSet{
			OutcomeOK:       {true, 0, fieldVersion},
			OutcomeNotOwner: {true, 0, 0},
			OutcomeLost:     {true, 0, 0},
			OutcomeFailed:   {true, 0, 0},
			OutcomeUnknown:  {true, 0, 0},
		},
	},
	KindTransfer: {
		name: "transfer", invoke: fieldSet{must: sessionFields | fieldActor | fieldToken | ownerFields},
		results: [outcomeCount]fieldSet{
			OutcomeOK:       {true, fieldNewToken, fieldVersion},
			OutcomeNotOwner: {true, 0, 0},
			OutcomeLost:     {true, 0, 0},
			OutcomeFailed:   {true, 0, 0},
			OutcomeUnknown:  {true, 0, 0},
		},
	},
	KindLookup: {
		name: "lookup", invoke: fieldSet{must: fieldActor, may: sessionFields},
		results: [outcomeCount]fieldSet{
			OutcomeOK:      {true, fieldToken | ownerFields, 0},
			OutcomeUnowned: {true, 0, 0},
			OutcomeFailed:  {true, 0, 0},
		},
	},
	KindLeave: {
		name: "leave", invoke: fieldSet{must: sessionFields},
		results: [outcomeCount]fieldSet{
			OutcomeOK:      {true, 0, fieldVersion},
			OutcomeLost:    {true, 0, 0},
			OutcomeFailed:  {true, 0, 0},
			OutcomeUnknown: {true, 0, 0},
		},
	},
	KindRevoke: {
		name: "revoke", invoke: fieldSet{must: sessionFields},
		results: [outcomeCount]fieldSet{
			OutcomeOK:      {true, 0, fieldVersion},
			OutcomeFailed:  {true, 0, 0},
			OutcomeUnknown: {true, 0, 0},
		},
	},
	KindUse: {
		name: "use", invoke: fieldSet{must: sessionFields | fieldActor | fieldToken},
		results: [outcomeCount]fieldSet{
			OutcomeValid:   {true, 0, 0},
			OutcomeInvalid: {true, 0, 0},
		},
	},
	KindWrite: {
		name: "write", invoke: fieldSet{must: fieldActor | fieldToken, may: sessionFields},
		results: [outcomeCount]fieldSet{
			OutcomeOK:       {true, 0, 0},
			OutcomeRejected: {true, 0, 0},
			OutcomeFailed:   {true, 0, 0},
			OutcomeUnknown:  {true, 0, 0},
		},
	},
	KindGuard: {
		name: "guard", invoke: fieldSet{must: sessionFields | fieldActor | fieldToken},
		results: [outcomeCount]fieldSet{
			OutcomeOK:       {true, 0, fieldVersion},
			OutcomeRejected: {true, 0, 0},
			OutcomeLost:     {true, 0, 0},
			OutcomeFailed:   {true, 0, 0},
			OutcomeUnknown:  {true, 0, 0},
		},
	},
	KindLost: {
		name: "lost", invoke: fieldSet{must: sessionFields},
		results: [outcomeCount]fieldSet{
			OutcomeOK: {true, 0, 0},
		},
	},
}

var outcomeNames = [outcomeCount]string{
	OutcomePending:  "pending",
	OutcomeOK:       "ok",
	OutcomeHeld:     "held",
	OutcomeLost:     "lost",
	OutcomeInUse:    "in-use",
	OutcomeNotOwner: "not-owner",
	OutcomeUnowned:  "unowned",
	OutcomeUnknown:  "unknown",
	OutcomeFailed:   "failed",
	OutcomeRejected: "rejected",
	OutcomeValid:    "valid",
	OutcomeInvalid:  "invalid",
}

// String returns the kind's name in a history file.
func (k Kind) String() string {
	if k == kindNone || k >= kindCount {
		return fmt.Sprintf("kind(%d)", uint8(k))
	}
	return kinds[k].name
}

// String returns the outcome's name in a history file.
func (o Outcome) String() string {
	if o >= outcomeCount {
		return fmt.Sprintf("outcome(%d)", uint8(o))
	}
	return outcomeNames[o]
}

// ParseKind is the inverse of [Kind.String].
func ParseKind(name string) (Kind, error) {
	for k := kindNone + 1; k < kindCount; k++ {
		if kinds[k].name == name {
			return k, nil
		}
	}
	return kindNone, fmt.Errorf("%w: unknown kind %q", ErrOp, name)
}

// ParseOutcome is the inverse of [Outcome.String]. Pending is not an outcome
// that a file may have.
func ParseOutcome(name string) (Outcome, error) {
	for o := OutcomePending + 1; o < outcomeCount; o++ {
		if outcomeNames[o] == name {
			return o, nil
		}
	}
	return OutcomePending, fmt.Errorf("%w: unknown outcome %q", ErrOp, name)
}

// Validate reports whether the operation has the fields that its kind and its
// outcome ask for, no others, and times in their range. The error wraps
// [ErrOp] and names the field.
func (o *Op) Validate() error {
	if err := o.validateInvoke(); err != nil {
		return err
	}
	if o.Outcome == OutcomePending {
		if o.Return != Open {
			return fmt.Errorf("%w: operation %d is pending but returned at %v", ErrOp, o.ID, o.Return)
		}
		if extra := o.fields() &^ (kinds[o.Kind].invoke.must | kinds[o.Kind].invoke.may); extra != 0 {
			return fmt.Errorf("%w: operation %d is pending but has %v", ErrOp, o.ID, extra)
		}
		return nil
	}
	return o.validateReturn()
}

// validateInvoke checks what is known at the call.
func (o *Op) validateInvoke() error {
	if o.ID < 0 {
		return fmt.Errorf("%w: id is %d, must not be negative", ErrOp, o.ID)
	}
	if o.Kind == kindNone || o.Kind >= kindCount {
		return fmt.Errorf("%w: operation %d: unknown kind %d", ErrOp, o.ID, uint8(o.Kind))
	}
	if o.Call < 0 || o.Call > MaxTime {
		return fmt.Errorf("%w: operation %d: call time is %d, must be in [0, %d]", ErrOp, o.ID, o.Call, MaxTime)
	}
	if o.Client == "" {
		return fmt.Errorf("%w: operation %d: missing client", ErrOp, o.ID)
	}
	for _, s := range [...]struct{ name, value string }{{"client", o.Client}, {"node", o.Node}, {"actor", o.Actor}, {"owner", o.OwnerNode}} {
		if err := checkID(s.name, s.value); err != nil {
			return fmt.Errorf("%w: operation %d: %w", ErrOp, o.ID, err)
		}
	}
	k := &kinds[o.Kind]
	if missing := k.invoke.must &^ o.fields(); missing != 0 {
		return fmt.Errorf("%w: operation %d: %v: missing %v", ErrOp, o.ID, o.Kind, missing)
	}
	if o.Kind == KindTransfer && o.OwnerNode == o.Node && o.OwnerIncarnation == o.Incarnation {
		return fmt.Errorf("%w: operation %d: %v: owner and owner_inc are the session that gives the claim", ErrOp, o.ID, o.Kind)
	}
	return nil
}

// validateReturn checks what the return added.
func (o *Op) validateReturn() error {
	k := &kinds[o.Kind]
	if o.Outcome >= outcomeCount || !k.results[o.Outcome].allowed {
		return fmt.Errorf("%w: operation %d: %v cannot end with %v", ErrOp, o.ID, o.Kind, o.Outcome)
	}
	if o.Return < o.Call || o.Return > MaxTime {
		return fmt.Errorf("%w: operation %d: return time is %d, must be in [call, %d]; the call was at %d",
			ErrOp, o.ID, o.Return, MaxTime, o.Call)
	}
	r := &k.results[o.Outcome]
	f := o.fields()
	if missing := r.must &^ f; missing != 0 {
		return fmt.Errorf("%w: operation %d: %v %v: missing %v", ErrOp, o.ID, o.Kind, o.Outcome, missing)
	}
	if extra := f &^ (k.invoke.must | k.invoke.may | r.must | r.may); extra != 0 {
		return fmt.Errorf("%w: operation %d: %v %v: must not have %v", ErrOp, o.ID, o.Kind, o.Outcome, extra)
	}
	if o.Kind == KindJoin && o.OwnerNode != "" && o.OwnerNode != o.Node {
		return fmt.Errorf("%w: operation %d: join %v: owner is %q, must be the node %q", ErrOp, o.ID, o.Outcome, o.OwnerNode, o.Node)
	}
	return nil
}

// fields returns the fields that are not zero.
func (o *Op) fields() field {
	var f field
	if o.Node != "" {
		f |= fieldNode
	}
	if o.Incarnation != 0 {
		f |= fieldIncarnation
	}
	if o.Actor != "" {
		f |= fieldActor
	}
	if o.Token != 0 {
		f |= fieldToken
	}
	if o.Replace {
		f |= fieldReplace
	}
	if o.Given {
		f |= fieldGiven
	}
	if o.OwnerNode != "" {
		f |= fieldOwner
	}
	if o.OwnerIncarnation != 0 {
		f |= fieldOwnerIncarnation
	}
	if o.NewToken != 0 {
		f |= fieldNewToken
	}
	if o.Version != 0 {
		f |= fieldVersion
	}
	return f
}

func checkID(name, value string) error {
	if len(value) > MaxIDBytes {
		return fmt.Errorf("%s is %d bytes long, at most %d are allowed", name, len(value), MaxIDBytes)
	}
	if !utf8.ValidString(value) {
		return fmt.Errorf("%s is not valid UTF-8", name)
	}
	return nil
}

// String describes the operation in one line, without its times.
func (o *Op) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "#%d %v", o.ID, o.Kind)
	if o.Actor != "" {
		fmt.Fprintf(&b, " of %q", o.Actor)
	}
	switch {
	case o.Kind == KindJoin && o.Replace:
		fmt.Fprintf(&b, " of %s, replacing", o.Node)
	case o.Kind == KindJoin:
		fmt.Fprintf(&b, " of %s", o.Node)
	case o.Kind == KindRevoke:
		fmt.Fprintf(&b, " of %s/%d", o.Node, o.Incarnation)
	case o.Incarnation != 0:
		fmt.Fprintf(&b, " by %s/%d", o.Node, o.Incarnation)
	}
	if o.Token != 0 && kinds[o.Kind].invoke.must&fieldToken != 0 {
		fmt.Fprintf(&b, " with token %d", o.Token)
	}
	if o.Kind == KindTransfer {
		fmt.Fprintf(&b, " to %s/%d", o.OwnerNode, o.OwnerIncarnation)
	}
	fmt.Fprintf(&b, ": %v", o.Outcome)
	switch {
	case o.Kind == KindTransfer && o.Outcome == OutcomeOK:
		fmt.Fprintf(&b, ", token %d", o.NewToken)
	case o.Kind == KindTransfer: // nothing to add
	case o.Kind == KindJoin && o.Outcome == OutcomeOK:
		fmt.Fprintf(&b, ", incarnation %d", o.Incarnation)
	case o.Outcome == OutcomeInUse:
		fmt.Fprintf(&b, " by incarnation %d", o.OwnerIncarnation)
	case o.OwnerNode != "":
		fmt.Fprintf(&b, ", owner %s/%d with token %d", o.OwnerNode, o.OwnerIncarnation, o.Token)
	case o.Kind == KindClaim && o.Outcome == OutcomeOK:
		fmt.Fprintf(&b, ", token %d", o.Token)
	}
	return b.String()
}
