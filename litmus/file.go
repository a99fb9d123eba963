package litmus

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// maxLine bounds a line of a file, in bytes.
const maxLine = 1 << 20

// Writer writes a file: the header, the programs' lines, and the end mark
//
//	# end programs=1000 lines=41210
type Writer struct {
	w        io.Writer
	programs uint64
	lines    uint64
}

// NewWriter begins a file.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	_, err := io.WriteString(w, h.String()+"\n")
	return &Writer{w: w}, err
}

// Program writes the lines of the next program.
func (w *Writer) Program(lines []byte) error {
	w.programs++
	for _, c := range lines {
		if c == '\n' {
			w.lines++
		}
	}
	_, err := w.w.Write(lines)
	return err
}

// End writes the end mark.
func (w *Writer) End() error {
	_, err := io.WriteString(w.w, endMark(w.programs, w.lines)+"\n")
	return err
}

// Lines returns how many lines were written for programs.
func (w *Writer) Lines() uint64 { return w.lines }

func endMark(programs, lines uint64) string {
	return fmt.Sprintf("# end programs=%d lines=%d", programs, lines)
}

// Reader reads a file, program by program.
type Reader struct {
	Header Header

	lines   *bufio.Scanner
	next    string // the line to read next
	pending bool
	seed    uint64 // of the next program
	read    uint64 // programs
	counted uint64 // lines
	ended   bool
}

// NewReader reads the header of a file. Its errors, and those of Next, wrap
// ErrFormat unless reading itself failed.
func NewReader(r io.Reader) (*Reader, error) {
	f := &Reader{lines: bufio.NewScanner(r)}
	f.lines.Buffer(make([]byte, 0, 1<<16), maxLine)
	f.lines.Split(wholeLines)
	line, err := f.line()
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: it is empty", ErrFormat)
	}
	if err != nil {
		return nil, err
	}
	if f.Header, err = ParseHeader(line); err != nil {
		return nil, err
	}
	f.seed = f.Header.From
	return f, nil
}

var errNoLineEnd = fmt.Errorf("%w: it ends in the middle of a line", ErrFormat)

// wholeLines splits at line ends. Unlike bufio.ScanLines it takes nothing for
// one that a [Writer] does not write.
func wholeLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	i := bytes.IndexByte(data, '\n')
	switch {
	case i >= 0:
		return i + 1, data[:i], nil
	case atEOF && len(data) > 0:
		return 0, nil, errNoLineEnd
	default:
		return 0, nil, nil
	}
}

// line returns the next line, or io.EOF.
func (f *Reader) line() (string, error) {
	if f.pending {
		f.pending = false
		return f.next, nil
	}
	if f.lines.Scan() {
		return f.lines.Text(), nil
	}
	switch err := f.lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return "", fmt.Errorf("%w: a line of over %d bytes", ErrFormat, maxLine)
	case err != nil:
		return "", err
	default:
		return "", io.EOF
	}
}

// Next returns the seed and the lines of the next program; after the last one,
// and the end mark behind it, io.EOF.
func (f *Reader) Next() (seed uint64, lines []string, err error) {
	for {
		line, err := f.line()
		switch {
		case errors.Is(err, io.EOF) && f.ended:
			return 0, nil, io.EOF
		case errors.Is(err, io.EOF):
			return 0, nil, fmt.Errorf("%w: it ends in the middle, after %d of %d programs", ErrFormat, f.read, f.programs())
		case err != nil:
			return 0, nil, err
		case f.ended:
			return 0, nil, fmt.Errorf("%w: something stands behind the end mark", ErrFormat)
		case strings.HasPrefix(line, "#"):
			if len(lines) > 0 {
				return f.finish(lines, line)
			}
			if err := f.end(line); err != nil {
				return 0, nil, err
			}
			continue
		}
		seed, step, err := place(line)
		if err != nil {
			return 0, nil, err
		}
		if len(lines) > 0 && seed == f.seed+1 && step == 1 {
			return f.finish(lines, line)
		}
		if seed != f.seed || step != len(lines)+1 || f.read == f.programs() {
			return 0, nil, fmt.Errorf("%w: a line of seed %d, step %d, where seed %d, step %d was due", ErrFormat, seed, step, f.seed, len(lines)+1)
		}
		lines = append(lines, line)
	}
}

// programs returns how many programs the header promises.
func (f *Reader) programs() uint64 { return f.Header.To - f.Header.From + 1 }

// finish returns a program that the line behind it ended.
func (f *Reader) finish(lines []string, behind string) (uint64, []string, error) {
	f.next, f.pending = behind, true
	f.seed++
	f.read++
	f.counted += uint64(len(lines))
	return f.seed - 1, lines, nil
}

// end checks the end mark.
func (f *Reader) end(line string) error {
	if want := endMark(f.programs(), f.counted); line != want || f.read != f.programs() {
		return fmt.Errorf("%w: after %d of %d programs stands %.100q", ErrFormat, f.read, f.programs(), line)
	}
	f.ended = true
	return nil
}

// place returns the seed and the step of a line.
func place(line string) (seed uint64, step int, err error) {
	first, rest, _ := strings.Cut(line, " ")
	second, rest, _ := strings.Cut(rest, " ")
	seed, err1 := strconv.ParseUint(first, 10, 64)
	step, err2 := strconv.Atoi(second)
	if err1 != nil || err2 != nil || rest == "" || strconv.FormatUint(seed, 10) != first || strconv.Itoa(step) != second {
		return 0, 0, fmt.Errorf("%w: no line of a program: %.100q", ErrFormat, line)
	}
	return seed, step, nil
}
