package registry

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/kelpie-registry/kelpie/store"
)

// Whatever the distance between the numbers that changes see, some of them trim.
func TestChangesThatAreMadeTogetherTrimTheLog(t *testing.T) {
	for _, keep := range []uint64{MinLogKeep, 100, DefaultLogKeep, MaxLogKeep} {
		for _, stride := range []uint64{1, 2, 3, 64, keep / logTrims, keep} {
			trimmed := 0
			for i := range uint64(100) * max(1, keep/logTrims) {
				if trims(keep+i*stride, keep, NodeID(fmt.Sprintf("node-%d", i%1000))) {
					trimmed++
				}
			}
			if trimmed < 50 || keep == DefaultLogKeep && trimmed > 200 {
				t.Errorf("%d of %d changes, %d apart, trim a log of %d", trimmed, 100*max(1, keep/logTrims), stride, keep)
			}
		}
	}
}

func TestAnUpdateIsFoldedIntoWhatIsKnown(t *testing.T) {
	k := known{"gone": {ID: "gone"}}
	show := func() string {
		var all []string
		for _, id := range []NodeID{"a", "b", "gone"} {
			if n := k[id]; n != nil {
				all = append(all, fmt.Sprintf("%s %v", id, n.State))
			}
		}
		return strings.Join(all, ", ")
	}
	for _, step := range []struct {
		u    NodesUpdate
		want string
	}{
		{NodesUpdate{Snapshot: true, Nodes: []Node{{ID: "a", State: NodeActive}, {ID: "b", State: NodeJoining}}}, "a active, b joining"},
		{NodesUpdate{Changes: []NodeChange{{Node: Node{ID: "b", State: NodeActive}}, {Node: Node{ID: "b", State: NodeFailed}}}}, "a active, b failed"},
		{NodesUpdate{Changes: []NodeChange{{Node: Node{ID: "b"}, Forgotten: true}, {Node: Node{ID: "a", State: NodeLeft}}}}, "a left"},
		{NodesUpdate{Changes: []NodeChange{{Node: Node{ID: "b", State: NodeActive}}}}, "a left, b active"},
		{NodesUpdate{Snapshot: true, Compacted: true}, ""},
	} {
		k.fold(&step.u)
		if got := show(); got != step.want {
			t.Errorf("after %+v: %q, want %q", step.u, got, step.want)
		}
	}
}

func TestDamagedSessionsAndChangesAreRefused(t *testing.T) {
	good := &sessionRecord{status: statusLive, ttl: 1, address: "a", labels: map[string]string{"k": "v", "l": "w"}}
	with := func(change func(s *sessionRecord)) []byte {
		s := *good
		change(&s)
		return s.encode()
	}
	at := func(i int, b byte) []byte {
		v := good.encode()
		v[i] = b
		return v
	}
	size := len(good.encode())
	many := make(map[string]string)
	for i := range MaxLabels + 1 {
		many[fmt.Sprint(i)] = ""
	}
	sessions := map[string][]byte{
		"unknown status":     with(func(s *sessionRecord) { s.status = statusDraining + 1 }),
		"unknown flag":       at(13, 2),
		"capacity negative":  with(func(s *sessionRecord) { s.capacity = -1 }),
		"capacity too large": with(func(s *sessionRecord) { s.capacity = MaxCapacity + 1 }),
		"too many labels":    with(func(s *sessionRecord) { s.labels = many }),
		"long label key":     with(func(s *sessionRecord) { s.labels = map[string]string{strings.Repeat("k", MaxLabelKeyBytes+1): ""} }),
		"long label value":   with(func(s *sessionRecord) { s.labels = map[string]string{"k": strings.Repeat("v", MaxLabelValueBytes+1)} }),
		"empty label key":    with(func(s *sessionRecord) { s.labels = map[string]string{"": "v"} }),
		"labels not sorted":  at(size-4+1, 'j'),
		"more labels said":   at(sessionHeader+2, 3),
		"fewer labels said":  at(sessionHeader+2, 1),
		"bytes behind":       append(good.encode(), 0),
		"no labels":          good.encode()[:sessionHeader+2],
		"count without end":  append(good.encode()[:sessionHeader+2], 0x80),
		"no address":         good.encode()[:sessionHeader],
		"address without end": append(good.encode()[:sessionHeader],
			0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01),
	}
	for name, v := range sessions {
		if s, err := decodeSession(v); !errors.Is(err, ErrCorrupt) || s != nil {
			t.Errorf("session, %s: %+v, %v", name, s, err)
		}
	}
	if _, err := decodeSession(good.encode()); err != nil {
		t.Errorf("the session that was spoilt: %v", err)
	}

	k := newKeys("ns")
	space := k.tagged(tagLog, 0)
	row := func(kind byte, body []byte) []byte {
		v := make([]byte, logHeader)
		v[0], v[logHeader-1] = recordFormat, kind
		return append(v, body...)
	}
	key := k.log(7, "n")
	for name, kv := range map[string]store.KeyValue{
		"key without position": {Key: append([]byte(nil), space...), Value: row(0, nil)},
		"key cut":              {Key: key[:len(key)-1], Value: row(0, nil)},
		"key longer":           {Key: append(append([]byte(nil), key...), 'x'), Value: row(0, nil)},
		"node without a name":  {Key: append(append([]byte(nil), k.log(7, "")...), 0), Value: row(0, nil)},
		"empty":                {Key: key},
		"newer format":         {Key: key, Value: append([]byte{recordFormat + 1}, row(0, nil)[1:]...)},
		"unknown kind":         {Key: key, Value: row(2, nil)},
		"removal with a body":  {Key: key, Value: row(0, []byte{1})},
		"session missing":      {Key: key, Value: row(1, nil)},
		"session damaged":      {Key: key, Value: row(1, sessions["unknown flag"])},
	} {
		if r, err := decodeLogRow(space, kv); !errors.Is(err, ErrCorrupt) || r != nil {
			t.Errorf("log row, %s: %+v, %v", name, r, err)
		}
	}
	for _, v := range [][]byte{row(0, nil), row(1, good.encode())} {
		if _, err := decodeLogRow(space, store.KeyValue{Key: key, Value: v}); err != nil {
			t.Errorf("a good row: %v", err)
		}
	}
	for _, v := range [][]byte{{1}, make([]byte, 7), make([]byte, 9)} {
		if _, err := decodeHead(v); !errors.Is(err, ErrCorrupt) {
			t.Errorf("number of %d bytes: %v", len(v), err)
		}
	}
}

func FuzzMembershipKeys(f *testing.F) {
	k := newKeys("ns")
	prefix := k.tagged(tagState, 0)
	f.Add(k.state("n")[len(prefix):])
	f.Add(k.load("n\x00m", 1)[len(prefix):])
	f.Add(k.log(1, "n")[len(prefix):])
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, err := nodeOf(append(k.tagged(tagState, 0), b...), prefix); err == nil && string(k.state(n)[len(prefix):]) != string(b) ||
			err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("node key %q is %q, %v", b, n, err)
		}
		if n, inc, ok := cutLoadKey(b); ok && string(k.load(n, inc)[len(prefix):]) != string(b) {
			t.Errorf("load key %q is %q, %v", b, n, inc)
		}
		if head, err := decodeHead(b); err == nil && len(b) != 0 && len(b) != 8 || err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("number %q is %d, %v", b, head, err)
		}
	})
}
