package command

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/atomicfile"
	"github.com/kelpie-registry/kelpie/faults"
	"github.com/kelpie-registry/kelpie/linearizability"
)

// open opens the file, or standard input for "-".
func (a *app) open(path string) (io.ReadCloser, error) {
	if path == "-" {
		if f, ok := a.stdin.(*os.File); ok {
			return f, nil // itself, since a file that was redirected can seek
		}
		return io.NopCloser(a.stdin), nil
	}
	return os.Open(path)
}

// readPlan reads a fault plan.
func (a *app) readPlan(path string) (*faults.Plan, error) {
	r, err := a.open(path)
	if err != nil {
		return nil, fmt.Errorf("--plan: %w", err)
	}
	defer func() { _ = r.Close() }() // it is only read
	p, err := faults.Read(r)
	if err != nil {
		return nil, fmt.Errorf("--plan %s: %w", path, err)
	}
	return &p, nil
}

// drawPicture writes porcupine's page of a history, with notes on it.
func drawPicture(path string, h *linearizability.History, o linearizability.Options, notes ...linearizability.Note) error {
	err := atomicfile.Write(path, func(w io.Writer) error { return linearizability.WritePicture(w, h, o, notes...) })
	if err != nil {
		return fmt.Errorf("--picture: %w", err)
	}
	return nil
}

// quoted returns s as a word for a shell.
func quoted(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+=:,@%"
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
