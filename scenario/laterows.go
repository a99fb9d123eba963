package scenario

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
)

// What makes the change log hard to follow is a row that comes late: it stands at a
// position that others have read past already. It can be seen in the store only, so
// the audit reads the rows as they are.

// logRow is where a row of the change log stands, and when it came.
type logRow struct {
	position uint64
	stamp    [store.StampBytes]byte
}

// countLateRows notes the late rows among those that the log still has: change
// number k is late when some process had been told of more changes than its
// position says, and of fewer than k.
func (l *life) countLateRows(ctx context.Context) {
	r := l.n.r
	rows, head, err := l.readLog(ctx)
	if err != nil {
		r.world.Fail("harness", fmt.Errorf("read the change log: %w", err))
		return
	}
	slices.SortFunc(rows, func(a, b logRow) int { return bytes.Compare(a.stamp[:], b.stamp[:]) })
	for i, row := range rows {
		number := head - uint64(len(rows)-1-i) // the last row is the last change
		for told := row.position + 1; told < number; told++ {
			if _, ok := r.known[told]; ok {
				r.happened(evLateRow)
				break
			}
		}
	}
}

// readLog returns the rows of the change log and the number of all changes.
func (l *life) readLog(ctx context.Context) (rows []logRow, head uint64, err error) {
	space := []byte(registry.DefaultNamespace + "\x00c")
	err = l.db.Read(ctx, func(tx store.Reader) error {
		rows = nil
		v, err := tx.Get([]byte(registry.DefaultNamespace + "\x00h"))
		if err != nil {
			return err
		}
		if len(v) == 8 {
			head = binary.LittleEndian.Uint64(v)
		}
		end := append([]byte(nil), space...)
		end[len(end)-1]++
		kvs, _, err := tx.GetRange(space, end, store.RangeOptions{})
		for _, kv := range kvs {
			if len(kv.Key) < len(space)+8 || len(kv.Value) < 1+store.StampBytes {
				return fmt.Errorf("row %q is too short", kv.Key)
			}
			row := logRow{position: binary.BigEndian.Uint64(kv.Key[len(space):])}
			copy(row.stamp[:], kv.Value[1:])
			rows = append(rows, row)
		}
		return err
	})
	return rows, head, err
}
