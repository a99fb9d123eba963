package linearizability

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Limits bound what a decoder reads and keeps. The zero value means the
// defaults.
type Limits struct {
	LineBytes  int   // longest line, with its newline; default 16 KiB
	Lines      int   // most lines, header and end included; default 4,000,002
	Operations int   // most operations; default 2,000,000
	Bytes      int64 // most bytes of the file; default 1 GiB
}

const (
	defaultLineBytes  = 16 << 10
	defaultLines      = 2*defaultOperations + 2
	defaultOperations = 2_000_000
	defaultBytes      = 1 << 30
)

func (l Limits) withDefaults() Limits {
	if l.LineBytes <= 0 {
		l.LineBytes = defaultLineBytes
	}
	if l.Lines <= 0 {
		l.Lines = defaultLines
	}
	if l.Operations <= 0 {
		l.Operations = defaultOperations
	}
	if l.Bytes <= 0 {
		l.Bytes = defaultBytes
	}
	return l
}

func (l Limits) tooManyLines() error {
	return &LineError{l.Lines + 1, fmt.Errorf("%w: more than %d lines", ErrTooBig, l.Lines)}
}

func (l Limits) tooManyBytes(line int) error {
	return &LineError{line, fmt.Errorf("%w: more than %d bytes", ErrTooBig, l.Bytes)}
}

const (
	surveyBuffer = 32 << 10
	// pairBytes is less than the shortest call and its return take in a file.
	pairBytes = 100
)

// survey counts the lines and bytes behind those that were read, if the source
// can go back. It refuses what is over a limit, and makes room for the
// operations otherwise.
func (d *decoder) survey() error {
	s, ok := d.source.(io.Seeker)
	if !ok {
		return nil
	}
	here, unseekable := s.Seek(0, io.SeekCurrent)
	if unseekable != nil {
		return nil // a pipe: refused when the limit is crossed
	}
	ahead, err := d.r.Peek(d.r.Buffered())
	if err != nil {
		return fmt.Errorf("read history: %w", err)
	}
	lines, size := d.line, d.bytes
	buf := make([]byte, surveyBuffer)
	for {
		within := ahead[:min(int64(len(ahead)), d.limits.Bytes-size)]
		lines += bytes.Count(within, []byte{'\n'})
		size += int64(len(within))
		if lines > d.limits.Lines {
			return d.limits.tooManyLines()
		}
		if len(within) < len(ahead) {
			return d.limits.tooManyBytes(lines + 1)
		}
		n, err := d.source.Read(buf)
		if n == 0 && errors.Is(err, io.EOF) {
			break
		}
		if n == 0 && err != nil {
			return fmt.Errorf("read history: %w", err)
		}
		ahead = buf[:n]
	}
	if _, err := s.Seek(here, io.SeekStart); err != nil {
		return fmt.Errorf("read history: go back to byte %d: %w", here, err)
	}
	d.ops.reserve(int(min(int64(d.limits.Operations), int64(lines/2), size/pairBytes)))
	return nil
}
