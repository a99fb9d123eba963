package registrytest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/memory"
)

func onMemory(testing.TB) store.Engine { return memory.New(memory.Options{}) }

func TestSuiteOnMemory(t *testing.T) { Run(t, Harness{New: onMemory}) }

// noConflicts is an engine that never notices that what a transaction read was
// changed.
type noConflicts struct{ store.Engine }

func (e noConflicts) Begin(ctx context.Context) store.Txn { return blindTxn{e.Engine.Begin(ctx)} }

type blindTxn struct{ store.Txn }

func (t blindTxn) Get(key []byte) ([]byte, error)          { return t.Snapshot().Get(key) }
func (t blindTxn) GetAll(keys ...[]byte) ([][]byte, error) { return t.Snapshot().GetAll(keys...) }

// forgetful is an engine that drops every removal.
type forgetful struct{ store.Engine }

func (e forgetful) Begin(ctx context.Context) store.Txn { return forgetfulTxn{e.Engine.Begin(ctx)} }

type forgetfulTxn struct{ store.Txn }

func (forgetfulTxn) Clear([]byte) {}

// miscounting is an engine whose additions are off by one.
type miscounting struct{ store.Engine }

func (e miscounting) Begin(ctx context.Context) store.Txn { return miscountingTxn{e.Engine.Begin(ctx)} }

type miscountingTxn struct{ store.Txn }

func (t miscountingTxn) Add(key []byte, delta int64) { t.Txn.Add(key, delta+1) }

func TestSuiteRejects(t *testing.T) {
	for name, c := range map[string]struct {
		engine store.Engine
		check  string // that finds it
	}{
		"no conflicts": {noConflicts{onMemory(t)}, "guard against a release meanwhile"},
		"forgetful":    {forgetful{onMemory(t)}, "release"},
		"miscounting":  {miscounting{onMemory(t)}, "claim, held and lookup"},
	} {
		t.Run(name, func(t *testing.T) {
			h := Harness{New: func(testing.TB) store.Engine { return c.engine }, TTL: 30 * time.Second}
			for _, check := range suite {
				if check.name != c.check {
					continue
				}
				if _, err := h.once(t, check); err == nil {
					t.Errorf("%q found nothing", check.name)
				} else if strings.Contains(err.Error(), "ran out") {
					t.Errorf("%q found %v", check.name, err)
				}
				return
			}
			t.Errorf("there is no case %q", c.check)
		})
	}
}
