package jsonl

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
)

func TestWhatIsWrittenIsReadUpToATornLine(t *testing.T) {
	var file bytes.Buffer
	w := NewWriter(&file, func(err error) { t.Error(err) })
	for _, s := range []string{"a", "b\n", "c"} {
		if !w.Append(s) {
			t.Error("not written")
		}
	}
	for cut, want := range map[int][]string{0: {"a", "b\n", "c"}, 1: {"a", "b\n"}, 4: {"a", "b\n"}, 5: {"a"}} {
		got, err := Read[string](bytes.NewReader(file.Bytes()[:file.Len()-cut]))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("without the last %d bytes: %q, %v, want %q", cut, got, err, want)
		}
	}
	if _, err := Read[int](bytes.NewReader(file.Bytes())); err == nil {
		t.Error("strings were read as numbers")
	}
}

func TestAFileThatFailsIsTold(t *testing.T) {
	var told error
	r, broken := io.Pipe()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if NewWriter(broken, func(err error) { told = err }).Append(1) || !errors.Is(told, io.ErrClosedPipe) {
		t.Errorf("told %v", told)
	}
}
