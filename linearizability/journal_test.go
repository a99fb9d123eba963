package linearizability

import (
	"bytes"
	"errors"
	"testing"
	"time"
)

// lines counts writes and what they hold.
type lines struct {
	bytes.Buffer
	writes int
	fail   error
}

func (l *lines) Write(p []byte) (int, error) {
	if l.fail != nil {
		return 0, l.fail
	}
	l.writes++
	return l.Buffer.Write(p)
}

// written is a journal with a join that returned and a claim that did not.
func written(t *testing.T, w *lines) *Journal {
	t.Helper()
	j, err := NewJournal(w, Header{Scenario: "s", Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	join := j.Invoke(10, Op{Client: "c", Kind: KindJoin, Node: "n"})
	j.Return(20, join, Result{Outcome: OutcomeOK, Incarnation: 3})
	j.Invoke(30, Op{Client: "c", Kind: KindClaim, Node: "n", Incarnation: 3, Actor: "a"})
	if err := j.Err(); err != nil || j.Len() != 2 {
		t.Fatalf("%d operations, error %v", j.Len(), err)
	}
	return j
}

func TestAJournalIsThereLineByLine(t *testing.T) {
	var w lines
	written(t, &w)
	if n := bytes.Count(w.Bytes(), []byte("\n")); n != 4 || w.writes != n {
		t.Errorf("%d writes of %d lines, want one of each of 4", w.writes, n)
	}
	// Wherever the process dies, what has a newline counts and nothing else.
	whole := w.Bytes()
	for end := range len(whole) + 1 {
		h, err := DecodeJournal(bytes.NewReader(whole[:end]), Limits{})
		if err != nil {
			t.Fatalf("cut at byte %d: %v", end, err)
		}
		events := 0
		for _, op := range h.Ops {
			events++
			if op.Outcome != OutcomePending {
				events++
			}
		}
		if want := max(bytes.Count(whole[:end], []byte("\n"))-1, 0); events != want {
			t.Errorf("cut at byte %d: %d events, want %d", end, events, want)
		}
	}
}

func TestAJournalThatIsDamagedElsewhereIsRefused(t *testing.T) {
	var w lines
	written(t, &w)
	damaged := bytes.Replace(w.Bytes(), []byte(`"outcome":"ok"`), []byte(`"outcome":"o`), 1)
	if _, err := DecodeJournal(bytes.NewReader(damaged), Limits{}); !errors.Is(err, ErrEvent) {
		t.Errorf("error %v, want %v", err, ErrEvent)
	}
	if _, err := DecodeJournal(bytes.NewReader([]byte("x\n")), Limits{}); !errors.Is(err, ErrForeign) {
		t.Errorf("error %v, want %v", err, ErrForeign)
	}
	if _, err := Decode(bytes.NewReader(w.Bytes()), Limits{}); !errors.Is(err, ErrTruncated) {
		t.Errorf("Decode of a journal: error %v, want %v", err, ErrTruncated)
	}
}

func TestErrorsOfAJournalStick(t *testing.T) {
	var w lines
	j := written(t, &w)
	boom := errors.New("boom")
	w.fail = boom
	j.Note(40, Op{Client: "c", Kind: KindLost, Node: "n", Incarnation: 3}, Result{Outcome: OutcomeOK})
	w.fail = nil
	j.Return(50, 1, Result{Outcome: OutcomeFailed})
	if err := j.Err(); !errors.Is(err, boom) {
		t.Errorf("error %v, want %v", err, boom)
	}
}

func TestMergeOrdersByTheCommonClock(t *testing.T) {
	op := func(id int, call time.Duration) Op {
		return Op{ID: id, Client: "c", Kind: KindLookup, Actor: "a", Call: call, Return: Open}
	}
	h := Merge(Header{Seed: 4},
		&History{Ops: []Op{op(0, 5), op(1, 30)}}, &History{}, &History{Ops: []Op{op(0, 1), op(1, 20)}})
	if err := h.Validate(); err != nil || h.Seed != 4 {
		t.Fatalf("seed %d, error %v", h.Seed, err)
	}
	for i, want := range []time.Duration{1, 5, 20, 30} {
		if h.Ops[i].Call != want || h.Ops[i].ID != i {
			t.Errorf("operation %d is %+v, want the call at %d", i, h.Ops[i], want)
		}
	}
}

// FuzzDecodeJournal cuts files at any byte: what Decode takes whole, DecodeJournal
// takes up to the cut.
func FuzzDecodeJournal(f *testing.F) {
	f.Add([]byte(`{"format":"kelpie-history","version":1,"scenario":"s","seed":0}
{"e":"invoke","id":0,"t":1,"client":"a","kind":"join","node":"a"}
{"e":"return","id":0,"t":2,"outcome":"ok","inc":1}
{"e":"end","events":2}
`), 100)
	f.Fuzz(func(t *testing.T, file []byte, cut int) {
		if cut < 0 || cut > len(file) {
			cut = len(file)
		}
		part, err := DecodeJournal(bytes.NewReader(file[:cut]), Limits{})
		if err == nil {
			if err := part.Validate(); err != nil {
				t.Fatalf("decoded, and not valid: %v", err)
			}
		}
		whole, wholeErr := Decode(bytes.NewReader(file), Limits{})
		if wholeErr != nil {
			return
		}
		if err != nil || len(part.Ops) > len(whole.Ops) {
			t.Fatalf("cut at %d of %d bytes: %v", cut, len(file), err)
		}
	})
}
