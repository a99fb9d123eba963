package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/kelpie-registry/kelpie/store"
)

// guessingEngine is a fakeEngine whose transactions can guess, and answer each
// Confirm with the next of confirms.
type guessingEngine struct {
	fakeEngine
	confirms []error
	txs      []*guessingTxn
}

func (e *guessingEngine) Begin(ctx context.Context) store.Txn {
	tx := &guessingTxn{Txn: e.fakeEngine.Begin(ctx), engine: e}
	e.txs = append(e.txs, tx)
	return tx
}

type guessingTxn struct {
	store.Txn
	engine   *guessingEngine
	guesses  int
	confirms int
}

func (t *guessingTxn) Guess() { t.guesses++ }

func (t *guessingTxn) Confirm() error {
	t.confirms++
	err := t.engine.confirms[0]
	t.engine.confirms = t.engine.confirms[1:]
	return err
}

// asked returns how often each attempt was told to guess and to confirm.
func (e *guessingEngine) asked() string {
	var s string
	for _, tx := range e.txs {
		s += fmt.Sprintf("%d%d ", tx.guesses, tx.confirms)
	}
	return s
}

func TestWhatABodyDecidedOnGuessesIsConfirmed(t *testing.T) {
	own := errors.New("the body's own error")
	conflict := fmt.Errorf("engine: %w", store.ErrConflict)
	broken := errors.New("the engine is broken")
	always := func(store.Tx) error { return own }
	for _, tc := range []struct {
		name     string
		confirms []error
		outcomes []outcome
		body     func(tx store.Tx) error
		want     error
		asked    string // guesses and confirmations of each attempt
	}{
		{"a right guess", []error{nil}, []outcome{{}}, always, own, "11 "},
		{"a wrong guess, then a right one", []error{conflict, nil}, []outcome{{}}, always, own, "11 11 "},
		{"wrong guesses, then reads", []error{conflict, conflict}, []outcome{{}}, always, own, "11 11 00 "},
		{"an engine that cannot confirm", []error{broken}, []outcome{{}}, always, broken, "11 "},
		{"a commit needs no confirmation", nil, []outcome{{commit: conflict}, {commit: conflict}, {commit: conflict}, {}}, readOnce, nil, "10 10 00 00 "},
		{"a read that failed needs none", nil, []outcome{{get: conflict}, {}}, readOnce, nil, "10 10 "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := &guessingEngine{fakeEngine: fakeEngine{outcomes: tc.outcomes}, confirms: tc.confirms}
			db, _ := open(t, e, store.Options{})
			_, err := db.Transact(context.Background(), tc.body)
			if !errors.Is(err, tc.want) || (err != nil) != (tc.want != nil) {
				t.Errorf("error %v, want %v", err, tc.want)
			}
			if got := e.asked(); got != tc.asked {
				t.Errorf("guesses and confirmations: %s, want %s", got, tc.asked)
			}
		})
	}
}

func TestReadNeverGuesses(t *testing.T) {
	e := &guessingEngine{fakeEngine: fakeEngine{outcomes: []outcome{{}}}}
	db, _ := open(t, e, store.Options{})
	own := errors.New("the body's own error")
	for _, want := range []error{nil, own} {
		if err := db.Read(context.Background(), func(store.Reader) error { return want }); !errors.Is(err, want) {
			t.Errorf("error %v, want %v", err, want)
		}
	}
	if got := e.asked(); got != "00 00 " {
		t.Errorf("guesses and confirmations: %s, want none", got)
	}
}

func TestTransactFreshNeverGuesses(t *testing.T) {
	e := &guessingEngine{fakeEngine: fakeEngine{outcomes: []outcome{{commit: store.ErrConflict}, {}}}}
	db, _ := open(t, e, store.Options{})
	if _, err := db.TransactFresh(context.Background(), readOnce); err != nil {
		t.Error(err)
	}
	if got := e.asked(); got != "00 00 " {
		t.Errorf("guesses and confirmations: %s, want none in two attempts", got)
	}
}
