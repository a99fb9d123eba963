package registry

import (
	"strconv"
	"unicode/utf8"

	"github.com/kelpie-registry/kelpie/store"
)

// Limits of identifiers and attached data, in bytes.
const (
	MaxNodeIDBytes    = 256
	MaxActorIDBytes   = 1024
	MaxNamespaceBytes = 64
	MaxAddressBytes   = 512
)

// NodeID names a node, over all its incarnations: 1 to [MaxNodeIDBytes] bytes
// of UTF-8.
type NodeID string

// Validate returns an error that names the limit the id breaks.
func (id NodeID) Validate() error { return validateID("node id", string(id), MaxNodeIDBytes) }

// ActorID names an actor: 1 to [MaxActorIDBytes] bytes of UTF-8.
type ActorID string

// Validate returns an error that names the limit the id breaks.
func (id ActorID) Validate() error { return validateID("actor id", string(id), MaxActorIDBytes) }

// Incarnation tells apart the sessions that one node id has had: each join has
// a higher one. Incarnations of different nodes may be equal.
type Incarnation uint64

func (i Incarnation) String() string { return strconv.FormatUint(uint64(i), 10) }

// Token is a fencing token: for one actor, every new ownership has a higher one
// than all before. The low 56 bits are the store's commit version, the high 8
// the epoch of [Registry.AdvanceEpoch].
type Token uint64

func (t Token) String() string { return strconv.FormatUint(uint64(t), 10) }

// versionBits is the share of a token that the commit version may fill: at
// FoundationDB's million versions a second it lasts for 2,000 years.
const versionBits = 56

func stamped(epoch uint8, v store.Version) uint64 {
	return uint64(epoch)<<versionBits | uint64(v)&(1<<versionBits-1)
}

func validateID(field, id string, limit int) error {
	switch {
	case id == "":
		return invalid("%s is empty", field)
	case len(id) > limit:
		return invalid("%s has %d bytes, at most %d are allowed", field, len(id), limit)
	case !utf8.ValidString(id):
		return invalid("%s %q is not valid UTF-8", field, id)
	}
	return nil
}
