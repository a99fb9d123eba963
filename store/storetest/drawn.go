package storetest

import (
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// judgeDrawn has rapid draw scripts, plays each in a world of its own, and
// returns what is wrong with the smallest that it can find.
func (h *Harness) judgeDrawn(tb testing.TB) error {
	tb.Helper()
	found := &finding{TB: tb}
	played, failed := 0, false
	found.check(func(t *rapid.T) {
		if played >= h.Histories && !failed {
			return // enough of them
		}
		played++
		s := drawScript(t, h)
		seed := rapid.Uint64Range(0, 1<<20).Draw(t, "seed of the world")
		if err := h.through(tb, check{run: s.play}, seed); err != nil {
			failed = true
			found.last = fmt.Errorf("%w\nof the script\n%v", err, s)
			t.Fatal(err)
		}
	})
	return found.result()
}

// finding stands between rapid and a test: what rapid finds becomes an error.
type finding struct {
	testing.TB

	last   error // of the last script that failed: once rapid is done, the smallest
	failed bool
}

// errDrawn stands for a failure that rapid reports without a script.
var errDrawn = errors.New("rapid reports a failure that no script explains")

// errFailNow is thrown by FailNow, which must not return.
var errFailNow = errors.New("FailNow")

func (f *finding) check(property func(t *rapid.T)) {
	defer func() {
		if r := recover(); r != nil && r != errFailNow { //nolint:errorlint // it is thrown as it is
			panic(r)
		}
	}()
	rapid.Check(f, property)
}

func (f *finding) result() error {
	if f.failed && f.last == nil {
		return errDrawn
	}
	return f.last
}

// What rapid calls of a test. What it logs says what last says.

func (f *finding) Helper()               {}
func (f *finding) Failed() bool          { return f.failed }
func (f *finding) Fail()                 { f.failed = true }
func (f *finding) FailNow()              { f.failed = true; panic(errFailNow) }
func (f *finding) Log(...any)            {}
func (f *finding) Logf(string, ...any)   {}
func (f *finding) Error(...any)          { f.failed = true }
func (f *finding) Errorf(string, ...any) { f.failed = true }
func (f *finding) Fatal(...any)          { f.FailNow() }
func (f *finding) Fatalf(string, ...any) { f.FailNow() }
