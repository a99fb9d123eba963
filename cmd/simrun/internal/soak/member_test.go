package soak

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/jsonl"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/sink"
	"github.com/kelpie-registry/kelpie/linearizability"
	"github.com/kelpie-registry/kelpie/store/memory"
)

// memberDid is what a member of four nodes did.
type memberDid struct {
	before, after *Standing // it gave up all that it had
	history       *linearizability.History
	ledger        *Ledger
}

func memberRun(t *testing.T) memberDid {
	t.Helper()
	c := clock.System()
	engine := memory.New(memory.Options{Clock: c})
	var file, notes bytes.Buffer
	j, err := linearizability.NewJournal(&file, linearizability.Header{Scenario: "member"})
	if err != nil {
		t.Fatal(err)
	}
	m := NewMember(Share{
		Nodes: 4, Actors: 8, For: time.Second, TTL: time.Second, Seed: 1, Think: 2 * time.Millisecond, Most: 100_000, Linger: 8,
		Began: c.Monotonic(), Name: "m.1", Life: 1, Here: []int{0, 1, 2, 3},
	}, engine, Outlets{
		History: j, Sink: sink.NewTable(),
		Book: NoteFile{jsonl.NewWriter(&notes, func(err error) { t.Error(err) })},
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := m.Work(ctx); err != nil {
		t.Fatal(err)
	}
	did := memberDid{ledger: NewLedger()}
	m.Ask()
	if did.before, err = m.ReadStanding(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.Ask()
	if err := m.Retire(); err != nil {
		t.Fatal(err)
	}
	if did.after, err = m.ReadStanding(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := j.Err(); err != nil {
		t.Fatal(err)
	}
	if did.history, err = linearizability.DecodeJournal(&file, linearizability.Limits{}); err != nil {
		t.Fatal(err)
	}
	all, err := jsonl.Read[Note](&notes)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range all {
		did.ledger.Take(n)
	}
	if v := did.ledger.Defect(); v != nil {
		t.Fatalf("%+v", *v)
	}
	return did
}
