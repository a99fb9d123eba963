package etcd

import (
	"sync"
	"sync/atomic"
	"testing"
)

// TestNoMomentOfACommitIsRememberedWrong guesses without a pause while commits
// are noted. What a guess says of the commit's revision must be what the commit
// left there: nothing would refute another one.
func TestNoMomentOfACommitIsRememberedWrong(t *testing.T) {
	memory, err := newRecall(8)
	if err != nil {
		t.Fatal(err)
	}
	e := &Engine{recall: memory}
	var over atomic.Bool
	var guessing sync.WaitGroup
	guessing.Go(func() {
		for !over.Load() {
			for _, key := range []string{"set", "cleared"} {
				p := memory.guess(key, 0)
				if p != nil && p.rows > 1 && string(p.value) == "old" {
					t.Errorf("key %q is said to be old at revision %d", key, p.rows)
					return
				}
			}
		}
	})
	const commits = 100_000
	for revision := int64(2); revision < commits && !t.Failed(); revision++ {
		tx := &Txn{engine: e}
		for _, key := range []string{"set", "cleared"} {
			tx.note(key, &pointRead{value: []byte("old"), rows: 1, since: 1, guessed: true})
		}
		tx.writes.set("set", []byte("new"))
		tx.writes.removeRange(span{"a", "d"})
		tx.applied(&answer{succeeded: true, revision: revision})
	}
	over.Store(true)
	guessing.Wait()
}
