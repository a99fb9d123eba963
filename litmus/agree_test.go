package litmus_test

import (
	"bytes"
	"testing"

	"github.com/kelpie-registry/kelpie/litmus"
	"github.com/kelpie-registry/kelpie/litmus/onport"
	"github.com/kelpie-registry/kelpie/litmus/onsimfdb"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/memory"
)

func memoryStore() litmus.Store {
	return onport.New(onport.Options{Open: func() (store.Engine, error) { return memory.New(memory.Options{Window: testWindow}), nil }, Age: onport.AgeByCommits(testWindow)})
}

func TestMemoryAndSimfdbAgree(t *testing.T) {
	a, b := memoryStore(), onsimfdb.New(onsimfdb.Options{})
	for seed := range uint64(3000) {
		p := litmus.Generate(litmus.Generation{Level: litmus.Port, Slow: seed%10 == 9}, seed)
		x, err := a.Run(p, nil)
		if err != nil {
			t.Fatal(err)
		}
		y, err := b.Run(p, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(x, y) {
			t.Fatalf("%s\n---\n%s", x, y)
		}
	}
}

// testWindow is the window of the memory engines, in commits.
const testWindow = 64
