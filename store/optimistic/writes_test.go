package optimistic

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestWriteSetAgainstAReplay compares the write set with a replay of all
// mutations from the beginning, for each key and for what is left unwritten.
func TestWriteSetAgainstAReplay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var ws writeSet
		own := map[string]string{} // key: "set", "clear", "add" or "stamp"
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			k := someKey(t, "key")
			switch rapid.IntRange(0, 5).Draw(t, "mutation") {
			case 0, 1:
				ws.set([]byte(k), []byte("v"))
				own[k] = "set"
			case 2:
				ws.remove([]byte(k))
				own[k] = "clear"
			case 3:
				ws.add([]byte(k), 1)
				if own[k] == "" && !ws.isCleared([]byte(k)) {
					own[k] = "add"
				} else if own[k] == "" || own[k] == "clear" {
					own[k] = "set"
				}
			case 4:
				ws.stamp([]byte(k), make([]byte, 10), 0)
				own[k] = "stamp"
			case 5:
				s := span{[]byte(k), []byte(someKey(t, "end"))}
				ws.removeRange(s)
				for _, key := range allKeys() {
					if s.contains([]byte(key)) {
						own[key] = "range"
					}
				}
			}
			if err := ws.invariants(); err != nil {
				t.Fatal(err)
			}
		}
		for _, k := range allKeys() {
			w, want := ws.find([]byte(k)), own[k]
			got := ""
			switch {
			case w == nil && ws.isCleared([]byte(k)):
				got = "range"
			case w != nil:
				got = [...]string{"set", "clear", "add", "stamp"}[w.kind]
			}
			if got != want && (got != "set" || want != "range") {
				t.Fatalf("%q is %q, want %q", k, got, want)
			}
		}
		s := someSpan(t)
		open := map[string]bool{}
		ws.unwritten(s, func(part span) {
			for _, k := range allKeys() {
				if part.contains([]byte(k)) {
					open[k] = true
				}
			}
		})
		for _, k := range allKeys() {
			if want := s.contains([]byte(k)) && (own[k] == "" || own[k] == "add"); open[k] != want {
				t.Fatalf("unwritten(%q): %q is %v, want %v", s, k, open[k], want)
			}
		}
	})
}

// allKeys are the keys that someKey draws from.
func allKeys() []string {
	var keys []string
	for c := 'a'; c <= 'j'; c++ {
		keys = append(keys, string(c), string(c)+"\x00")
	}
	return keys
}

// invariants verifies what writeSet promises.
func (ws *writeSet) invariants() error {
	for i := 1; i < len(ws.order); i++ {
		if bytes.Compare(ws.at(i-1).key, ws.at(i).key) >= 0 {
			return fmt.Errorf("writes out of order: %q, %q", ws.at(i-1).key, ws.at(i).key)
		}
	}
	for i, s := range ws.cleared {
		if s.empty() || (i > 0 && bytes.Compare(ws.cleared[i-1].end, s.begin) >= 0) {
			return fmt.Errorf("cleared spans out of order: %q", ws.cleared)
		}
	}
	return nil
}

// TestSpanListKeepsTheKeys adds so many spans that the list merges.
func TestSpanListKeepsTheKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l spanList
		want := map[string]bool{}
		for range rapid.IntRange(0, 3*mergeSpans).Draw(t, "spans") {
			s := someSpan(t)
			if s.empty() {
				continue
			}
			l.add(s)
			for _, k := range allKeys() {
				want[k] = want[k] || s.contains([]byte(k))
			}
		}
		size := 0
		for _, s := range l.spans {
			size += s.sizeOf()
		}
		if size != l.size {
			t.Fatalf("size is %d, want %d", l.size, size)
		}
		if len(l.spans) > 2*mergeSpans {
			t.Fatalf("%d spans of %d keys", len(l.spans), len(allKeys()))
		}
		for _, k := range allKeys() {
			got := slices.ContainsFunc(l.spans, func(s span) bool { return s.contains([]byte(k)) })
			if got != want[k] {
				t.Fatalf("%q is %v, want %v", k, got, want[k])
			}
		}
	})
}

func TestArenaCopies(t *testing.T) {
	var a arena
	var copies, want [][]byte
	for i := range 3000 {
		b := bytes.Repeat([]byte{byte(i)}, i%97)
		copies, want = append(copies, a.copy(b, i%2)), append(want, append(b, make([]byte, i%2)...))
	}
	for i := range copies {
		if !bytes.Equal(copies[i], want[i]) || copies[i] == nil || cap(copies[i]) != len(copies[i]) {
			t.Fatalf("copy %d is %v with capacity %d, want %v", i, copies[i], cap(copies[i]), want[i])
		}
	}
}

func TestQueueAgainstASlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q queue[int]
		var want []int
		for i := range rapid.IntRange(0, 400).Draw(t, "steps") {
			if len(want) > 0 && rapid.IntRange(0, 9).Draw(t, "pop") < 4+i/100 {
				if got := q.pop(); got != want[0] {
					t.Fatalf("pop = %d, want %d", got, want[0])
				}
				want = want[1:]
			} else {
				q.push(i)
				want = append(want, i)
			}
			if q.len() != len(want) {
				t.Fatalf("len = %d, want %d", q.len(), len(want))
			}
			for j, v := range want {
				if *q.at(j) != v {
					t.Fatalf("at(%d) = %d, want %d", j, *q.at(j), v)
				}
			}
		}
	})
}

func TestQueueShrinks(t *testing.T) {
	var q queue[int]
	for i := range 100_000 {
		q.push(i)
	}
	for q.len() > 10 {
		q.pop()
	}
	if len(q.ring) > 4*minRing {
		t.Errorf("a ring of %d for 10 items", len(q.ring))
	}
}
