package simfdb

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// The data structures are held to the plainest model that there is: one entry
// for each of a few keys.

var modelKeys = func() []string {
	var ks []string
	for _, a := range "abcdef" {
		ks = append(ks, string(a), string(a)+"\x00")
	}
	return ks
}()

func randomRange(r *rand.Rand) KeyRange {
	i, j := r.IntN(len(modelKeys)), r.IntN(len(modelKeys))
	if r.IntN(8) > 0 && i > j {
		i, j = j, i
	}
	return KeyRange{modelKeys[i], modelKeys[j]}
}

func seeds(t *testing.T, n uint64, f func(t *testing.T, r *rand.Rand)) {
	t.Helper()
	for seed := range n {
		f(t, rand.New(rand.NewPCG(seed, 1)))
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestRangeSetAgreesWithSetOfKeys(t *testing.T) {
	seeds(t, 3000, func(t *testing.T, r *rand.Rand) {
		t.Helper()
		var s rangeSet
		model := map[string]bool{}
		for range 12 {
			kr := randomRange(r)
			add := r.IntN(3) > 0
			if add {
				s.add(kr)
			} else {
				s.remove(kr)
			}
			for _, k := range modelKeys {
				if kr.contains(k) {
					model[k] = add
				}
				if s.contains(k) != model[k] {
					t.Fatalf("contains(%q) = %v after %v %v: %v", k, s.contains(k), add, kr, s.ranges)
				}
			}
			for i, q := range s.ranges {
				if q.empty() || i > 0 && s.ranges[i-1].End >= q.Begin {
					t.Fatalf("not normal: %q", s.ranges)
				}
			}
			probe := randomRange(r)
			want := slices.ContainsFunc(modelKeys, func(k string) bool { return probe.contains(k) && model[k] })
			if _, got := s.intersecting(probe); got != want {
				t.Fatalf("intersecting(%q) = %v, want %v in %q", probe, got, want, s.ranges)
			}
			one := rangeSet{}
			one.add(probe)
			if _, got := one.firstCommon(&s); got != want {
				t.Fatalf("firstCommon(%q) = %v, want %v", probe, got, want)
			}
		}
	})
}

func TestOrderedMapAgreesWithSortedSlice(t *testing.T) {
	seeds(t, 60, func(t *testing.T, r *rand.Rand) {
		t.Helper()
		var m orderedMap[int]
		model := map[string]int{}
		ascending := r.IntN(3) == 0
		for i := range 1500 {
			k := fmt.Sprintf("%04d", r.IntN(900))
			if ascending {
				k = fmt.Sprintf("%04d", i)
			}
			p, found := m.seek(k)
			if _, want := model[k]; found != want {
				t.Fatalf("seek(%s) found = %v, want %v", k, found, want)
			}
			switch {
			case !found:
				model[k] = i
				if it := m.insert(p, k, i); it.key != k {
					t.Fatalf("insert returned %q, want %q", it.key, k)
				}
			case r.IntN(2) == 0:
				delete(model, k)
				next := m.delete(p)
				if it := m.at(next); it != nil && it.key <= k {
					t.Fatalf("delete(%s) returned the position of %s", k, it.key)
				}
			default:
				model[k] = i
				m.at(p).value = i
			}
		}
		var got, want []string
		for p := m.first(); m.at(p) != nil; p = m.next(p) {
			got = append(got, m.at(p).key)
			if v := m.at(p).value; v != model[m.at(p).key] {
				t.Fatalf("value of %s is %d, want %d", m.at(p).key, v, model[m.at(p).key])
			}
		}
		for k := range model {
			want = append(want, k)
		}
		slices.Sort(want)
		if !slices.Equal(got, want) || m.count != len(want) {
			t.Fatalf("keys %v, want %v (count %d)", got, want, m.count)
		}
		var back []string
		p, _ := m.seek("\xff")
		for q, ok := m.prev(p); ok; q, ok = m.prev(q) {
			back = append(back, m.at(q).key)
		}
		slices.Reverse(back)
		if !slices.Equal(back, want) {
			t.Fatalf("backwards %v, want %v", back, want)
		}
	})
}

func TestConflictWindowAgreesWithLastWriteOfEachKey(t *testing.T) {
	seeds(t, 3000, func(t *testing.T, r *rand.Rand) {
		t.Helper()
		var w conflictWindow
		last := map[string]Version{}
		for v := Version(1); v < 40; v++ {
			kr := randomRange(r)
			w.write(kr, v)
			for _, k := range modelKeys {
				if kr.contains(k) {
					last[k] = v
				}
			}
			if r.IntN(4) == 0 {
				w.swept = -100 // sweep now
				w.forget(v - Version(r.IntN(5)))
			}
			probe := randomRange(r)
			at := w.oldest + Version(r.IntN(8))
			want := slices.ContainsFunc(modelKeys, func(k string) bool { return probe.contains(k) && last[k] > at })
			if got := w.conflicts(probe, at); got != want {
				t.Fatalf("conflicts(%q, %d) = %v, want %v", probe, at, got, want)
			}
		}
	})
}

func TestConflictWindowForgetsWhatItMay(t *testing.T) {
	var w conflictWindow
	for v := Version(1); v <= 20_000; v++ {
		w.write(singleKey(fmt.Sprintf("%07d", v*7919%100_003)), v*1000)
		w.forget(v*1000 - 100_000)
	}
	if w.bounds.count > 1000 {
		t.Errorf("%d boundaries for 100 keys in the window", w.bounds.count)
	}
}

// modelStore is a versionedMap as a list of whole states.
type modelStore []map[string]string // by version

func (m modelStore) rows(v int, r KeyRange) []row {
	var rows []row
	for _, k := range modelKeys {
		if value, ok := m[v][k]; ok && r.contains(k) {
			rows = append(rows, row{k, value})
		}
	}
	return rows
}

func randomMutation(r *rand.Rand) mutation {
	key := modelKeys[r.IntN(len(modelKeys))]
	operand := strings.Repeat(string(rune('0'+r.IntN(4))), r.IntN(3))
	switch r.IntN(6) {
	case 0:
		kr := randomRange(r)
		return mutation{kind: mutationClearRange, key: kr.Begin, param: kr.End}
	case 1:
		return mutation{kind: CompareAndClear, key: key, param: operand}
	case 2:
		return mutation{kind: Add, key: key, param: operand}
	default:
		return mutation{kind: mutationSet, key: key, param: operand}
	}
}

func applyToModel(state map[string]string, m mutation) {
	switch m.kind {
	case mutationSet:
		state[m.key] = m.param
	case mutationClearRange:
		for _, k := range modelKeys {
			if (KeyRange{m.key, m.param}).contains(k) {
				delete(state, k)
			}
		}
	default:
		old, present := state[m.key]
		if value, ok := applyAtomic(m.kind, old, present, m.param); ok {
			state[m.key] = value
		} else {
			delete(state, m.key)
		}
	}
}

func TestVersionedMapAgreesWithListOfStates(t *testing.T) {
	seeds(t, 2000, func(t *testing.T, r *rand.Rand) {
		t.Helper()
		var m versionedMap
		model := modelStore{map[string]string{}}
		oldest := 0
		for range 40 {
			state := map[string]string{}
			for k, v := range model[len(model)-1] {
				state[k] = v
			}
			v := len(model)
			for range 1 + r.IntN(3) {
				c := randomMutation(r)
				m.apply(c, Version(v))
				applyToModel(state, c)
			}
			model = append(model, state)
			if r.IntN(5) == 0 {
				oldest = max(oldest, v-r.IntN(4))
				m.forget(Version(oldest))
			}
			if r.IntN(10) == 0 {
				to := oldest + r.IntN(len(model)-oldest)
				m.rollback(Version(to))
				model = model[:to+1]
			}
			at := oldest + r.IntN(len(model)-oldest)
			kr, limit, reverse := randomRange(r), r.IntN(4), r.IntN(2) == 0
			want := model.rows(at, kr)
			if reverse {
				slices.Reverse(want)
			}
			wantMore := limit > 0 && len(want) >= limit
			if wantMore {
				want = want[:limit]
			}
			got, more := m.scan(kr, Version(at), limit, 0, reverse)
			if !slices.Equal(got, want) || more != wantMore {
				t.Fatalf("scan(%q, %d, %d, %v) = %q %v, want %q %v", kr, at, limit, reverse, got, more, want, wantMore)
			}
		}
	})
}

func TestVersionedMapDropsClearedKeys(t *testing.T) {
	var m versionedMap
	for v := Version(1); v <= 1000; v++ {
		key := fmt.Sprint(v)
		m.apply(mutation{kind: mutationSet, key: key}, v)
		m.apply(mutation{kind: mutationClearRange, key: key, param: keyAfter(key)}, v+1)
		m.forget(v - 10)
	}
	if m.keys.count > 20 || len(m.cleared) > 20 {
		t.Errorf("%d keys and %d cleared keys are left", m.keys.count, len(m.cleared))
	}
}

func TestScanCountsBytesAsTheServerDoes(t *testing.T) {
	var m versionedMap
	for i := range 5000 {
		m.apply(mutation{kind: mutationSet, key: fmt.Sprintf("r/%08d/abcd", i), param: strings.Repeat("v", 100)}, 1)
	}
	for _, c := range []struct{ bytes, rows int }{{1, 1}, {115, 1}, {256, 2}, {1000, 8}, {4096, 30}, {6144, 45}, {10_000, 72}, {80_000, 576}} {
		rows, more := m.scan(KeyRange{"r/", "r0"}, 1, 0, c.bytes, false)
		if len(rows) != c.rows || !more {
			t.Errorf("%d bytes: %d rows, more %v, want %d rows", c.bytes, len(rows), more, c.rows)
		}
	}
}

func TestWriteMapReadsBackWhatItWillCommit(t *testing.T) {
	seeds(t, 3000, func(t *testing.T, r *rand.Rand) {
		t.Helper()
		var w writeMap
		base, now := map[string]string{}, map[string]string{}
		independent := map[string]bool{}
		for _, k := range modelKeys {
			if r.IntN(2) == 0 {
				base[k] = "0"
				now[k] = "0"
			}
		}
		for range r.IntN(10) {
			c := randomMutation(r)
			applyToModel(now, c)
			switch c.kind {
			case mutationClearRange:
				w.clear(KeyRange{c.key, c.param})
				for _, k := range modelKeys {
					if (KeyRange{c.key, c.param}).contains(k) {
						independent[k] = true
					}
				}
			default:
				w.write(c)
				if c.kind == mutationSet {
					independent[c.key] = true
				}
			}
		}
		kr := randomRange(r)
		stored, want := modelStore{base}.rows(0, kr), modelStore{now}.rows(0, kr)
		if got := w.merge(kr, stored); !slices.Equal(got, want) {
			t.Fatalf("merge(%q) = %q, want %q", kr, got, want)
		}
		committed := map[string]string{}
		for k, v := range base {
			committed[k] = v
		}
		for _, m := range w.mutations() {
			applyToModel(committed, m)
		}
		all := KeyRange{"", "\xff"}
		if got, want := (modelStore{committed}).rows(0, all), (modelStore{now}).rows(0, all); !slices.Equal(got, want) {
			t.Fatalf("mutations give %q, want %q", got, want)
		}
		var needs rangeSet
		w.stored(kr, needs.add)
		for _, k := range modelKeys {
			if want := kr.contains(k) && !independent[k]; needs.contains(k) != want {
				t.Fatalf("stored(%q) holds %q: %v, want %v", kr, k, !want, want)
			}
		}
	})
}

func TestReadCacheReturnsWhatItLearned(t *testing.T) {
	seeds(t, 3000, func(t *testing.T, r *rand.Rand) {
		t.Helper()
		state := modelStore{map[string]string{}}
		for _, k := range modelKeys {
			if r.IntN(2) == 0 {
				state[0][k] = k
			}
		}
		var c readCache
		known := map[string]bool{}
		for range 6 {
			kr := randomRange(r)
			c.learn(kr, state.rows(0, kr))
			for _, k := range modelKeys {
				known[k] = known[k] || kr.contains(k)
				value, present, ok := c.get(k)
				want, wantPresent := state[0][k]
				if ok != known[k] || ok && (value != want || present != wantPresent) {
					t.Fatalf("get(%q) = %q %v %v, want %q %v %v", k, value, present, ok, want, wantPresent, known[k])
				}
			}
			probe := randomRange(r)
			if probe.empty() {
				continue
			}
			stretch, rows, ok := c.from(probe)
			if stretch.Begin != probe.Begin || stretch.End > probe.End || stretch.empty() {
				t.Fatalf("from(%q) covers %q", probe, stretch)
			}
			checkStretch(t, state, known, stretch, rows, ok)
			stretch, rows, ok = c.upTo(probe)
			if stretch.End != probe.End || stretch.Begin < probe.Begin || stretch.empty() {
				t.Fatalf("upTo(%q) covers %q", probe, stretch)
			}
			checkStretch(t, state, known, stretch, rows, ok)
		}
	})
}

func checkStretch(t *testing.T, state modelStore, known map[string]bool, r KeyRange, rows []row, ok bool) {
	t.Helper()
	for _, k := range modelKeys {
		if r.contains(k) && known[k] != ok {
			t.Fatalf("stretch %q known %v, but key %q %v", r, ok, k, known[k])
		}
	}
	if ok && !slices.Equal(rows, state.rows(0, r)) {
		t.Fatalf("rows of %q are %q", r, rows)
	}
}

func TestIdleVersionMovesInSteps(t *testing.T) {
	for _, c := range []struct {
		at   time.Duration
		want Version
	}{
		{500 * time.Millisecond, 0},
		{2 * time.Second, 0},
		{2500 * time.Millisecond, 2_080_475},
		{3 * time.Second, 2_080_475},
		{4500 * time.Millisecond, 4_160_950},
	} {
		if got := idleVersion(0, 0, c.at); got != c.want {
			t.Errorf("after %v: %d, want %d", c.at, got, c.want)
		}
	}
}

func TestClearMakesStampedKeysReadable(t *testing.T) {
	var w writeMap
	m := mutation{kind: SetVersionstampedKey, key: "vs/0123456789", offset: 3}
	w.writeStampedKey(m, m.stampRange(invalidVersion, firstSystemKey))
	r := KeyRange{"vs/", "vs0"}
	for _, reverse := range []bool{false, true} {
		if part, ok := w.readableStretch(r, reverse); part.contains(m.key) {
			t.Errorf("readable before the commit: %v %v", part, ok)
		}
	}
	w.clear(r)
	if part, ok := w.readableStretch(r, false); !ok || part != r || len(w.mutations()) != 2 {
		t.Errorf("after a clear: readable %v, mutations %v", part, w.mutations())
	}
}

func TestSequenceWindowKnowsDuplicates(t *testing.T) {
	var w sequenceWindow
	for _, c := range []struct {
		n    uint64
		want bool
	}{{1, true}, {1, false}, {3, true}, {2, true}, {2, false}, {70, true}, {3, false}, {6, false}, {7, true}, {7, false}, {200, true}, {70, false}, {137, true}} {
		if got := w.add(c.n); got != c.want {
			t.Errorf("add(%d) = %v", c.n, got)
		}
	}
}
