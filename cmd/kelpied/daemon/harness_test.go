package daemon

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/network"
	"github.com/kelpie-registry/kelpie/network/credentials"
	"github.com/kelpie-registry/kelpie/network/credentials/credentialstest"
	"github.com/kelpie-registry/kelpie/network/httpnet"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/remote"
)

// childVariable makes this test binary be kelpied, with its own arguments, or one
// whose commits hang.
const childVariable = "KELPIED_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childVariable) {
	case "":
		os.Exit(m.Run())
	case "hangs":
		os.Exit(untilSignals(func(ctx context.Context) int { return serveHanging(ctx, os.Stdout, os.Stderr) }))
	default:
		os.Exit(Run(os.Args[1:], os.Stdout, os.Stderr))
	}
}

// text is what several goroutines write and a test reads.
type text struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *text) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *text) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// await waits until the text has a part, which is all that a test waits for.
func (l *text) await(t *testing.T, part string) {
	t.Helper()
	for !strings.Contains(l.String(), part) {
		if t.Context().Err() != nil {
			t.Fatalf("it does not say %q:\n%s", part, l)
		}
		time.Sleep(time.Millisecond)
	}
}

// running is a kelpied.
type running struct {
	t       *testing.T
	address network.Address
	log     *text
	stop    context.CancelFunc // has it end in order
	code    chan int
	cmd     *exec.Cmd // nil: it is in this process
}

// begin runs a kelpied in this process, on a free port of loopback.
func begin(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	r := &running{t: t, log: &text{}, stop: stop, code: make(chan int, 1)}
	out, in := io.Pipe()
	go func() {
		r.code <- Main(ctx, append([]string{"--listen", "127.0.0.1:0"}, args...), in, r.log)
		_ = in.Close()
	}()
	r.announced(out)
	t.Cleanup(func() {
		stop()
		_, _ = io.Copy(io.Discard, out) // until it has ended
	})
	return r
}

// beginChild runs a kelpied in a process of its own, which is killed with the test.
func beginChild(t *testing.T, args ...string) *running {
	t.Helper()
	return beginRole(t, "kelpied", args...)
}

// beginRole is beginChild for what childVariable says.
func beginRole(t *testing.T, role string, args ...string) *running {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := &running{t: t, log: &text{}, code: make(chan int, 1)}
	r.cmd = exec.Command(binary, append([]string{"--listen", "127.0.0.1:0"}, args...)...)
	r.cmd.Env = append(os.Environ(), childVariable+"="+role)
	r.cmd.Stderr = r.log
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.stop = func() { _ = r.cmd.Process.Signal(syscall.SIGTERM) }
	r.announced(out)
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, out)
		_ = r.cmd.Wait()
		r.code <- r.cmd.ProcessState.ExitCode()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		<-ended
	})
	return r
}

// announced reads the address.
func (r *running) announced(out io.Reader) {
	r.t.Helper()
	line, err := bufio.NewReader(out).ReadString('\n')
	address, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), Announcement)
	if err != nil || !ok {
		r.t.Fatalf("it announced %q, error %v, and ended:\n%s", line, err, r.log)
	}
	r.address = network.Address(address)
}

// end has it end in order, and returns its exit code.
func (r *running) end() int {
	r.stop()
	return <-r.code
}

// get asks one of its endpoints.
func (r *running) get(path string, header ...string) (status int, body string) {
	r.t.Helper()
	status, body, err := get("http://"+string(r.address)+path, header...)
	if err != nil {
		r.t.Fatal(err)
	}
	return status, body
}

func get(url string, header ...string) (status int, body string, err error) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// client is a node, as far as kelpied knows one.
type client struct {
	net    *httpnet.Net
	engine *remote.Engine
	db     *store.DB
}

// connect returns a client, which ends with the test.
func (r *running) connect(o httpnet.Options) *client {
	r.t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c := &client{}
	h := &host.System{}
	var err error
	if c.net, err = httpnet.New(o); err == nil {
		h, err = host.NewSystem(host.SystemOptions{Network: c.net})
	}
	if err == nil {
		c.engine, err = remote.Open(h, remote.Options{Servers: []network.Address{r.address}})
	}
	if err == nil {
		c.db, err = store.Open(c.engine, h, h.Rand(), store.Options{})
	}
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		_ = c.engine.Close()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = c.net.Close(ctx)
		_ = h.Close(context.Background())
	})
	return c
}

// set gives a key a value.
func (c *client) set(ctx context.Context, key, value string) error {
	_, err := c.db.Transact(ctx, func(tx store.Tx) error {
		tx.Set([]byte(key), []byte(value))
		return nil
	})
	return err
}

// dump returns all that is in the store, as text.
func (c *client) dump(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	err := c.db.Read(t.Context(), func(r store.Reader) error {
		b.Reset()
		begin := []byte{}
		for more := true; more; {
			var rows []store.KeyValue
			var err error
			if rows, more, err = r.GetRange(begin, []byte{0xff}, store.RangeOptions{}); err != nil {
				return err
			}
			for _, kv := range rows {
				fmt.Fprintf(&b, "%q %q\n", kv.Key, kv.Value)
				begin = append(kv.Key, 0)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// refused runs a kelpied that does not start, and returns its exit code and what it
// said.
func refused(t *testing.T, args ...string) (int, string) {
	t.Helper()
	var out, log text
	code := Main(t.Context(), args, &out, &log)
	if out.String() != "" {
		t.Errorf("it announced %q", &out)
	}
	return code, log.String()
}

// tokenFile writes a file of tokens.
func tokenFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "tokens")
	credentialstest.Write(name, 0o600, []byte(text))
	return name
}

// send returns an option that sends a token.
func send(token string) httpnet.Options {
	return httpnet.Options{Token: func(network.Address) (string, error) { return token, nil }}
}

func certificates(t *testing.T, files credentials.CertificateFiles) *credentials.Certificates {
	t.Helper()
	c, err := credentials.OpenCertificates(files, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// read reads a key, and does not try again.
func read(ctx context.Context, c *client) error {
	tx := c.engine.Begin(ctx)
	defer tx.Cancel()
	_, err := tx.Get([]byte("k"))
	return err
}
