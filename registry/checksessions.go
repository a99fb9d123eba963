package registry

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/kelpie-registry/kelpie/store"
)

// membership is everything in the store that is said of sessions.
type membership struct {
	sessions map[NodeID]*sessionRecord
	beats    map[NodeID]beatRecord
	head     uint64
	log      []placedRow // in the order of commits
}

// placedRow is a row of the change log with the position in its key.
type placedRow struct {
	*logRow
	position uint64
}

// checkSessions returns an error for each place where the records of sessions, their
// beats and the change log disagree.
func (r *Registry) checkSessions(ctx context.Context) (errs []error, err error) {
	m, err := r.readMembership(ctx)
	if err != nil {
		return nil, err
	}
	for _, n := range slices.Sorted(maps.Keys(m.beats)) {
		switch s := m.sessions[n]; {
		case s == nil:
			errs = append(errs, fmt.Errorf("%w: beat of %q, which has no session", ErrCorrupt, n))
		case m.beats[n].incarnation > s.incarnation():
			errs = append(errs, fmt.Errorf("%w: beat of incarnation %v of %q, whose session is %v", ErrCorrupt, m.beats[n].incarnation, n, s.incarnation()))
		}
	}
	return append(errs, m.checkLog(uint64(r.o.LogKeep))...), nil
}

// readMembership reads in several transactions.
func (r *Registry) readMembership(ctx context.Context) (*membership, error) {
	m := &membership{sessions: make(map[NodeID]*sessionRecord), beats: make(map[NodeID]beatRecord)}
	err := r.db.Read(ctx, func(tx store.Reader) error {
		v, err := tx.Get(r.keys.head())
		if err != nil {
			return err
		}
		m.head, err = decodeHead(v)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("registry: read the number of changes: %w", err)
	}
	err = r.scan(ctx, tagState, func(kv store.KeyValue) error {
		n, err := nodeOf(kv.Key, r.keys.tagged(tagState, 0))
		if err == nil {
			m.sessions[n], err = decodeSession(kv.Value)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	err = r.scan(ctx, tagBeat, func(kv store.KeyValue) error {
		n, err := nodeOf(kv.Key, r.keys.tagged(tagBeat, 0))
		if err == nil {
			m.beats[n], err = decodeBeat(kv.Value)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	space := r.keys.tagged(tagLog, 0)
	err = r.scan(ctx, tagLog, func(kv store.KeyValue) error {
		row, err := decodeLogRow(space, kv)
		if err == nil {
			m.log = append(m.log, placedRow{row, binary.BigEndian.Uint64(kv.Key[len(space):])})
		}
		return err
	})
	slices.SortFunc(m.log, func(a, b placedRow) int {
		return cmp.Or(compareStamps(a.version, a.order, b.version, b.order), cmp.Compare(a.position, b.position))
	})
	return m, err
}

// checkLog checks the log against itself and against the sessions.
//
// A change's position is how many there had been at some moment before it took
// effect: no row of those from i on, of which there are len−i, can have a position
// above head−(len−i). None of the rows is older than the lowest position of all, so
// there are at most head−lowest of them, and just as many while none has been
// cleared.
func (m *membership) checkLog(keep uint64) (errs []error) {
	rows, lowest := uint64(len(m.log)), m.head
	newest := make(map[NodeID]*logRow)
	for i, row := range m.log {
		lowest = min(lowest, row.position)
		newest[row.node] = row.logRow
		if after := rows - uint64(i); row.position+after > m.head {
			errs = append(errs, fmt.Errorf("%w: log row of %q at position %d, with %d rows from there to change %d", ErrCorrupt, row.node, row.position, after, m.head))
		}
	}
	whole := m.head <= keep
	if rows > m.head-lowest || whole && rows < m.head-lowest {
		errs = append(errs, fmt.Errorf("%w: %d log rows from position %d to change %d", ErrCorrupt, rows, lowest, m.head))
	}
	for _, n := range slices.Sorted(maps.Keys(newest)) {
		switch row, s := newest[n], m.sessions[n]; {
		case (row.session == nil) != (s == nil):
			errs = append(errs, fmt.Errorf("%w: session of %q is there: %v, the log's last row says %v", ErrCorrupt, n, s != nil, row.session != nil))
		case s != nil && !bytes.Equal(row.session.encode(), s.encode()):
			errs = append(errs, fmt.Errorf("%w: session of %q is %v as %v, the log's last row says %v as %v",
				ErrCorrupt, n, s.incarnation(), s.state(), row.session.incarnation(), row.session.state()))
		}
	}
	for _, n := range slices.Sorted(maps.Keys(m.sessions)) {
		if whole && newest[n] == nil {
			errs = append(errs, fmt.Errorf("%w: session of %q without a row of the log", ErrCorrupt, n))
		}
	}
	return errs
}

// nodeOf returns the node id that a key names behind the given prefix.
func nodeOf(key, prefix []byte) (NodeID, error) {
	name, rest, ok := cutTuple(key[len(prefix):])
	if !ok || len(rest) > 0 || NodeID(name).Validate() != nil {
		return "", fmt.Errorf("%w: node key %q", ErrCorrupt, key)
	}
	return NodeID(name), nil
}
