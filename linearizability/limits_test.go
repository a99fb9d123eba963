package linearizability

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unsafe"
)

// stream hides that a reader can seek.
type stream struct{ io.Reader }

// manyLookups returns a history of n lookups, which returned or did not, and
// without its end line.
func manyLookups(n int, returned bool) []byte {
	var file bytes.Buffer
	e, err := NewEncoder(&file, Header{Scenario: "s", Seed: 3})
	if err != nil {
		panic(err)
	}
	for i := range n {
		op := Op{ID: i, Client: "c", Kind: KindLookup, Actor: "a", Return: 1, Outcome: OutcomeUnowned}
		err = errors.Join(err, e.Invoke(&op))
		if returned {
			err = errors.Join(err, e.Return(&op))
		}
	}
	if err = errors.Join(err, e.Flush()); err != nil {
		panic(err)
	}
	return file.Bytes()
}

func TestDecodeObeysItsLimits(t *testing.T) {
	text := headerLine + claimCall + claimOK + strings.Replace(claimCall, `"id":4`, `"id":5`, 1) + strings.Replace(endLine, "2", "3", 1)
	for _, c := range []struct {
		name   string
		limits Limits
		line   int // that is refused; 0: none
	}{
		{"exactly within all", Limits{Lines: 5, LineBytes: len(claimCall), Operations: 2, Bytes: int64(len(text))}, 0},
		{"a line too many", Limits{Lines: 4}, 5},
		{"many lines too many", Limits{Lines: 1}, 2},
		{"a byte of a line too many", Limits{LineBytes: len(claimCall) - 1}, 2},
		{"an operation too many", Limits{Operations: 1}, 4},
		{"a byte too many", Limits{Bytes: int64(len(text)) - 1}, 5},
		{"the second line is over", Limits{Bytes: int64(len(headerLine)) + 1}, 2},
		{"the third line is over", Limits{Bytes: int64(len(headerLine) + len(claimCall))}, 3},
	} {
		for name, r := range map[string]io.Reader{
			"file": strings.NewReader(text), "stream": stream{strings.NewReader(text)},
		} {
			_, err := Decode(r, c.limits)
			var at *LineError
			switch {
			case c.line == 0 && err != nil:
				t.Errorf("%s, %s: %v", name, c.name, err)
			case c.line != 0 && (!errors.Is(err, ErrTooBig) || !errors.As(err, &at) || at.Line != c.line):
				t.Errorf("%s, %s: %v, want line %d and %v", name, c.name, err, c.line, ErrTooBig)
			}
		}
	}
}

// allocated returns the bytes that f allocates, garbage included.
func allocated(f func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

func TestWhatIsTooBigIsRefusedInBoundedMemory(t *testing.T) {
	const operations = 50_000
	complete, open := manyLookups(operations, true), manyLookups(operations, false)
	const buffers = 128 << 10
	const kept = operations * int(unsafe.Sizeof(Op{}))
	const growing = 5 * chunkOps * int(unsafe.Sizeof(Op{})) // up to the first whole chunk
	for _, c := range []struct {
		name   string
		r      io.Reader
		limits Limits
		bound  int
	}{
		{"a file with too many lines", bytes.NewReader(complete), Limits{Lines: operations}, buffers},
		{"a file with too many bytes", bytes.NewReader(complete), Limits{Bytes: int64(len(complete)) - 1}, buffers},
		{"a file with too many open operations", bytes.NewReader(open), Limits{Operations: operations - 1}, kept + growing},
		{"a stream with too many lines", stream{bytes.NewReader(complete)}, Limits{Lines: 2 * operations}, kept + growing},
		{"a stream with too many operations", stream{bytes.NewReader(open)}, Limits{Operations: operations / 2}, kept/2 + growing},
	} {
		var err error
		if got := allocated(func() { _, err = Decode(c.r, c.limits) }); got > c.bound {
			t.Errorf("%s: %d bytes allocated, want at most %d", c.name, got, c.bound)
		}
		if !errors.Is(err, ErrTooBig) {
			t.Errorf("%s: %v, want %v", c.name, err, ErrTooBig)
		}
	}
}

func TestAFileIsReadFromWhereItStands(t *testing.T) {
	text := headerLine + claimCall + claimOK + endLine
	r := strings.NewReader("before" + strings.Repeat(" ", 100_000) + text)
	if _, err := r.Seek(-int64(len(text)), io.SeekEnd); err != nil {
		t.Fatal(err)
	}
	if h, err := Decode(r, Limits{LineBytes: 200}); err != nil || len(h.Ops) != 1 {
		t.Errorf("history %v, error %v", h, err)
	}
}

// stuck is a reader that has a header, and then cannot be read or go back.
type stuck struct {
	io.Reader
	seek error
}

func (s stuck) Seek(_ int64, whence int) (int64, error) {
	if whence == io.SeekStart {
		return 0, s.seek
	}
	return 0, nil
}

func TestDecodePassesErrorsOfTheSurveyOn(t *testing.T) {
	head := func() io.Reader { return strings.NewReader(headerLine + claimCall) }
	unreadable := stuck{io.MultiReader(head(), iotest.ErrReader(io.ErrClosedPipe)), nil}
	if _, err := Decode(unreadable, Limits{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("cannot be read: %v", err)
	}
	if _, err := Decode(stuck{head(), io.ErrNoProgress}, Limits{}); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("cannot go back: %v", err)
	}
}

func TestATableFindsOperationsByID(t *testing.T) {
	const n = 3*chunkOps + 1
	for name, id := range map[string]func(i int) int{
		"as recorded": func(i int) int { return i },
		"reversed":    func(i int) int { return n - i },
		"one differs": func(i int) int {
			if i < chunkOps {
				return i
			}
			return i + 7
		},
	} {
		for _, reserved := range []int{0, 1, chunkOps + 3, n, 2 * n} {
			var tab table
			tab.reserve(reserved)
			var want []Op
			for i := range n {
				op := Op{ID: id(i), Token: uint64(i + 1)}
				if tab.find(op.ID) != nil {
					t.Fatalf("%s: found %d before it was added", name, op.ID)
				}
				tab.add(&op)
				want = append(want, op)
			}
			for i := range want {
				if got := tab.find(want[i].ID); got == nil || *got != want[i] {
					t.Fatalf("%s, %d reserved: id %d is %v, want %v", name, reserved, want[i].ID, got, want[i])
				}
			}
			if tab.find(maxID) != nil {
				t.Errorf("%s: found what was not added", name)
			}
			if got := tab.all(); !slices.Equal(got, want) {
				t.Errorf("%s, %d reserved: %d operations come back in another order", name, reserved, len(got))
			}
		}
	}
}
