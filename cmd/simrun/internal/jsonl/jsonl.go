// Package jsonl keeps JSON values in a file as they happen, a line each, so that a
// process that is killed has lost at most the line that it was writing.
package jsonl

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Writer appends to a file. It is safe for use from several goroutines.
type Writer struct {
	mu     sync.Mutex
	file   io.Writer
	failed func(error)
}

// NewWriter returns a writer that does one Write a value, and gives errors of it to
// failed.
func NewWriter(file io.Writer, failed func(error)) *Writer {
	return &Writer{file: file, failed: failed}
}

// Append writes a value and reports whether it is in the file.
func (w *Writer) Append(v any) bool {
	line, err := json.Marshal(v)
	if err == nil {
		w.mu.Lock()
		_, err = w.file.Write(append(line, '\n'))
		w.mu.Unlock()
	}
	if err != nil {
		w.failed(err)
	}
	return err == nil
}

// Read returns the values of a file. A last line without its newline is dropped.
func Read[T any](r io.Reader) ([]T, error) {
	var all []T
	b := bufio.NewReader(r)
	for {
		line, err := b.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		var v T
		if err := json.Unmarshal(line, &v); err != nil {
			return nil, fmt.Errorf("line %d: %w", len(all)+1, err)
		}
		all = append(all, v)
	}
}
