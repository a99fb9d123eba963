package simfdb

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Automatic idempotency: each commit carries an identity, which the log keeps with
// its changes, in rows as a 7.3 cluster has them. When a connection is lost, the
// client looks there for what became of the commit. The rows of a cluster end
// some time after their commits; those of the simulated one stay.

// identityPrefix is where the rows lie. Behind it come the commit's version, eight
// bytes in big-endian order, and the high byte of its order within the version.
const identityPrefix = "\xff\x02/idmp/"

// identityBytes is the length of the identities that the client makes.
const identityBytes = 16

// identityHeader is what a row's value begins with: the version of the protocol
// and the time, eight bytes each. Then come the identities, each with its length
// before and the low byte of its order behind it.
const identityHeader = 16

const protocolVersion = 0x0FDB00B073000000

// newIdempotencyID returns an identity that no other commit has.
func (cl *Client) newIdempotencyID() string {
	var b [identityBytes]byte
	binary.BigEndian.PutUint64(b[:8], cl.draw("fdb identity"))
	binary.BigEndian.PutUint64(b[8:], cl.draw("fdb identity"))
	return string(b[:])
}

func identityKey(v Version, high byte) string {
	return identityPrefix + string(binary.BigEndian.AppendUint64(nil, uint64(v))) + string([]byte{high})
}

// addIdentity adds the identity of one of the entry's transactions to the row that
// it belongs in, which is the entry's last mutation if there is one.
func (e *logEntry) addIdentity(id string, order uint16) {
	key := identityKey(e.version, byte(order>>8))
	one := string([]byte{byte(len(id))}) + id + string([]byte{byte(order)})
	for i := range e.mutations {
		if m := &e.mutations[i]; m.key == key {
			m.param += one
			return
		}
	}
	header := binary.LittleEndian.AppendUint64(nil, protocolVersion)
	header = binary.LittleEndian.AppendUint64(header, uint64(e.at/time.Second))
	e.mutations = append(e.mutations, mutation{kind: mutationSet, key: key, param: string(header) + one})
}

// errIdentityRow says that a row is not one that the log writes.
var errIdentityRow = errors.New("simfdb: malformed row of identities")

// orderOf returns the version and the order of the commit with the identity, if it
// is in the row. It returns errIdentityRow, wrapped, for another kind of row.
func (r row) orderOf(id string) (v Version, order uint16, found bool, err error) {
	key := r.key[min(len(identityPrefix), len(r.key)):]
	if len(key) != 9 || r.key[:len(identityPrefix)] != identityPrefix {
		return 0, 0, false, fmt.Errorf("%w: key %q", errIdentityRow, r.key)
	}
	if len(r.value) < identityHeader {
		return 0, 0, false, fmt.Errorf("%w: %d bytes", errIdentityRow, len(r.value))
	}
	for rest := r.value[identityHeader:]; rest != ""; {
		n := int(rest[0])
		if len(rest) < n+2 {
			return 0, 0, false, fmt.Errorf("%w: an identity of %d bytes in %d", errIdentityRow, n, len(rest))
		}
		if rest[1:n+1] == id {
			return Version(binary.BigEndian.Uint64([]byte(key))), uint16(key[8])<<8 | uint16(rest[n+1]), true, nil
		}
		rest = rest[n+2:]
	}
	return 0, 0, false, nil
}

// findCommit learns whether a commit was applied whose connection was lost, and
// that no longer can be. Error 1007 when it was not.
func (l *life) findCommit() error {
	cl := l.client
	for wait := fenceWaitLeast; ; wait = min(2*wait, fenceWaitMost) {
		rows, err := cl.identities(l.ctx, l.readVersion)
		if err == nil {
			return l.foundAmong(rows)
		}
		if err = unlessRetryable(err); err == nil {
			err = cl.h.Sleep(l.ctx, wait)
		}
		if err != nil {
			return l.doubt(err)
		}
	}
}

func (l *life) foundAmong(rows []row) error {
	for _, r := range rows {
		v, order, found, err := r.orderOf(l.request.idempotency)
		if err != nil {
			return l.doubt(err)
		}
		if found {
			l.committed, l.order = v, order
			return nil
		}
	}
	return Error{CodeTransactionTooOld}
}

// identities returns the rows of commits behind version after that carry an
// identity, as the cluster has them now.
func (cl *Client) identities(ctx context.Context, after Version) ([]row, error) {
	grv, err := cl.grv(ctx, &grvRequest{})
	if err != nil {
		return nil, err
	}
	q := &readRequest{
		id: cl.nextID(), version: grv.version, base: grv.base,
		span: KeyRange{identityKey(after+1, 0), prefixEnd(identityPrefix)},
	}
	if err := endOf(&q.call, cl.do(ctx, &q.call, cl.c.storageName, q), "identities of commits"); err != nil {
		return nil, err
	}
	return q.call.reply.(*readReply).rows, nil
}
