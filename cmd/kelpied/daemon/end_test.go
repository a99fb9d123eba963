package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/kelpie-registry/kelpie/network/httpnet"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/memory"
)

// load is writers, each with a key of its own whose value it raises.
type load struct {
	mu           sync.Mutex
	acknowledged map[string]int
	other        []error // neither of a server that ends, nor in doubt, nor after one in doubt
	stop         context.CancelFunc
	done         sync.WaitGroup
}

const writers = 8

// work begins a load on a kelpied.
func work(t *testing.T, r *running, life int) *load {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	l := &load{acknowledged: map[string]int{}, stop: stop}
	for i := range writers {
		node := r.connect(httpnet.Options{})
		key := fmt.Sprintf("life-%d-writer-%d", life, i)
		l.done.Go(func() {
			doubt := false
			for n := 1; ctx.Err() == nil; n++ {
				tx := node.engine.Begin(ctx)
				if n%2 == 0 {
					_, _ = tx.Get([]byte(key)) // a transaction of two requests
				}
				tx.Set([]byte(key), []byte(fmt.Sprint(n)))
				err := tx.Commit()
				tx.Cancel()
				l.mu.Lock()
				switch {
				case err == nil:
					l.acknowledged[key] = n
				case errors.Is(err, store.ErrCommitUnknown):
					doubt = true // and it may yet take effect, under a later transaction of this writer
				case !errors.Is(err, store.ErrUnavailable) && (!doubt || !errors.Is(err, store.ErrConflict)):
					l.other = append(l.other, err)
				}
				l.mu.Unlock()
			}
		})
	}
	return l
}

// await waits until each writer has had so many commits acknowledged.
func (l *load) await(n int) {
	for {
		l.mu.Lock()
		least := writers - len(l.acknowledged)
		enough := least == 0
		for _, has := range l.acknowledged {
			enough = enough && has >= n
		}
		l.mu.Unlock()
		if enough {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// end ends the load.
func (l *load) end(t *testing.T) {
	t.Helper()
	l.stop()
	l.done.Wait()
	for _, err := range l.other {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	}
}

// check demands that what was acknowledged is in the store. What was not may be.
func (l *load) check(t *testing.T, dump string) {
	t.Helper()
	has := map[string]int{}
	for line := range strings.Lines(dump) {
		var key, value string
		var n int
		if _, err := fmt.Sscanf(line, "%q %q", &key, &value); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if _, err := fmt.Sscan(value, &n); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		has[key] = n
	}
	for key, n := range l.acknowledged {
		if has[key] < n {
			t.Errorf("%s is %d, and %d was acknowledged", key, has[key], n)
		}
	}
}

func TestWhatWasAcknowledgedUnderLoadIsThereAfterAnEnd(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(r *running)
		code int
	}{
		{"in order", func(r *running) { r.stop() }, ExitClean},
		{"kill -9", func(r *running) { _ = r.cmd.Process.Kill() }, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			folder := t.TempDir()
			var loads []*load
			for life := range 4 {
				r := beginChild(t, "--data", folder)
				l := work(t, r, life)
				loads = append(loads, l)
				l.await(10)
				c.end(r)
				if code := <-r.code; code != c.code {
					t.Errorf("exit code %d, want %d:\n%s", code, c.code, r.log)
				}
				l.end(t)
				if c.code == ExitClean && !strings.Contains(r.log.String(), "ended in order") {
					t.Errorf("the log:\n%s", r.log)
				}
			}
			dump := begin(t, "--data", folder).connect(httpnet.Options{}).dump(t)
			for _, l := range loads {
				l.check(t, dump)
			}
		})
	}
}

// serveHanging serves a store whose commits hang. It says so in its log.
func serveHanging(ctx context.Context, stdout, stderr io.Writer) int {
	engine := newGated()
	engine.set(make(chan struct{}), nil)
	go func() {
		<-engine.held
		fmt.Fprintln(stderr, "a commit hangs")
	}()
	if err := processOver(engine, stderr, time.Hour).run(ctx, stdout); err != nil {
		return ExitFailed
	}
	return ExitClean
}

func TestTheSecondSignalEndsItAtOnce(t *testing.T) {
	r := beginRole(t, "hangs")
	node := r.connect(httpnet.Options{})
	go func() { _ = node.set(t.Context(), "k", "v") }()
	r.log.await(t, "a commit hangs")
	r.stop()
	r.log.await(t, "ending: told to")
	r.stop()
	if code := <-r.code; code != 128+int(syscall.SIGTERM) {
		t.Errorf("exit code %d:\n%s", code, r.log)
	}
}

func TestARequestThatDoesNotComeDoesNotKeepItFromEnding(t *testing.T) {
	r := begin(t, "--data", t.TempDir(), "--shutdown-timeout", "1h", "--header-timeout", "1h", "--body-timeout", "1h")
	for _, text := range []string{"POST /kel", whole("kelpie.store.hello", "abcd")[:100], post("kelpie.store.hello", "ab", "Content-Length: 4")} {
		if _, err := io.WriteString(dialed(t, r), text); err != nil {
			t.Fatal(err)
		}
	}
	if code := r.end(); code != ExitClean {
		t.Errorf("exit code %d:\n%s", code, r.log)
	}
}

// dialed is a connection to a kelpied.
func dialed(t *testing.T, r *running) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", string(r.address))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// gated is an engine whose commits wait, and whose reads fail, when a test says so.
type gated struct {
	store.Engine
	mu     sync.Mutex
	hold   chan struct{} // nil: commits do not wait
	held   chan struct{} // gets one for each commit that waits
	broken error
}

func newGated() *gated {
	return &gated{Engine: memory.New(memory.Options{}), held: make(chan struct{}, 100)}
}

func (g *gated) set(hold chan struct{}, broken error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hold, g.broken = hold, broken
}

func (g *gated) state() (chan struct{}, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.hold, g.broken
}

func (g *gated) Begin(ctx context.Context) store.Txn { return gatedTxn{g.Engine.Begin(ctx), g} }

type gatedTxn struct {
	store.Txn
	g *gated
}

func (x gatedTxn) Get(key []byte) ([]byte, error) {
	if _, err := x.g.state(); err != nil {
		return nil, err
	}
	return x.Txn.Get(key)
}

func (x gatedTxn) Commit() error {
	if hold, _ := x.g.state(); hold != nil {
		x.g.held <- struct{}{}
		<-hold
	}
	return x.Txn.Commit()
}

// processOver returns a process that serves an engine.
func processOver(engine store.Engine, log io.Writer, shutdown time.Duration) *process {
	var f flags
	f.define(pflag.NewFlagSet("", pflag.ContinueOnError))
	f.listen, f.data, f.shutdownTimeout = "127.0.0.1:0", "unused", shutdown
	p := newProcess(f, slog.New(slog.NewTextHandler(log, nil)))
	p.openStore = func(context.Context) (store.Engine, error) { return engine, nil }
	return p
}

// beginOver runs a process over an engine. Its end has an error in place of a code.
func beginOver(t *testing.T, engine store.Engine, shutdown time.Duration) (r *running, ended chan error) {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	r = &running{t: t, log: &text{}, stop: stop}
	p := processOver(engine, r.log, shutdown)
	out, in := io.Pipe()
	ended = make(chan error, 1)
	go func() {
		ended <- p.run(ctx, in)
		_ = in.Close()
	}()
	r.announced(out)
	t.Cleanup(func() {
		stop()
		_, _ = io.Copy(io.Discard, out)
	})
	return r, ended
}

func TestACommitUnderWayIsFinishedAndWhatIsNewIsRefused(t *testing.T) {
	engine := newGated()
	r, ended := beginOver(t, engine, time.Hour)
	node, idle := r.connect(httpnet.Options{}), r.connect(httpnet.Options{})
	if err := idle.set(t.Context(), "idle", "v"); err != nil {
		t.Fatal(err)
	}
	hold := make(chan struct{})
	engine.set(hold, nil)
	result := make(chan error, 1)
	go func() {
		tx := node.engine.Begin(t.Context())
		defer tx.Cancel()
		tx.Set([]byte("k"), []byte("v"))
		result <- tx.Commit()
	}()
	<-engine.held
	r.stop()
	for status, body := r.get("/readyz"); status != 503 || body != "not ready: it is about to end\n"; status, body = r.get("/readyz") {
		time.Sleep(time.Millisecond)
	}
	if status, _ := r.get("/healthz"); status != 200 {
		t.Errorf("/healthz: status %d", status)
	}
	for name, c := range map[string]*client{"a new client": r.connect(httpnet.Options{}), "a client that it has": idle} {
		tx := c.engine.Begin(t.Context())
		tx.Set([]byte("late"), []byte("v"))
		if err := tx.Commit(); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "about to end") {
			t.Errorf("%s: error %v", name, err)
		}
		tx.Cancel()
	}
	select {
	case err := <-ended:
		t.Fatalf("it ended with a commit under way, error %v", err)
	default:
	}
	close(hold)
	if err := <-result; err != nil {
		t.Errorf("the commit that was under way: %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v:\n%s", err, r.log)
	}
}

func TestACommitThatHangsEndsItWithAFailure(t *testing.T) {
	engine := newGated()
	r, ended := beginOver(t, engine, 50*time.Millisecond)
	node := r.connect(httpnet.Options{})
	hold := make(chan struct{})
	defer close(hold)
	engine.set(hold, nil)
	go func() { _ = node.set(t.Context(), "k", "v") }()
	<-engine.held
	r.stop()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "still under way after --shutdown-timeout, 50ms") {
		t.Errorf("it ended with %v", err)
	}
}

func TestReadinessFollowsTheStore(t *testing.T) {
	engine := newGated()
	r, ended := beginOver(t, engine, time.Second)
	await := func(want int, part string) {
		t.Helper()
		for status, body := r.get("/readyz"); status != want || !strings.Contains(body, part); status, body = r.get("/readyz") {
			time.Sleep(10 * time.Millisecond)
		}
		if status, _ := r.get("/healthz"); status != 200 {
			t.Errorf("/healthz: status %d", status)
		}
	}
	await(200, "ready")
	engine.set(nil, store.ErrUnavailable)
	await(503, "not ready: the store does not answer: store: unavailable")
	engine.set(nil, nil)
	await(200, "ready")
	for _, line := range []string{"not ready", "ready again"} {
		if n := strings.Count(r.log.String(), `msg="`+line+`"`); n != 1 {
			t.Errorf("%d lines %q:\n%s", n, line, r.log)
		}
	}
	engine.set(nil, fmt.Errorf("the disk is full: %w", store.ErrClosed))
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "the store has failed: the disk is full") {
		t.Errorf("it ended with %v", err)
	}
	r.log.await(t, "ending: failed")
}

func TestAStoreThatDoesNotComeBackWithAnAnswerIsNotReady(t *testing.T) {
	var r readiness
	r.set("")
	if reason := r.get(); reason != "" {
		t.Errorf("not ready: %s", reason)
	}
	r.since = time.Now().Add(-staleAfter - time.Second)
	if reason := r.get(); !strings.Contains(reason, "has not answered for 6s") {
		t.Errorf("not ready: %q", reason)
	}
	r.end("over")
	if r.set(""); r.get() != "over" {
		t.Error("it is ready after its end")
	}
}

func TestAStdoutThatIsClosedEndsIt(t *testing.T) {
	var log bytes.Buffer
	out, in := io.Pipe()
	_ = out.Close()
	if code := Main(t.Context(), []string{"--data", t.TempDir(), "--listen", "127.0.0.1:0"}, in, &log); code != ExitFailed {
		t.Errorf("exit code %d:\n%s", code, &log)
	}
}
