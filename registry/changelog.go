package registry

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"

	"github.com/kelpie-registry/kelpie/store"
)

// The change log of sessions. Every transaction that changes a session's record
// appends a row, and no two of them conflict because of it: a row's key is the
// number of changes that the transaction saw, read by a snapshot read, and the
// node; the number itself grows by atomic addition. A row's value carries the
// commit's stamp, which is what orders changes.
//
// So two rows may have one position, and one may come late, at a position behind
// others. Who reads the log knows how many changes there have been since, and
// looks further back until it has found as many: the number is the checksum.

// logTrims is how often the log is trimmed, in the mean, while as many changes are
// made as it keeps.
const logTrims = 64

// logRow is one change.
//
//	format 1 | stamp 10 | 1, and the session's record; or 0: the record was removed
type logRow struct {
	node    NodeID
	version store.Version // of the commit
	order   [2]byte
	session *sessionRecord // nil: removed
}

const logHeader = 1 + store.StampBytes + 1

// changeSession writes a session's record as part of tx, which has read it.
func (r *Registry) changeSession(tx store.Tx, n NodeID, s *sessionRecord) error {
	tx.Set(r.keys.state(n), s.encode())
	return r.logChange(tx, n, s)
}

// forgetNode removes the record and the beat of a session that has ended, as part
// of tx, which has read the record.
func (r *Registry) forgetNode(tx store.Tx, n NodeID) error {
	tx.Clear(r.keys.state(n))
	tx.Clear(r.keys.beat(n))
	return r.logChange(tx, n, nil)
}

// logChange appends the row of a change. The record of a join, whose stamp is not
// known yet, has the stamp of its row.
func (r *Registry) logChange(tx store.Tx, n NodeID, s *sessionRecord) error {
	v, err := tx.Snapshot().Get(r.keys.head())
	if err != nil {
		return err
	}
	head, err := decodeHead(v)
	if err != nil {
		return err
	}
	row := make([]byte, logHeader, logHeader+sessionHeader)
	row[0] = recordFormat
	if s != nil {
		row[logHeader-1] = 1
		row = append(row, s.encode()...)
	}
	tx.SetStamped(r.keys.log(head, n), row, stampAt)
	tx.Add(r.keys.head(), 1)
	keep := uint64(r.o.LogKeep)
	if head >= keep && trims(head, keep, n) {
		tx.ClearRange(r.keys.log(0, ""), r.keys.log(head-keep, ""))
	}
	return nil
}

// trims reports whether a change is one that trims the log. That is drawn from the
// number that the change sees and its node, since the numbers that are seen may miss
// every multiple of one: changes that are made together see the same.
func trims(head, keep uint64, n NodeID) bool {
	h := fnv.New64a()
	_, _ = h.Write(binary.LittleEndian.AppendUint64([]byte(n), head)) // a hash never fails
	return h.Sum64()%max(1, keep/logTrims) == 0
}

func decodeHead(v []byte) (uint64, error) {
	switch len(v) {
	case 0:
		return 0, nil
	case 8:
		return binary.LittleEndian.Uint64(v), nil
	}
	return 0, fmt.Errorf("%w: number of changes of %d bytes, 8 expected", ErrCorrupt, len(v))
}

// decodeLogRow reads a row whose key begins with space, which names all rows.
func decodeLogRow(space []byte, kv store.KeyValue) (*logRow, error) {
	if len(kv.Key) < len(space)+8 {
		return nil, fmt.Errorf("%w: log key %q", ErrCorrupt, kv.Key)
	}
	name, rest, ok := cutTuple(kv.Key[len(space)+8:])
	if !ok || len(rest) > 0 || NodeID(name).Validate() != nil {
		return nil, fmt.Errorf("%w: log key %q", ErrCorrupt, kv.Key)
	}
	if err := checkRecord("log", kv.Value, logHeader); err != nil {
		return nil, err
	}
	row := &logRow{
		node:    NodeID(name),
		version: store.Version(binary.BigEndian.Uint64(kv.Value[stampAt:])),
		order:   [2]byte(kv.Value[stampAt+8:]),
	}
	switch body := kv.Value[logHeader:]; {
	case kv.Value[logHeader-1] == 0 && len(body) == 0:
	case kv.Value[logHeader-1] == 1:
		s, err := decodeSession(body)
		if err != nil {
			return nil, fmt.Errorf("%w (in the log of %q)", err, name)
		}
		if s.version == 0 {
			s.version, s.order = row.version, row.order
		}
		row.session = s
	default:
		return nil, fmt.Errorf("%w: log row of kind %d with %d bytes", ErrCorrupt, kv.Value[logHeader-1], len(body))
	}
	return row, nil
}
