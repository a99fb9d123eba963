package registry

import (
	"bytes"
	"errors"
	"testing"

	"github.com/kelpie-registry/kelpie/store"
)

// TestSessionsDoNotOverlap: the actors of a session are a range of their own,
// in each epoch, whatever bytes the ids of nodes hold.
func TestSessionsDoNotOverlap(t *testing.T) {
	k := newKeys("ns")
	for epoch := range maxEpoch + 1 {
		inc := Incarnation(stamped(uint8(epoch), store.Version('b')<<48))
		space := k.session(tagOwned, "a", inc, 0)
		for _, node := range []NodeID{"a\x00", "a\x00b", "a\x00b\x00\x00\x00\x00\x00\x00", "a\x00\x00"} {
			if key := k.owned(node, inc, "x"); bytes.HasPrefix(key, space) {
				t.Errorf("epoch %d: the key %q of node %q lies among those of node a, %q", epoch, key, node, space)
			}
		}
		if node, rest, ok := cutTuple(space[len(k.prefix)+1:]); node != "a" || len(rest) != 8 || !ok {
			t.Errorf("epoch %d: node a comes back as %q, rest %q", epoch, node, rest)
		}
	}
}

// FuzzDecodeKey reads the end of a key: what passes for an actor's is the key of
// that actor.
func FuzzDecodeKey(f *testing.F) {
	k := newKeys("ns")
	space, _ := k.all(tagActor)
	for _, id := range []string{"", "a", "a\x00", "\x00\xff", "\xff"} {
		f.Add(appendTuple(nil, id))
	}
	f.Add([]byte("no end"))
	f.Add([]byte("a\x00more"))
	f.Fuzz(func(t *testing.T, b []byte) {
		key := append(bytes.Clone(space), b...)
		switch id, err := actorOf(key, space); {
		case err != nil && !errors.Is(err, ErrCorrupt):
			t.Error(err)
		case err == nil && !bytes.Equal(k.actor(id), key):
			t.Errorf("key %q is of actor %q, whose key is %q", key, id, k.actor(id))
		}
		if id, rest, ok := cutTuple(appendTuple(nil, string(b))); id != string(b) || len(rest) > 0 || !ok {
			t.Errorf("%q comes back as %q, rest %q, %v", b, id, rest, ok)
		}
	})
}
