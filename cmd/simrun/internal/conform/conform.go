// Package conform runs litmus programs on several workers and writes their lines
// in the order of the seeds.
package conform

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/kelpie-registry/kelpie/litmus"
)

// Options of a run.
type Options struct {
	Header  litmus.Header
	Open    func() (litmus.Store, error) // one store for each worker
	Workers int                          // 1 or more
	// Out receives the file; nil: nobody does.
	Out io.Writer
	// Tick, when not nil, is called after each program.
	Tick func()
}

// Result says what was written.
type Result struct {
	Programs uint64 `json:"programs"`
	Lines    uint64 `json:"lines"`
	Bytes    uint64 `json:"bytes"`
	SHA256   string `json:"sha256"` // of the file, in hexadecimal
}

// ErrOpen: the store cannot be opened.
var ErrOpen = errors.New("the store cannot be opened")

// Bounds of a run.
const (
	chunkPrograms = 64 // taken by a worker at a time, at most
	chunksAhead   = 4  // for each worker: finished ones wait for those before them
	maxTries      = 20 // of a program with which something interfered
)

// chunk is some programs, one behind the other.
type chunk struct {
	from, n uint64
	lines   [][]byte
	err     error
	done    chan struct{}
}

// Run runs the programs that the header names and writes the file. It stops at
// the first error and when ctx ends; what was written by then is no whole file.
// Its error wraps [ErrOpen] when nothing was written.
func Run(ctx context.Context, o Options) (res Result, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	var workers sync.WaitGroup
	stores := make([]litmus.Store, 0, o.Workers)
	defer func() {
		stop(nil)
		workers.Wait()
		for _, s := range stores {
			err = errors.Join(err, s.Close())
		}
	}()
	for range o.Workers {
		s, err := o.Open()
		if err != nil {
			return res, fmt.Errorf("%w: %w", ErrOpen, err)
		}
		stores = append(stores, s)
	}
	work := make(chan *chunk)
	inOrder := make(chan *chunk, chunksAhead*o.Workers)
	for _, s := range stores {
		workers.Go(func() {
			for c := range work {
				c.lines, c.err = programs(ctx, o.Header.Generation, s, c)
				close(c.done)
			}
		})
	}
	workers.Go(func() {
		defer close(work)
		defer close(inOrder)
		deal(ctx, o.Header, o.Workers, work, inOrder)
	})
	return write(ctx, o, inOrder)
}

// chunkOf returns how many of n programs a worker takes at a time: so few that
// each has some, since a program may take a real store seconds.
func chunkOf(n uint64, workers int) uint64 {
	return min(max(n/uint64(2*workers), 1), chunkPrograms)
}

// deal cuts the seeds into chunks and hands them out.
func deal(ctx context.Context, h litmus.Header, workers int, work, inOrder chan<- *chunk) {
	size := chunkOf(h.To-h.From+1, workers)
	for from := h.From; from <= h.To; {
		c := &chunk{from: from, n: min(size, h.To-from+1), done: make(chan struct{})}
		from += c.n
		select {
		case inOrder <- c:
		case <-ctx.Done():
			return
		}
		select {
		case work <- c:
		case <-ctx.Done():
			return
		}
	}
}

// programs runs the programs of a chunk.
func programs(ctx context.Context, g litmus.Generation, s litmus.Store, c *chunk) ([][]byte, error) {
	all := make([][]byte, 0, c.n)
	for i := range c.n {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		lines, err := program(litmus.Generate(g, c.from+i), s)
		if err != nil {
			return nil, fmt.Errorf("seed %d: %w", c.from+i, err)
		}
		all = append(all, lines)
	}
	return all, nil
}

// program runs a program, again when something interfered with it.
func program(p *litmus.Program, s litmus.Store) (lines []byte, err error) {
	for range maxTries {
		lines, err = s.Run(p, nil)
		if !errors.Is(err, litmus.ErrInterfered) {
			break
		}
	}
	return lines, err
}

// write writes the chunks in their order.
func write(ctx context.Context, o Options, inOrder <-chan *chunk) (Result, error) {
	var res Result
	sum := sha256.New()
	counted := &counter{w: sum}
	if o.Out != nil {
		counted.w = io.MultiWriter(sum, o.Out)
	}
	w, err := litmus.NewWriter(counted, o.Header)
	if err != nil {
		return res, err
	}
	for c := range inOrder {
		select {
		case <-c.done:
		case <-ctx.Done():
			return res, context.Cause(ctx)
		}
		if c.err != nil {
			return res, c.err
		}
		for _, lines := range c.lines {
			if err := w.Program(lines); err != nil {
				return res, err
			}
			res.Programs++
			if o.Tick != nil {
				o.Tick()
			}
		}
	}
	if err := context.Cause(ctx); err != nil {
		return res, err
	}
	if err := w.End(); err != nil {
		return res, err
	}
	res.Lines, res.Bytes, res.SHA256 = w.Lines(), counted.n, hex.EncodeToString(sum.Sum(nil))
	return res, nil
}

// counter counts what is written.
type counter struct {
	w io.Writer
	n uint64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += uint64(n)
	return n, err
}
