//go:build linux

package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary play the processes.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 {
		os.Exit(m.Run())
	}
	switch os.Args[1] {
	case "play-echo":
		fmt.Fprintln(os.Stdout, "hello")
		Orphan(os.Stdin, func(line string) {
			if line == "end" {
				os.Exit(0)
			}
			fmt.Fprintln(os.Stdout, line)
		})
	case "play-failure":
		fmt.Fprintln(os.Stderr, "it hurts")
		os.Exit(7)
	case "play-parent": // of a child that is frozen
		p, err := Start(Options{Name: "child", Path: os.Args[0], Args: []string{"play-echo"}, Stderr: os.Args[2]})
		if err == nil {
			err = p.Freeze(context.Background())
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Fprintln(os.Stdout, p.PID())
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n') // until it is killed
	default:
		os.Exit(m.Run())
	}
}

func start(t *testing.T, args ...string) *Process {
	t.Helper()
	p, err := Start(Options{Name: args[0], Path: os.Args[0], Args: args, Stderr: filepath.Join(t.TempDir(), "stderr")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func wantLine(t *testing.T, p *Process, want string) {
	t.Helper()
	if got, err := p.Line(t.Context()); got != want || err != nil {
		t.Fatalf("line %q, error %v, want %q", got, err, want)
	}
}

func TestAProcessIsHeardAndTold(t *testing.T) {
	p := start(t, "play-echo")
	wantLine(t, p, "hello")
	if err := p.Say("x"); err != nil {
		t.Fatal(err)
	}
	wantLine(t, p, "x")
	if u, err := p.Usage(); err != nil || u.Memory < 1<<20 || u.Descriptors < 3 {
		t.Errorf("%+v, %v", u, err)
	}
	if err := p.Say("end"); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestTheFailureOfAProcessIsQuoted(t *testing.T) {
	p := start(t, "play-failure")
	if _, err := p.Line(t.Context()); !errors.Is(err, ErrExited) || !strings.Contains(err.Error(), "it hurts") {
		t.Errorf("error %v", err)
	}
	if err := p.Wait(t.Context()); !errors.Is(err, ErrExited) || !strings.Contains(err.Error(), "exit status 7") {
		t.Errorf("error %v", err)
	}
}

func TestAFrozenProcessStandsStillUntilItIsThawedOrKilled(t *testing.T) {
	p := start(t, "play-echo")
	wantLine(t, p, "hello")
	if err := p.Freeze(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Say("x"); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if line, err := p.Line(short); err == nil {
		t.Errorf("it is frozen and says %q", line)
	}
	if err := p.Thaw(); err != nil {
		t.Fatal(err)
	}
	wantLine(t, p, "x")
	if err := p.Freeze(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := p.Freeze(t.Context()); err == nil {
		t.Error("what has been killed was frozen")
	}
}

// TestNoOrphanSurvives kills the parent of a frozen child.
func TestNoOrphanSurvives(t *testing.T) {
	parent := start(t, "play-parent", filepath.Join(t.TempDir(), "stderr"))
	line, err := parent.Line(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(child, 0); err != nil {
		t.Fatalf("the child is not there: %v", err)
	}
	if err := parent.Kill(); err != nil {
		t.Fatal(err)
	}
	for gone := false; !gone; time.Sleep(time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child))
		gone = err != nil || strings.Contains(string(stat), ") Z ") // of nobody who waits for it
	}
}

func TestAProgramThatIsNotThere(t *testing.T) {
	if _, err := Start(Options{Name: "none", Path: filepath.Join(t.TempDir(), "none"), Stderr: filepath.Join(t.TempDir(), "e")}); err == nil {
		t.Error("it was started")
	}
	if _, err := Start(Options{Name: "none", Path: os.Args[0], Stderr: filepath.Join(t.TempDir(), "no", "e")}); err == nil {
		t.Error("it was started without its file")
	}
}
