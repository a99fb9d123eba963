package simfdb

import (
	"bytes"

	"github.com/kelpie-registry/kelpie/store"
)

// GetEstimatedRangeSizeBytes returns about how many bytes the keys and values from
// begin to end have. It adds no conflict range, and does not see own writes.
func (t *Transaction) GetEstimatedRangeSizeBytes(begin, end []byte) *FutureInt64 {
	f := newFuture[int64](t.life)
	measureLater(f, begin, end, store.MaxTxnBytes, func(r *readReply) int64 { return int64(r.bytes) })
	return f
}

// GetRangeSplitPoints returns begin, end, and keys between them about chunk bytes
// apart. chunk is above 0.
func (t *Transaction) GetRangeSplitPoints(begin, end []byte, chunk int64) *FutureKeyArray {
	f := newFuture[[][]byte](t.life)
	if chunk <= 0 {
		return f.fail(Error{CodeInvalidOperation})
	}
	measureLater(f, begin, end, chunk, func(r *readReply) [][]byte {
		points := [][]byte{bytes.Clone(begin)}
		for _, p := range r.points {
			points = append(points, []byte(p))
		}
		return append(points, bytes.Clone(end))
	})
	return f
}

// measureLater measures a range at the present, whatever version the transaction
// reads at.
func measureLater[T any](f *Future[T], begin, end []byte, chunk int64, show func(r *readReply) T) {
	l := f.life
	r := KeyRange{string(begin), string(end)}
	if err := l.usable("measure"); err != nil {
		f.fail(err)
		return
	}
	if r.Begin > l.maxRead() || r.End > l.maxRead() {
		f.fail(Error{CodeKeyOutsideLegalRange})
		return
	}
	later(f, func() (T, error) {
		reply, err := l.measure(r, int(chunk))
		if err != nil {
			var none T
			return none, err
		}
		return show(reply), nil
	})
}

func (l *life) measure(r KeyRange, chunk int) (*readReply, error) {
	cl := l.client
	grv, err := cl.grv(l.ctx, &grvRequest{})
	if err != nil {
		return nil, err
	}
	q := &readRequest{id: cl.nextID(), version: grv.version, base: grv.base, span: r, measured: chunk}
	q.call.life = l
	if err := endOf(&q.call, cl.do(l.ctx, &q.call, cl.c.storageName, q), "measure"); err != nil {
		return nil, err
	}
	return q.call.reply.(*readReply), nil
}

// measure returns the bytes of the rows of r at version v, and keys of them that
// are at least chunk bytes apart, the first of r excepted.
func (m *versionedMap) measure(r KeyRange, v Version, chunk int) (total int, points []string) {
	rows, _ := m.scan(r, v, 0, 0, false)
	since := 0
	for _, row := range rows {
		if since >= chunk {
			points, since = append(points, row.key), 0
		}
		since += len(row.key) + len(row.value)
		total += len(row.key) + len(row.value)
	}
	return total, points
}
