package simfdb

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/kelpie-registry/kelpie/sim"
)

// rowsOf returns the rows that the log writes for commits with identities, one for
// each order in a batch.
func rowsOf(v Version, ids map[uint16]string, orders ...uint16) []row {
	e := &logEntry{version: v}
	for _, order := range orders {
		e.addIdentity(ids[order], order)
	}
	var rows []row
	for _, m := range e.mutations {
		rows = append(rows, row{m.key, m.param})
	}
	return rows
}

func TestIdentitiesAreFoundAgain(t *testing.T) {
	ids := map[uint16]string{0: "first", 7: strings.Repeat("x", 255), 256: "other row", 65_535: ""}
	rows := rowsOf(4711, ids, 0, 7, 256, 65_535)
	if len(rows) != 3 {
		t.Fatalf("%d rows for three high bytes", len(rows))
	}
	for order, id := range ids {
		found := 0
		for _, r := range rows {
			v, at, ok, err := r.orderOf(id)
			if err != nil {
				t.Fatal(err)
			}
			if ok {
				found++
				if v != 4711 || at != order {
					t.Errorf("%q is at %d %d, want order %d", id, v, at, order)
				}
			}
		}
		if found != 1 {
			t.Errorf("%q was found %d times", id, found)
		}
	}
	if _, _, ok, err := rows[0].orderOf("unknown"); ok || err != nil {
		t.Errorf("an unknown identity: %v %v", ok, err)
	}
}

func TestMalformedIdentityRowsAreRefused(t *testing.T) {
	good := rowsOf(1, map[uint16]string{0: "id"}, 0)[0]
	for name, r := range map[string]row{
		"no key":           {"", good.value},
		"a short key":      {good.key[:len(good.key)-1], good.value},
		"a long key":       {good.key + "x", good.value},
		"another prefix":   {"\xff\x02/idmq/" + good.key[len(identityPrefix):], good.value},
		"no value":         {good.key, ""},
		"a short header":   {good.key, good.value[:identityHeader-1]},
		"a cut identity":   {good.key, good.value[:len(good.value)-1]},
		"an overlong size": {good.key, good.value[:identityHeader] + "\xff" + good.value[identityHeader+1:]},
	} {
		if _, _, found, err := r.orderOf("unknown"); !errors.Is(err, errIdentityRow) || found {
			t.Errorf("%s: %v %v", name, found, err)
		}
	}
}

func FuzzIdentityRow(f *testing.F) {
	for _, r := range rowsOf(4711, map[uint16]string{0: "first", 7: "second", 256: "third"}, 0, 7, 256) {
		f.Add(r.key, r.value, "second")
	}
	f.Fuzz(func(t *testing.T, key, value, id string) {
		v, order, found, err := row{key, value}.orderOf(id)
		if err != nil && (found || !errors.Is(err, errIdentityRow)) {
			t.Fatalf("%v %v", found, err)
		}
		if found && (identityKey(v, byte(order>>8)) != key || !strings.Contains(value, string([]byte{byte(len(id))})+id+string([]byte{byte(order)}))) {
			t.Fatalf("%q is not at %d %d of %q %q", id, v, order, key, value)
		}
	})
}

func FuzzStampOffset(f *testing.F) {
	f.Add([]byte("0123456789\x00\x00\x00\x00"))
	f.Add([]byte("0123456789\xff\xff\xff\xff"))
	f.Add([]byte("abc"))
	f.Fuzz(func(t *testing.T, b []byte) {
		rest, offset, ok := splitStamp(b)
		if !ok {
			return
		}
		if offset < 0 || offset+10 > len(rest) || string(binary.LittleEndian.AppendUint32(rest[:len(rest):len(rest)], uint32(offset))) != string(b) {
			t.Fatalf("%q splits into %q and %d", b, rest, offset)
		}
		m := mutation{kind: SetVersionstampedValue, param: string(rest), offset: offset}
		if s := m.stamped(1, 2); len(s.param) != len(rest) || m.parameter() != string(b) {
			t.Fatalf("%q becomes %q", rest, s.param)
		}
	})
}

// TestLostReplyOfIdentifiedCommitIsFound loses the answer and the request of
// commits with an identity: the client learns which.
func TestLostReplyOfIdentifiedCommitIsFound(t *testing.T) {
	for _, c := range []struct {
		faults Faults
		want   error
	}{{Faults{ReplyLost: 1}, nil}, {Faults{RequestLost: 1}, Error{CodeTransactionTooOld}}} {
		inClient(t, Options{}, func(l *lab, _ *sim.Host, cl *Client) error {
			tr := cl.CreateTransaction()
			_ = tr.Options().SetAutomaticIdempotency()
			stamp := tr.GetVersionstamp()
			tr.Set([]byte("k"), []byte("x"))
			if _, err := tr.GetReadVersion().Get(); err != nil {
				return err
			}
			if err := l.c.SetFaults(c.faults); err != nil {
				return err
			}
			commit := tr.Commit()
			for l.c.Counts().ConnectionLost == 0 { // the fence is to get through
				if err := cl.h.Sleep(cl.h.Context(), 100_000); err != nil {
					return err
				}
			}
			if err := l.c.SetFaults(Faults{}); err != nil {
				return err
			}
			if err := commit.Get(); !errors.Is(err, c.want) {
				t.Errorf("%+v: %v, want %v", c.faults, err, c.want)
			}
			if c.want == nil {
				b, err := stamp.Get()
				if v := binary.BigEndian.Uint64(b); err != nil || int64(v) != tr.GetCommittedVersion() || v == 0 {
					t.Errorf("stamp %x (%v), committed at %d", b, err, tr.GetCommittedVersion())
				}
			}
			if applied := read(l, "k") != nil; applied != (c.want == nil) {
				t.Errorf("%+v: applied %v", c.faults, applied)
			}
			return nil
		})
	}
}
