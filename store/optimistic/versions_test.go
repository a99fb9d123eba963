package optimistic

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/kelpie-registry/kelpie/store"
)

// TestVersionsAgainstSnapshots compares the versioned map, alone and over a
// base, with a copy of the whole state at each version.
func TestVersionsAgainstSnapshots(t *testing.T) {
	for name, layered := range map[string]bool{"alone": false, "over a base": true} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { compareVersions(t, layered) })
		})
	}
}

func compareVersions(t *rapid.T, layered bool) {
	m := versions{layered: layered}
	states := []map[string]string{{}}
	if layered {
		for range rapid.IntRange(0, 6).Draw(t, "keys of the base") {
			states[0][someKey(t, "key of the base")] = "base"
		}
	}
	var horizon store.Version
	for range rapid.IntRange(1, 50).Draw(t, "steps") {
		last := store.Version(len(states) - 1)
		switch rapid.IntRange(0, 4).Draw(t, "step") {
		case 0:
			horizon = max(horizon, store.Version(rapid.Uint64Range(0, uint64(last)).Draw(t, "horizon")))
			m.trim(horizon)
		default:
			last++
			states = append(states, oneCommit(t, &m, states[last-1], last))
		}
		if err := m.check(horizon, last); err != nil {
			t.Fatal(err)
		}
		var base map[string]string // the base has the last state
		if layered {
			base = states[last]
		}
		v := store.Version(rapid.Uint64Range(uint64(horizon), uint64(last)).Draw(t, "read at"))
		if got, want := m.all(base, v), fmt.Sprint(states[v]); got != want {
			t.Fatalf("at version %d: %s, want %s", v, got, want)
		}
	}
	m.trim(store.Version(len(states)))
	if layered && m.entries.Len()+m.revisions+m.stale.len() > 0 {
		t.Fatalf("with the window passed: %d entries, %d revisions, %d stale", m.entries.Len(), m.revisions, m.stale.len())
	}
}

// oneCommit removes a range and puts some keys, as the core does.
func oneCommit(t *rapid.T, m *versions, before map[string]string, v store.Version) map[string]string {
	below := func(k string) []byte {
		if value, ok := before[k]; ok && m.layered {
			return []byte(value)
		}
		return nil
	}
	next := map[string]string{}
	s := span{[]byte(someKey(t, "begin")), []byte(someKey(t, "end"))}
	m.removeRange(s, v, nil)
	for k, value := range before {
		switch {
		case !s.contains([]byte(k)):
			next[k] = value
		case m.layered:
			m.put([]byte(k), []byte(value), nil, v)
		}
	}
	put := map[string]bool{}
	for range rapid.IntRange(0, 3).Draw(t, "puts") {
		k := someKey(t, "key")
		if put[k] {
			continue
		}
		put[k] = true
		if rapid.IntRange(0, 3).Draw(t, "remove") == 0 {
			m.put([]byte(k), below(k), nil, v)
			delete(next, k)
			continue
		}
		value := fmt.Sprint(v)
		m.put([]byte(k), below(k), []byte(value), v)
		next[k] = value
	}
	return next
}

// all prints the whole map at a version, read in both directions and over a
// base.
func (m *versions) all(base map[string]string, v store.Version) string {
	up, down := map[string]string{}, map[string]string{}
	for k, value := range base {
		up[k], down[k] = value, value
	}
	into := func(rows map[string]string) func(*entry) bool {
		return func(e *entry) bool {
			delete(rows, e.key)
			if value := e.at(v); value != nil {
				rows[e.key] = string(value)
			}
			return true
		}
	}
	m.ascend([]byte{}, []byte{0xff}, into(up))
	m.descend([]byte{}, []byte{0xff}, into(down))
	if fmt.Sprint(up) != fmt.Sprint(down) {
		return fmt.Sprintf("up %v, down %v", up, down)
	}
	return fmt.Sprint(up)
}
