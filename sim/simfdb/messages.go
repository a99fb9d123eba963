package simfdb

import (
	"time"

	"github.com/kelpie-registry/kelpie/sim"
)

// The messages between clients and servers. A message that was sent is never
// changed again: receivers may keep it, and the network may deliver it twice.
// The call inside a request belongs to the client; servers hand the request
// back in the reply and do not look at it.

// grvRequest asks the proxy for a read version.
type grvRequest struct {
	call     call
	id       requestID
	priority priority
	tags     []string
}

type grvReply struct {
	request    *grvRequest
	code       int // 0 or an error number
	version    Version
	base       Version // the last commit at or before version: nothing changed since
	locked     bool    // the database is
	generation generation
}

// readRequest asks the storage server for keys or, if keys is nil, for a range: its
// rows or, if measured is above 0, its size.
type readRequest struct {
	call    call
	id      requestID
	version Version
	base    Version // as in grvReply
	keys    []string

	span    KeyRange
	limit   int
	bytes   int
	reverse bool

	measured int // bytes between two of the keys that the answer names

	roomForKeys [2]string
}

type readReply struct {
	request *readRequest
	code    int
	values  []row // for keys: in their order; a missing key has no row
	found   []bool
	rows    []row
	more    bool
	bytes   int      // of the range that was measured
	points  []string // that divide it

	roomForValues [2]row
	roomForFound  [2]bool
}

// commitRequest asks the proxy to commit.
type commitRequest struct {
	call        call
	id          requestID
	from        *sim.Port
	generation  generation // the one the client believed in: others refuse it
	readVersion Version
	reads       []KeyRange
	writes      []KeyRange
	mutations   []mutation
	stampedKeys bool       // that there may be some among mutations
	lockAware   bool       // it may commit although the database is locked
	lock        lockChange // of the database
	report      bool       // which reads conflict
	idempotency string     // the identity that the log is to remember; "": none
}

// connectionLost stands in a commitReply for the end of the connection: the
// server that answers does not know the request.
const connectionLost = -1

type commitReply struct {
	request    *commitRequest
	code       int // 0, an error number or connectionLost
	version    Version
	order      uint16
	generation generation

	conflicting []KeyRange // reads that made it fail, if asked for
}

// pingRequest asks the proxy whether it still works on commits; the reply lists
// those that it does not know.
type pingRequest struct {
	commits []*commitRequest
}

type pingReply struct {
	unknown    []*commitRequest
	generation generation
}

// generationNotice tells a client that a recovery has ended.
type generationNotice struct {
	generation generation
}

// watchRequest makes the storage server watch for a client exactly the watches
// that it lists. It is sent whenever a watch is added or canceled, and again
// from time to time: that is how watches outlive the storage server.
type watchRequest struct {
	serial  uint64 // increases with each request of a client
	watches []*Watch
}

type watchFired struct {
	watch *Watch
}

// resolveRequest asks the resolver which transactions of a batch may commit.
type resolveRequest struct {
	generation generation
	life       uint64  // of the resolver that was initialized: another one has an empty window
	prev       Version // the version of the batch before
	version    Version
	unanswered Version // verdicts of versions below it are not needed any more
	commits    []*commitRequest
}

type verdict uint8

const (
	verdictCommit verdict = iota
	verdictConflict
	verdictTooOld
	verdictLocked
)

type resolveReply struct {
	generation generation
	version    Version
	verdicts   []verdict
	room       [8]verdict // for the verdicts of most batches

	conflicting map[*commitRequest][]KeyRange // of those that ask for it; nil: none
}

// logEntry is a batch as the log keeps it and the storage server applies it.
type logEntry struct {
	generation generation
	prev       Version
	version    Version
	at         time.Duration // true time at which the version was assigned
	skipped    Version       // versions that a recovery jumped over
	mutations  []mutation
	lock       lockChange // of the database, by one of the transactions
}

// logAck says that the log is durable up to version.
type logAck struct {
	generation generation
	version    Version
}

// notServing refuses a request of a generation that has ended, or that the
// server lost in a crash.
type notServing struct {
	generation generation // the generation that is refused
}

// lockRequest ends all generations before it.
type lockRequest struct {
	attempt attempt
}

type lockReply struct {
	attempt    attempt
	generation generation
	end        point  // of the last entry in the log
	life       uint64 // of the log's process
	locked     bool   // the database is, at the end
}

type resolverInit struct {
	generation generation
	version    Version // the generation's first; reads below it are too old
	locked     bool    // the database is
}

type resolverReady struct {
	generation generation
	life       uint64
}

// hello tells the proxy that a server it depends on has been restarted.
type hello struct {
	life uint64
}

// peekRequest asks the log for the entries behind version after.
type peekRequest struct {
	after Version
}

type peekReply struct {
	entries []*logEntry
}

// popRequest tells the log that storage keeps everything up to version.
type popRequest struct {
	version Version
}
