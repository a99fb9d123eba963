package proxy

import (
	"bufio"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// echo is a server that answers each line with itself, and tells the lines.
func echo(t *testing.T) (address string, lines <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	heard := make(chan string, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for {
					line, err := r.ReadString('\n')
					if err != nil {
						return
					}
					heard <- line
					if _, err := io.WriteString(c, line); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String(), heard
}

func listen(t *testing.T, to string) *Proxy {
	t.Helper()
	p, err := Listen(to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// client is one connection of a node.
type client struct {
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, p *Proxy) client {
	t.Helper()
	c, err := net.Dial("tcp", p.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return client{c, bufio.NewReader(c)}
}

// unanswered demands that a new connection fails, or brings nothing.
func unanswered(t *testing.T, p *Proxy) {
	t.Helper()
	c, err := net.Dial("tcp", p.Address())
	if err != nil {
		return
	}
	defer c.Close()
	if got, err := (client{c, bufio.NewReader(c)}).say("x\n"); err == nil {
		t.Errorf("a new connection answers %q", got)
	}
}

// say sends a line and returns the answer.
func (c client) say(line string) (string, error) {
	if _, err := io.WriteString(c, line); err != nil {
		return "", err
	}
	return c.r.ReadString('\n')
}

func TestPassCutAndPassAgain(t *testing.T) {
	to, _ := echo(t)
	p := listen(t, to)
	c := dial(t, p)
	if got, err := c.say("a\n"); got != "a\n" {
		t.Fatalf("%q, %v", got, err)
	}
	p.Set(Cut, 0)
	if got, err := c.say("b\n"); err == nil {
		t.Errorf("a connection that was cut answers %q", got)
	}
	if got, err := dial(t, p).say("c\n"); got != "c\n" {
		t.Errorf("after the cut: %q, %v", got, err)
	}
	if _, cut := p.Stats(); cut != 1 {
		t.Errorf("%d connections were cut, want 1", cut)
	}
}

func TestRefuse(t *testing.T) {
	to, _ := echo(t)
	p := listen(t, to)
	c := dial(t, p)
	if _, err := c.say("a\n"); err != nil {
		t.Fatal(err)
	}
	p.Set(Refuse, 0)
	if got, err := c.say("b\n"); err == nil {
		t.Errorf("an old connection answers %q", got)
	}
	unanswered(t, p)
	p.Set(Pass, 0)
	if got, err := dial(t, p).say("c\n"); got != "c\n" {
		t.Errorf("afterwards: %q, %v", got, err)
	}
}

// silent reports that no answer comes in a while.
func silent(t *testing.T, c client) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if got, err := c.r.ReadString('\n'); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("an answer %q, error %v, want silence", got, err)
	}
}

func TestDropLosesRequestsAndDeafTheReplies(t *testing.T) {
	to, heard := echo(t)
	for _, mode := range []Mode{Drop, Deaf} {
		p := listen(t, to)
		c := dial(t, p)
		if got, err := c.say("before\n"); got != "before\n" {
			t.Fatalf("%q, %v", got, err)
		}
		<-heard
		p.Set(mode, 0)
		if _, err := io.WriteString(c, "x\n"); err != nil {
			t.Fatal(err)
		}
		if mode == Deaf {
			if got := <-heard; got != "x\n" {
				t.Errorf("the server heard %q", got)
			}
		}
		silent(t, c)
		if len(heard) > 0 {
			t.Errorf("%s: the server heard %q", mode, <-heard)
		}
		if dropped, _ := p.Stats(); dropped != 2 {
			t.Errorf("%s: %d bytes dropped, want 2", mode, dropped)
		}
		p.Set(Pass, 0)
		// What is lost is not followed by anything.
		if err := c.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		if got, err := c.r.ReadString('\n'); err == nil {
			t.Errorf("%s: afterwards the connection brings %q", mode, got)
		}
	}
}

func TestDelayAndSlowBringEverything(t *testing.T) {
	to, _ := echo(t)
	for _, mode := range []Mode{Delay, Slow} {
		p := listen(t, to)
		p.Set(mode, 20*time.Millisecond)
		c := dial(t, p)
		long := make([]byte, 3*slowBytes)
		for i := range long {
			long[i] = byte('a' + i%26)
		}
		began := time.Now()
		got, err := c.say(string(long) + "\n")
		if err != nil || got != string(long)+"\n" {
			t.Errorf("%s: %q, %v", mode, got, err)
		}
		if took := time.Since(began); took < 40*time.Millisecond {
			t.Errorf("%s: there and back in %v", mode, took)
		}
	}
}

func TestTheServerMayMove(t *testing.T) {
	first, _ := echo(t)
	p := listen(t, "127.0.0.1:1")
	unanswered(t, p)
	p.To(first)
	if got, err := dial(t, p).say("b\n"); got != "b\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestModesAreAll(t *testing.T) {
	if n := len(Modes()); n != 6 {
		t.Errorf("%d modes", n)
	}
}
