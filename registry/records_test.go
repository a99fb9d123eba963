package registry

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kelpie-registry/kelpie/store"
)

func TestKeysKeepTheOrderOfIDs(t *testing.T) {
	k := newKeys("ns")
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.String().Draw(t, "a"), rapid.String().Draw(t, "b")
		got := bytes.Compare(k.actor(ActorID(a)), k.actor(ActorID(b)))
		if want := strings.Compare(a, b); got != want {
			t.Fatalf("keys of %q and %q compare %d, ids %d", a, b, got, want)
		}
		id, rest, ok := cutTuple(k.actor(ActorID(a))[len(k.prefix)+1:])
		if !ok || id != a || len(rest) != 0 {
			t.Fatalf("id %q comes back as %q, rest %q, %v", a, id, rest, ok)
		}
	})
}

func TestKeysOfDifferentThingsDiffer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n1, n2 := rapid.String().Draw(t, "n1"), rapid.String().Draw(t, "n2")
		i1, i2 := Incarnation(rapid.Uint64().Draw(t, "i1")), Incarnation(rapid.Uint64().Draw(t, "i2"))
		a1, a2 := rapid.String().Draw(t, "a1"), rapid.String().Draw(t, "a2")
		k := newKeys("ns")
		same := n1 == n2 && i1 == i2 && a1 == a2
		if got := bytes.Equal(k.owned(NodeID(n1), i1, ActorID(a1)), k.owned(NodeID(n2), i2, ActorID(a2))); got != same {
			t.Fatalf("equal keys: %v, equal ids: %v", got, same)
		}
		if got := bytes.Equal(k.given(NodeID(n1), i1, ActorID(a1)), k.given(NodeID(n2), i2, ActorID(a2))); got != same {
			t.Fatalf("equal inbox keys: %v, equal ids: %v", got, same)
		}
	})
}

func TestNamespacesDoNotOverlap(t *testing.T) {
	a, b := newKeys("a"), newKeys("ab")
	begin, end := a.all(tagActor)
	if key := b.actor("x"); bytes.Compare(begin, key) <= 0 && bytes.Compare(key, end) < 0 {
		t.Errorf("key %q of namespace ab lies in the actors of namespace a", key)
	}
}

func TestRecordsComeBackAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := sessionRecord{
			version:  store.Version(rapid.Uint64Max(1<<versionBits-1).Draw(t, "version")),
			epoch:    rapid.Uint8().Draw(t, "epoch"),
			status:   rapid.SampledFrom([]status{statusLive, statusLeft, statusRevoked, statusJoining, statusDraining}).Draw(t, "status"),
			ttl:      time.Duration(rapid.Int64Min(1).Draw(t, "ttl")),
			op:       opID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "op")),
			address:  rapid.StringN(0, 100, MaxAddressBytes).Draw(t, "address"),
			degraded: rapid.Bool().Draw(t, "degraded"),
			capacity: rapid.Int64Range(0, MaxCapacity).Draw(t, "capacity"),
			labels:   rapid.MapOfN(rapid.StringN(1, 9, MaxLabelKeyBytes), rapid.StringN(0, 9, MaxLabelValueBytes), 1, MaxLabels).Draw(t, "labels"),
		}
		got, err := decodeSession(s.encode())
		if err != nil || !reflect.DeepEqual(*got, s) {
			t.Fatalf("session %+v comes back as %+v, %v", s, got, err)
		}
		a := actorRecord{
			epoch:       s.epoch,
			incarnation: Incarnation(rapid.Uint64().Draw(t, "incarnation")),
			op:          s.op,
			node:        NodeID(rapid.StringN(1, 60, MaxNodeIDBytes).Draw(t, "node")),
		}
		gotA, err := decodeActor(a.encode())
		if err != nil || *gotA != a {
			t.Fatalf("actor %+v comes back as %+v, %v", a, gotA, err)
		}
	})
}

func TestDamagedRecordsAreRefused(t *testing.T) {
	good := (&sessionRecord{status: statusLive, ttl: 1}).encode()
	cases := map[string][]byte{
		"empty":        {},
		"truncated":    good[:len(good)-1],
		"newer format": append([]byte{sessionFormat + 1}, good[1:]...),
		"no status":    (&sessionRecord{ttl: 1}).encode(),
		"no TTL":       (&sessionRecord{status: statusLive}).encode(),
		"TTL negative": (&sessionRecord{status: statusLive, ttl: -1}).encode(),
		"long address": (&sessionRecord{status: statusLive, ttl: 1, address: strings.Repeat("x", MaxAddressBytes+1)}).encode(),
	}
	for name, v := range cases {
		if _, err := decodeSession(v); !errors.Is(err, ErrCorrupt) {
			t.Errorf("session, %s: err = %v", name, err)
		}
	}
	for _, v := range [][]byte{{}, (&actorRecord{}).encode(), (&actorRecord{node: "\xff"}).encode(), make([]byte, actorHeader)} {
		if _, err := decodeActor(v); !errors.Is(err, ErrCorrupt) {
			t.Errorf("actor of %d bytes: err = %v", len(v), err)
		}
	}
	for _, v := range [][]byte{{}, make([]byte, beatBytes)} {
		if _, err := decodeBeat(v); !errors.Is(err, ErrCorrupt) {
			t.Errorf("beat of %d bytes: err = %v", len(v), err)
		}
	}
	for _, v := range [][]byte{{}, make([]byte, inboxHeader), encodeInbox(nil)[1:], encodeInbox(make([]byte, MaxPayloadBytes+1))} {
		if _, err := decodeInbox(v); !errors.Is(err, ErrCorrupt) {
			t.Errorf("inbox of %d bytes: err = %v", len(v), err)
		}
	}
	if _, err := decodeEpoch([]byte{1, 2}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("epoch of 2 bytes: err = %v", err)
	}
}

func FuzzDecodeRecords(f *testing.F) {
	f.Add((&sessionRecord{status: statusLive, ttl: 1}).encode())
	f.Add((&actorRecord{node: "n"}).encode())
	f.Add(encodeBeat(1))
	f.Add(encodeInbox([]byte("payload")))
	f.Add(append(append(make([]byte, 8), "n\x00"...), make([]byte, logHeader)...))
	f.Add([]byte{7})
	f.Add(ledger{used: 3}.encode())
	f.Fuzz(func(t *testing.T, v []byte) {
		known := func(err error) {
			if err != nil && !errors.Is(err, ErrCorrupt) {
				t.Error(err)
			}
		}
		s, err := decodeSession(v)
		known(err)
		if err == nil && s != nil {
			if again, err := decodeSession(s.encode()); err != nil || !reflect.DeepEqual(again, s) {
				t.Errorf("%+v comes back as %+v, %v", s, again, err)
			}
		}
		a, err := decodeActor(v)
		known(err)
		if err == nil && a != nil {
			if again := a.encode(); !bytes.Equal(again[1+store.StampBytes:], v[1+store.StampBytes:]) {
				t.Errorf("%x is %+v, which is %x", v, a, again)
			}
		}
		b, err := decodeBeat(v)
		known(err)
		if again := encodeBeat(b.incarnation); err == nil && len(v) >= beatBytes && !bytes.Equal(again[1+store.StampBytes:], v[1+store.StampBytes:beatBytes]) {
			t.Errorf("%x is %+v, which is %x", v, b, again)
		}
		l, err := decodeLedger(v)
		known(err)
		if again := l.encode(); err == nil && len(v) > 0 && !bytes.Equal(again, v[:ledgerBytes]) {
			t.Errorf("%x is %+v, which is %x", v, l, again)
		}
		epoch, err := decodeEpoch(v)
		known(err)
		if err == nil && len(v) > 0 && !bytes.Equal(v, []byte{epoch}) {
			t.Errorf("%x is epoch %d", v, epoch)
		}
		if n, err := decodeLoad(v); err == nil && len(v) != 0 && len(v) != 8 || err != nil && (n != 0 || !errors.Is(err, ErrCorrupt)) {
			t.Errorf("%x is read as a load of %d, %v", v, n, err)
		}
		head, err := decodeHead(v)
		known(err)
		if err == nil && len(v) > 0 && !bytes.Equal(v, binary.LittleEndian.AppendUint64(nil, head)) {
			t.Errorf("%x is the number of changes %d", v, head)
		}
		row, err := decodeLogRow([]byte("c"), store.KeyValue{Key: append([]byte("c"), v...), Value: v})
		known(err)
		if err == nil && row.node.Validate() != nil {
			t.Errorf("log row of %q", row.node)
		}
		if i, err := decodeInbox(v); err == nil && i != nil && !bytes.Equal(encodeInbox(i.payload)[inboxHeader:], v[inboxHeader:]) {
			t.Errorf("%+v does not come back", i)
		} else if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Error(err)
		}
	})
}

func TestTokensGrowWithEpochAndVersion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Uint64Max(1<<versionBits-2).Draw(t, "version")
		e := rapid.Uint8Max(254).Draw(t, "epoch")
		if stamped(e, store.Version(v)) >= stamped(e, store.Version(v+1)) {
			t.Fatal("a later version has no higher token")
		}
		if stamped(e, 1<<versionBits-1) >= stamped(e+1, 0) {
			t.Fatal("a later epoch has no higher token")
		}
	})
}

// The lease's whole safety: whatever two clocks do within the bound, the holder
// has stopped before the observer may revoke.
func TestHolderStopsBeforeObserverMayRevoke(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ttl := time.Duration(rapid.Int64Range(int64(MinTTL), int64(MaxTTL)).Draw(t, "ttl"))
		d := rapid.Float64Range(0, DriftLimit).Draw(t, "drift")
		holder := rapid.Float64Range(-d, d).Draw(t, "holder's rate error")
		observer := rapid.Float64Range(-d, d).Draw(t, "observer's rate error")
		believes := float64(shrink(ttl, d)) / (1 + holder) // true time
		waits := float64(stretch(ttl, d)) / (1 + observer)
		if believes > waits*(1+1e-12) {
			t.Fatalf("the holder believes for %v of true time, the observer waits %v", believes, waits)
		}
		if math.Abs(float64(shrink(ttl, 0)-ttl)) > 0 {
			t.Fatal("without drift the holder keeps the whole lease")
		}
	})
}
