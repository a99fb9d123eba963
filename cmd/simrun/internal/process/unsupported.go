//go:build !linux

// Package process runs other processes on this machine, kills them and freezes them.
// It needs Linux.
package process

import (
	"context"
	"errors"
	"io"
)

var errUnsupported = errors.New("process: needs Linux")

// Supported reports whether processes can be run here.
func Supported() error { return errUnsupported }

// ErrExited: the process has ended.
var ErrExited = errors.New("process: it has ended")

// Options of [Start].
type Options struct {
	Name, Path string
	Args       []string
	Stderr     string
}

// Usage is what a process has of the machine.
type Usage struct {
	Memory      uint64 // resident, in bytes
	Descriptors int    // open
}

// Process cannot be had.
type Process struct{}

// Start fails.
func Start(Options) (*Process, error) { return nil, errUnsupported }

// PID is 0.
func (*Process) PID() int { return 0 }

// Exited is nil.
func (*Process) Exited() <-chan struct{} { return nil }

// Failure says why.
func (*Process) Failure() error { return errUnsupported }

// Line fails.
func (*Process) Line(context.Context) (string, error) { return "", errUnsupported }

// Say fails.
func (*Process) Say(string) error { return errUnsupported }

// Kill fails.
func (*Process) Kill() error { return errUnsupported }

// Wait fails.
func (*Process) Wait(context.Context) error { return errUnsupported }

// Freeze fails.
func (*Process) Freeze(context.Context) error { return errUnsupported }

// Thaw fails.
func (*Process) Thaw() error { return errUnsupported }

// Usage fails.
func (*Process) Usage() (Usage, error) { return Usage{}, errUnsupported }

// Orphan returns at once.
func Orphan(io.Reader, func(string)) {}
