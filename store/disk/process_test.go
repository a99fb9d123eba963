package disk_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
)

// A child is this test binary in another process, in the role that an
// environment variable names.
const roleVariable = "KELPIE_DISK_TEST_ROLE"

// roles are what a child can do; each gets its arguments and returns what goes
// wrong.
var roles = map[string]func(args []string, out io.Writer) error{
	"hold":   holdDirectory,
	"commit": commitForEver,
	"open":   openOnce,
}

func TestMain(m *testing.M) {
	role, ok := roles[os.Getenv(roleVariable)]
	if !ok {
		os.Exit(m.Run())
	}
	if err := role(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stdout, "error:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// child is a running child process.
type child struct {
	*exec.Cmd
	lines *bufio.Scanner
	stdin io.WriteCloser
}

func command(t *testing.T, role string, args ...string) *exec.Cmd {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(binary, args...)
	c.Env = append(os.Environ(), roleVariable+"="+role)
	c.Stderr = os.Stderr
	return c
}

// start starts a child. It is killed at the end of the test, if it still runs.
func start(t *testing.T, c *exec.Cmd) *child {
	t.Helper()
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := &child{c, bufio.NewScanner(out), in}
	t.Cleanup(func() { ended.kill() })
	return ended
}

// line returns the next line of the child's output.
func (c *child) line(t *testing.T) string {
	t.Helper()
	if !c.lines.Scan() {
		t.Fatalf("the child has nothing more to say: %v", c.lines.Err())
	}
	return c.lines.Text()
}

// kill ends the child as kill -9 does. It does nothing to one that was killed.
func (c *child) kill() {
	if c.ProcessState == nil {
		_ = c.Process.Kill() // it may have ended by itself
		_ = c.Wait()         // says that it was killed
	}
}
