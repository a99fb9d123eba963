package registry

import (
	"encoding/binary"
	"fmt"

	"github.com/kelpie-registry/kelpie/store"
)

// MaxPayloadBytes bounds the payload that goes along with an actor.
const MaxPayloadBytes = 64 << 10

// An actor that is given to a session, rather than claimed by it, is the
// session's from the commit on. The session learns of it through its inbox: a
// row that the same transaction writes. The row is there for exactly as long as
// the actor's record is the one that came with it and the session has no handle:
// whoever takes the record away takes the row too, and it is cleared once the
// handle exists.

// inboxRecord is a row of a session's inbox. The version is that of the commit
// that wrote the actor's record as well.
//
//	format 1 | stamp 10 | payload
type inboxRecord struct {
	version store.Version
	payload []byte
}

const inboxHeader = 1 + store.StampBytes

// encodeInbox leaves the stamp to the commit.
func encodeInbox(payload []byte) []byte {
	b := make([]byte, inboxHeader, inboxHeader+len(payload))
	b[0] = recordFormat
	return append(b, payload...)
}

// decodeInbox returns nil for a nil value. The payload shares memory with v.
func decodeInbox(v []byte) (*inboxRecord, error) {
	if v == nil {
		return nil, nil
	}
	if err := checkRecord("inbox", v, inboxHeader); err != nil {
		return nil, err
	}
	if n := len(v) - inboxHeader; n > MaxPayloadBytes {
		return nil, fmt.Errorf("%w: inbox record with %d bytes of payload", ErrCorrupt, n)
	}
	return &inboxRecord{version: store.Version(binary.BigEndian.Uint64(v[stampAt:])), payload: v[inboxHeader:]}, nil
}

// brings reports whether the row came with the record, which is the session's
// own.
func (i *inboxRecord) brings(rec *actorRecord) bool {
	return i != nil && rec != nil && i.version == rec.version
}

func (r *Registry) readInbox(tx store.Reader, id sessionID, a ActorID) (*inboxRecord, error) {
	v, err := tx.Get(r.keys.given(id.node, id.incarnation, a))
	if err != nil {
		return nil, err
	}
	return decodeInbox(v)
}

// own writes the record, the index and the load of a session's new actor. The
// commit's version becomes the token.
func (r *Registry) own(tx store.Tx, id sessionID, epoch uint8, a ActorID, op opID) {
	rec := actorRecord{epoch: epoch, incarnation: id.incarnation, op: op, node: id.node}
	tx.SetStamped(r.keys.actor(a), rec.encode(), stampAt)
	tx.Set(r.keys.owned(id.node, id.incarnation, a), nil)
	tx.Add(r.keys.load(id.node, id.incarnation), 1)
}

// disown takes an actor out of what a session, live or not, has, except for the
// record: that is cleared or written by the caller.
func (r *Registry) disown(tx store.Tx, id sessionID, a ActorID) {
	tx.Clear(r.keys.owned(id.node, id.incarnation, a))
	tx.Clear(r.keys.given(id.node, id.incarnation, a))
	tx.Add(r.keys.load(id.node, id.incarnation), -1)
}

// deliver puts an actor into the inbox of the session that the same transaction
// makes its owner.
func (r *Registry) deliver(tx store.Tx, id sessionID, a ActorID, payload []byte) {
	tx.SetStamped(r.keys.given(id.node, id.incarnation, a), encodeInbox(payload), stampAt)
	signal := make([]byte, 1+store.StampBytes)
	signal[0] = recordFormat
	tx.SetStamped(r.keys.inbox(id.node, id.incarnation), signal, stampAt)
}
