//go:build linux

// Package process runs other processes on this machine, kills them, freezes them and
// asks the kernel how they are. None survives the process that started it, frozen or
// not, whatever ends that one.
//
// It needs Linux: the death of a parent reaches a frozen child only there, and /proc
// says when a process stands still.
package process

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Supported reports whether processes can be run here.
func Supported() error { return nil }

// maxLines is how many lines of a process may be waiting to be read.
const maxLines = 1024

// tailBytes is how much of its standard error an error about a process quotes.
const tailBytes = 2000

// ErrExited: the process has ended.
var ErrExited = errors.New("process: it has ended")

// errNoStatus stands for exit code 0.
var errNoStatus = errors.New("exit status 0")

// Process is one process. It is safe for use from several goroutines.
type Process struct {
	name   string
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	lines  chan string
	stderr string        // file
	exited chan struct{} // closed when it has been waited for
	status error         // of Wait; to be read after exited
}

// Options of [Start].
type Options struct {
	Name   string   // in errors
	Path   string   // of the program
	Args   []string // without the program's name
	Stderr string   // file to which standard error is appended
}

// spawner runs functions on one thread that never ends: a child is told of the death
// of the thread that started it.
var spawner = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

// Start starts a process, in a group of its own: an interrupt from the keyboard is for
// this process only. Its standard input is for [Process.Say], and ends when this
// process does; its standard output for [Process.Line].
func Start(o Options) (*Process, error) {
	stderr, err := os.OpenFile(o.Stderr, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("process: %s: %w", o.Name, err)
	}
	defer func() { _ = stderr.Close() }() // the child has its own
	p := &Process{name: o.Name, stderr: o.Stderr, lines: make(chan string, maxLines), exited: make(chan struct{})}
	p.cmd = exec.Command(o.Path, o.Args...)
	p.cmd.Stderr = stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	stdout, err := p.cmd.StdoutPipe()
	if err == nil {
		p.stdin, err = p.cmd.StdinPipe()
	}
	if err == nil {
		started := make(chan error)
		spawner() <- func() { started <- p.cmd.Start() }
		err = <-started
	}
	if err != nil {
		return nil, fmt.Errorf("process: start %s: %w", o.Name, err)
	}
	go func() {
		s := bufio.NewScanner(stdout)
		for s.Scan() {
			select {
			case p.lines <- s.Text():
			default: // nobody reads them
			}
		}
		close(p.lines)
		p.status = p.cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// PID is the process's number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Exited is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Line returns the next line that the process prints. The error is that of ctx, or
// wraps [ErrExited] and quotes the end of what it wrote to its standard error.
func (p *Process) Line(ctx context.Context) (string, error) {
	select {
	case line, ok := <-p.lines:
		if ok {
			return line, nil
		}
	case <-ctx.Done():
		return "", fmt.Errorf("process: %s (%d) prints nothing: %w", p.name, p.PID(), ctx.Err())
	}
	<-p.exited
	return "", p.Failure()
}

// Failure describes the end of a process that was to go on. Call it after Exited.
func (p *Process) Failure() error {
	return fmt.Errorf("%w: %s (%d): %w: %s", ErrExited, p.name, p.PID(), cmp.Or(p.status, errNoStatus), p.tail())
}

// tail returns the end of the standard error.
func (p *Process) tail() string {
	b, err := os.ReadFile(p.stderr)
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(b[max(len(b)-tailBytes, 0):]))
}

// Say writes a line to the process's standard input.
func (p *Process) Say(line string) error {
	if _, err := io.WriteString(p.stdin, line+"\n"); err != nil {
		return fmt.Errorf("process: tell %s (%d) %q: %w", p.name, p.PID(), line, err)
	}
	return nil
}

// Kill ends the process as it stands, frozen or not, and waits for its end.
func (p *Process) Kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("process: kill %s (%d): %w", p.name, p.PID(), err)
	}
	<-p.exited
	return nil
}

// Wait waits for a process to end by itself, with exit code 0.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.exited:
	case <-ctx.Done():
		return fmt.Errorf("process: %s (%d) does not end: %w", p.name, p.PID(), ctx.Err())
	}
	if p.status != nil {
		return p.Failure()
	}
	return nil
}

// freezePoll is how often Freeze looks.
const freezePoll = time.Millisecond

// Freeze stops every thread of the process and returns when all stand still.
func (p *Process) Freeze(ctx context.Context) error {
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return fmt.Errorf("process: freeze %s (%d): %w", p.name, p.PID(), err)
	}
	for {
		still, err := p.still()
		if err != nil {
			return fmt.Errorf("process: freeze %s (%d): %w", p.name, p.PID(), err)
		}
		if still {
			return nil
		}
		select {
		case <-p.exited:
			return p.Failure()
		case <-ctx.Done():
			return fmt.Errorf("process: %s (%d) does not stand still: %w", p.name, p.PID(), ctx.Err())
		case <-time.After(freezePoll):
		}
	}
}

// still reports whether all threads are stopped.
func (p *Process) still() (bool, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.PID()))
	if err != nil {
		return false, err
	}
	for _, file := range threads {
		stat, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // a thread that has ended does nothing
		}
		if err != nil {
			return false, err
		}
		// PID (NAME) STATE …, and the name may hold anything.
		after := stat[bytes.LastIndexByte(stat, ')')+1:]
		if state := strings.Fields(string(after)); len(state) == 0 || state[0] != "T" {
			return false, nil
		}
	}
	return len(threads) > 0, nil
}

// Thaw lets a frozen process go on.
func (p *Process) Thaw() error {
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		return fmt.Errorf("process: thaw %s (%d): %w", p.name, p.PID(), err)
	}
	return nil
}

// Usage is what a process has of the machine.
type Usage struct {
	Memory      uint64 // resident, in bytes
	Descriptors int    // open
}

// Usage asks the kernel.
func (p *Process) Usage() (Usage, error) {
	var u Usage
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.PID()))
	if err != nil {
		return u, err
	}
	fields := strings.Fields(string(statm))
	if len(fields) < 2 {
		return u, fmt.Errorf("process: /proc/%d/statm is %q", p.PID(), statm)
	}
	pages, err := strconv.ParseUint(fields[1], 10, 64)
	if err != nil {
		return u, fmt.Errorf("process: /proc/%d/statm: %w", p.PID(), err)
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.PID()))
	if err != nil {
		return u, err
	}
	return Usage{Memory: pages * uint64(os.Getpagesize()), Descriptors: len(fds)}, nil
}

// Orphan ends this process when its standard input ends, which is when the one that
// started it does. It gives lines that it reads before that to heard, and does not
// return.
func Orphan(stdin io.Reader, heard func(line string)) {
	s := bufio.NewScanner(stdin)
	for s.Scan() {
		heard(s.Text())
	}
	os.Exit(exitOrphaned)
}

// exitOrphaned is seen by nobody but a debugger.
const exitOrphaned = 4
