package litmus_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/kelpie-registry/kelpie/litmus"
)

// fileOf runs programs on a store and returns the file.
func fileOf(t testing.TB, s litmus.Store, h litmus.Header) string {
	t.Helper()
	var b bytes.Buffer
	w, err := litmus.NewWriter(&b, h)
	if err != nil {
		t.Fatal(err)
	}
	for seed := h.From; seed <= h.To; seed++ {
		lines, err := s.Run(litmus.Generate(h.Generation, seed), nil)
		if err == nil {
			err = w.Program(lines)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.End(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func header(t testing.TB, level litmus.Level, from, n uint64) litmus.Header {
	t.Helper()
	h, err := litmus.NewHeader(litmus.Generation{Level: level}, from, n)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// readAll reads a file to its end.
func readAll(text string) (programs int, err error) {
	f, err := litmus.NewReader(strings.NewReader(text))
	if err != nil {
		return 0, err
	}
	for {
		_, _, err := f.Next()
		if errors.Is(err, io.EOF) {
			return programs, nil
		}
		if err != nil {
			return programs, err
		}
		programs++
	}
}

func TestFileIsReadAsItWasWritten(t *testing.T) {
	s := memoryStore()
	defer s.Close()
	for _, n := range []uint64{1, 2, 30} {
		text := fileOf(t, s, header(t, litmus.Port, 7, n))
		if got, err := readAll(text); err != nil || got != int(n) {
			t.Errorf("%d programs, %v; want %d", got, err, n)
		}
	}
}

func TestBrokenFilesAreRefused(t *testing.T) {
	s := memoryStore()
	defer s.Close()
	good := fileOf(t, s, header(t, litmus.Port, 7, 3))
	lines := strings.SplitAfter(good, "\n")
	for name, text := range map[string]string{
		"empty":                         "",
		"another program's":             "{\"a\": 1}\n",
		"header alone":                  lines[0],
		"without the end mark":          strings.Join(lines[:len(lines)-2], ""),
		"cut in the middle":             good[:len(good)/2],
		"a line is missing":             strings.Join(append(append([]string{}, lines[:3]...), lines[4:]...), ""),
		"a line is doubled":             strings.Join(append(append([]string{}, lines[:4]...), lines[3:]...), ""),
		"something behind":              good + "7 1 A begin -> ok\n",
		"twice":                         good + good,
		"fewer programs than promised":  strings.Replace(good, "seeds=7..9", "seeds=7..10", 1),
		"more programs than promised":   strings.Replace(good, "seeds=7..9", "seeds=7..8", 1),
		"another format":                strings.Replace(good, "litmus 1 ", "litmus 2 ", 1),
		"unknown level":                 strings.Replace(good, "level=port", "level=sport", 1),
		"unknown class":                 strings.Replace(good, "class=quick", "class=medium", 1),
		"no seeds":                      strings.Replace(good, "seeds=7..9", "seeds=9..7", 1),
		"seeds that are no numbers":     strings.Replace(good, "seeds=7..9", "seeds=7..-9", 1),
		"a line that is too long":       lines[0] + "7 1 A set " + strings.Repeat("x", 1<<21),
		"a line that is none":           lines[0] + "seven one\n",
		"a number written in its sleep": lines[0] + "07 1 A begin -> ok\n",
		"line ends of another system":   strings.ReplaceAll(good, "\n", "\r\n"),
		"without the last line end":     strings.TrimSuffix(good, "\n"),
		"end mark of another count":     strings.Replace(good, "end programs=3", "end programs=2", 1),
	} {
		if _, err := readAll(text); !errors.Is(err, litmus.ErrFormat) {
			t.Errorf("%s: error %v, want ErrFormat", name, err)
		}
	}
}

func TestHeaderBounds(t *testing.T) {
	for _, c := range []struct {
		from, n uint64
		ok      bool
	}{{0, 1, true}, {1<<64 - 2, 1, true}, {0, litmus.MaxPrograms, true}, {0, 0, false}, {0, litmus.MaxPrograms + 1, false}, {1<<64 - 1, 1, false}, {1<<64 - 2, 2, false}} {
		h, err := litmus.NewHeader(litmus.Generation{Level: litmus.Client, Slow: true}, c.from, c.n)
		if (err == nil) != c.ok {
			t.Errorf("%d programs from %d: %v", c.n, c.from, err)
		}
		if err != nil {
			continue
		}
		if back, err := litmus.ParseHeader(h.String()); err != nil || back != h {
			t.Errorf("%v came back as %v, %v", h, back, err)
		}
	}
}

func TestFingerprintTellsGenerationsApart(t *testing.T) {
	seen := map[string]bool{}
	for _, g := range []litmus.Generation{{Level: litmus.Port}, {Level: litmus.Port, Slow: true}, {Level: litmus.Client}, {Level: litmus.Client, Slow: true}} {
		first, again := litmus.Fingerprint(g), litmus.Fingerprint(g)
		if seen[first] || first != again {
			t.Errorf("%v: the fingerprint is another one's, or changes", g)
		}
		seen[first] = true
	}
}

func TestCompareFindsTheFirstDifference(t *testing.T) {
	s := memoryStore()
	defer s.Close()
	good := fileOf(t, s, header(t, litmus.Port, 7, 5))
	compare := func(a, b string) (*litmus.Difference, error) {
		d, _, err := litmus.Compare(strings.NewReader(a), strings.NewReader(b))
		return d, err
	}
	if d, err := compare(good, good); d != nil || err != nil {
		t.Fatalf("a file differs from itself: %v, %v", d, err)
	}
	other := strings.Replace(good, "9 4 ", "9 4 x", 1)
	d, err := compare(good, other)
	if err != nil || d == nil || d.Seed != 9 || d.Step() != 4 {
		t.Fatalf("difference %v, error %v; want seed 9, step 4", d, err)
	}
	if text := d.String(); !strings.Contains(text, "  9 1 A begin -> ok\n") || !strings.Contains(text, "- 9 4 ") || !strings.Contains(text, "+ 9 4 x") {
		t.Errorf("printed as\n%s", text)
	}
	if _, err := compare(good, fileOf(t, s, header(t, litmus.Port, 8, 5))); !errors.Is(err, litmus.ErrIncomparable) {
		t.Errorf("files of other seeds: %v", err)
	}
	if _, err := compare(good, good[:len(good)-30]); !errors.Is(err, litmus.ErrFormat) {
		t.Errorf("a file that is cut: %v", err)
	}
	if _, err := compare(good[:len(good)-30], good); !errors.Is(err, litmus.ErrFormat) {
		t.Errorf("a file that is cut, first: %v", err)
	}
	if _, err := compare("x", good); !errors.Is(err, litmus.ErrFormat) {
		t.Errorf("no file: %v", err)
	}
	// A file that is cut behind a difference is no less cut.
	if _, err := compare(good, other[:len(other)-30]); !errors.Is(err, litmus.ErrFormat) {
		t.Errorf("a file that differs and is cut: %v", err)
	}
}

// FuzzReader holds the reader to its promise: it accepts only what a writer
// writes.
func FuzzReader(f *testing.F) {
	s := memoryStore()
	defer s.Close()
	good := fileOf(f, s, header(f, litmus.Port, 1, 2))
	f.Add(good)
	f.Add(good[:100])
	f.Add(strings.Replace(good, "level=port class=quick", "level=client class=slow", 1))
	f.Fuzz(func(t *testing.T, text string) {
		r, err := litmus.NewReader(strings.NewReader(text))
		if err != nil {
			if !errors.Is(err, litmus.ErrFormat) {
				t.Fatal(err)
			}
			return
		}
		var b bytes.Buffer
		w, err := litmus.NewWriter(&b, r.Header)
		if err != nil {
			t.Fatal(err)
		}
		for {
			_, lines, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				if !errors.Is(err, litmus.ErrFormat) {
					t.Fatal(err)
				}
				return
			}
			if err := w.Program([]byte(strings.Join(lines, "\n") + "\n")); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.End(); err != nil {
			t.Fatal(err)
		}
		if b.String() != text {
			t.Errorf("accepted %q, which is written %q", text, b.String())
		}
	})
}
