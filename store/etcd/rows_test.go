package etcd

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"pgregory.net/rapid"
)

// keys draws keys of few different bytes, zero and FF among them, which are the
// ones that the encoding treats in a way of its own.
func keys() *rapid.Generator[string] {
	return rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 2, 3, 'a', 0xfe, 0xff}), 0, 6), func(b []byte) string { return string(b) })
}

func TestRowsKeepTheOrderOfTheirKeys(t *testing.T) {
	l := newLayout("ns")
	rapid.Check(t, func(t *rapid.T) {
		a, b, id := keys().Draw(t, "a"), keys().Draw(t, "b"), strings.Repeat("x", laneBytes)
		for _, row := range []string{l.base(a), l.lane(a, id)} {
			key, lane, ok := l.parse(row)
			if !ok || key != a || (lane != "") != (row != l.base(a)) {
				t.Fatalf("row %q is taken apart as %q, %q, %v", row, key, lane, ok)
			}
			// A row of a lies in the bounds of b's rows exactly if it is b's, and
			// behind the lower bound of b exactly if a is not before b.
			begin, end := l.rows(b)
			if in := begin <= row && row < end; in != (a == b) {
				t.Fatalf("row %q of key %q lies in [%q, %q) of key %q", row, a, begin, end, b)
			}
			if behind := l.lower(b) <= row; behind != (a >= b) {
				t.Fatalf("row %q of key %q against lower bound %q of key %q: %v", row, a, l.lower(b), b, behind)
			}
		}
	})
}

func TestNamespacesDoNotMeet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-d]{1,3}`)
		a, b := newLayout(name.Draw(t, "a")), newLayout(name.Draw(t, "b"))
		for _, row := range []string{b.base(keys().Draw(t, "key")), b.record("x"), b.trail(1, "x"), b.horizon()} {
			if in := strings.HasPrefix(row, a.prefix); in != (a == b) {
				t.Fatalf("row %q of namespace %q begins as those of %q", row, b.prefix, a.prefix)
			}
		}
	})
}

func TestRecordsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SliceOf(keys()).Draw(t, "texts")
		got, err := decodeTexts([]byte(encodeTexts(texts)))
		if err != nil || !slices.Equal(got, texts) {
			t.Fatalf("%q came back as %q, error %v", texts, got, err)
		}
		var spans spanSet
		for range rapid.IntRange(0, 5).Draw(t, "spans") {
			spans.add(span{keys().Draw(t, "begin"), keys().Draw(t, "end")})
		}
		back, err := decodeRecord([]byte(encodeRecord(spans)))
		if err != nil || !slices.Equal(back, spans) {
			t.Fatalf("%q came back as %q, error %v", spans, back, err)
		}
	})
}

// TestSpanSetsAreSetsOfKeys compares with a plain list of spans.
func TestSpanSetsAreSetsOfKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var set spanSet
		var all []span
		for range rapid.IntRange(0, 8).Draw(t, "n") {
			s := span{keys().Draw(t, "begin"), keys().Draw(t, "end")}
			set.add(s)
			all = append(all, s)
		}
		in := func(key string) bool {
			return slices.ContainsFunc(all, func(s span) bool { return s.contains(key) })
		}
		for i, s := range set {
			if s.empty() || (i > 0 && set[i-1].end >= s.begin) {
				t.Fatalf("%q: not sorted and apart", set)
			}
		}
		probe, window := keys().Draw(t, "probe"), span{keys().Draw(t, "from"), keys().Draw(t, "to")}
		if set.contains(probe) != in(probe) {
			t.Fatalf("%q contains %q: %v", set, probe, set.contains(probe))
		}
		outside := false
		set.outside(window, func(s span) {
			outside = outside || s.contains(probe)
			if s.empty() || s.begin < window.begin || s.end > window.end || set.overlaps(s) {
				t.Fatalf("%q outside %q gives %q", window, set, s)
			}
		})
		if outside != (window.contains(probe) && !in(probe)) {
			t.Fatalf("%q lies in %q outside %q: %v", probe, window, set, outside)
		}
	})
}

func FuzzDecodeValue(f *testing.F) {
	w := &write{value: []byte("0123456789tail"), offset: 2}
	summed := &write{value: []byte("0123456789"), added: true, delta: 7}
	for _, raw := range []string{"", plainValue(nil), plainValue([]byte("v")), tombstone(), stampedValue(w, 3), stampedValue(summed, 3), laneValue(5)} {
		f.Add([]byte(raw), int64(9))
	}
	f.Fuzz(func(t *testing.T, raw []byte, revision int64) {
		before := bytes.Clone(raw)
		v, err := decodeValue(raw, revision)
		if !bytes.Equal(raw, before) {
			t.Fatal("the row was changed")
		}
		if err != nil && v != nil {
			t.Fatalf("%q and error %v", v, err)
		}
		if err == nil && (v == nil) != (raw[0] == valueTombstone) {
			t.Fatalf("%q stands for %v", raw, v)
		}
		_, _ = decodeLane(raw)
	})
}

func FuzzDecodeRows(f *testing.F) {
	l := newLayout("ns")
	f.Add([]byte(l.base("k")), []byte(plainValue(nil)), []byte(l.lane("k", "12345678")), []byte(laneValue(1)))
	f.Add([]byte(l.base("a\x00b")), []byte(tombstone()), []byte("ns\x00dk\x00"), []byte{})
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2 []byte) {
		kvs, err := l.decodeRows([]*mvccpb.KeyValue{{Key: k1, Value: v1, ModRevision: 1}, {Key: k2, Value: v2, ModRevision: 2}})
		if err != nil {
			return
		}
		for _, kv := range kvs {
			if l.base(kv.key) != string(k1) && !strings.HasPrefix(string(k1), l.lower(kv.key)) && !strings.HasPrefix(string(k2), l.lower(kv.key)) {
				t.Fatalf("key %q comes from %q and %q", kv.key, k1, k2)
			}
		}
	})
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add([]byte(encodeRecord(spanSet{{"a", "b"}, {"c", ""}})))
	f.Add([]byte(encodeTexts([]string{"x"})))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if texts, err := decodeTexts(raw); err == nil {
			if back, err := decodeTexts([]byte(encodeTexts(texts))); err != nil || !slices.Equal(back, texts) {
				t.Fatalf("%q came back as %q, error %v", texts, back, err)
			}
		}
		spans, err := decodeRecord(raw)
		if err != nil && spans != nil {
			t.Fatalf("%q and error %v", spans, err)
		}
	})
}
