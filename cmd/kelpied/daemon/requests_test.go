package daemon

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/network"
)

const token = "a-token-that-all-the-tests-know"

// raw sends text and returns all that comes back until the server closes, which is
// asked to by half, when hangUp says so, or does so itself.
func (r *running) raw(text string, hangUp bool) string {
	r.t.Helper()
	c, err := net.Dial("tcp", string(r.address))
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, text); err == nil && hangUp {
		_ = c.(*net.TCPConn).CloseWrite()
	}
	b, _ := io.ReadAll(c) // a reset after the answer is no matter
	return string(b)
}

// post prints a request with the token.
func post(method, body string, headers ...string) string {
	return fmt.Sprintf("POST /kelpie/%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer %s\r\n%s\r\n%s",
		method, token, strings.Join(append(headers, ""), "\r\n"), body)
}

// whole prints a request with its length.
func whole(method, body string) string {
	return post(method, body, fmt.Sprintf("Content-Length: %d", len(body)))
}

func u16(n uint16) string { return string(binary.BigEndian.AppendUint16(nil, n)) }

// bad are requests that must change nothing.
var bad = []struct {
	name, text string
	hangUp     bool
	slow       bool   // the server is to lose its patience
	answer     string // has this; empty: there is none
	log        string
}{
	{name: "not HTTP", text: "\x16\x03\x01 what\r\n\r\n", answer: "400 Bad Request", log: "a request's header was malformed"},
	{name: "a header that is cut off", text: "POST /kelpie/kelpie.store.v1.com", hangUp: true, answer: "400 Bad Request", log: "a request's header was malformed"},
	{name: "a header that is too large", text: "GET /" + strings.Repeat("x", 1<<16), answer: "431 Request Header", log: "a request's header was malformed"},
	{name: "many headers", text: "GET / HTTP/1.1\r\n" + strings.Repeat("X: y\r\n", 1<<14), answer: "431 Request Header", log: "a request's header was malformed"},
	{name: "a header that is slow", text: "POST /kelpie/kelpie.store.v1.commit HTTP/1.1\r\nHost: x\r\n", slow: true, answer: "", log: "a request's header was malformed"},
	{name: "nothing", text: "", slow: true, answer: ""},

	{name: "no token", text: "POST /kelpie/kelpie.store.hello HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n" + u16(1) + u16(1), answer: "401 Unauthorized", log: "unauthenticated"},
	{name: "another token", text: strings.Replace(whole("kelpie.store.hello", u16(1)+u16(1)), token, token+"x", 1), answer: "the token is none of those", log: "unauthenticated"},
	{name: "a password", text: strings.Replace(whole("kelpie.store.hello", u16(1)+u16(1)), "Bearer", "Basic", 1), answer: "one bearer token is needed", log: "unauthenticated"},
	{name: "two tokens", text: post("kelpie.store.hello", "", "Authorization: Bearer "+token), answer: "one bearer token is needed", log: "unauthenticated"},
	{name: "no token, and a body without end", text: "POST /kelpie/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nabc", answer: "401 Unauthorized", log: "unauthenticated"},

	{name: "a body that is too large", text: post("kelpie.store.v1.commit", "x", "Content-Length: 1000000000"), answer: "413 Request Entity Too Large", log: "over the limit"},
	{name: "chunks that are too large", text: post("kelpie.store.v1.commit", "FFFFFF\r\n"+strings.Repeat("x", 1<<20), "Transfer-Encoding: chunked"), answer: "413 Request Entity Too Large", log: "over the limit"},
	{name: "a body that is cut off", text: post("kelpie.store.v1.commit", "abc", "Content-Length: 10"), hangUp: true, answer: "400 Bad Request", log: "a request's body was malformed"},
	{name: "a body that is slow", text: post("kelpie.store.v1.commit", "abc", "Content-Length: 10"), slow: true, answer: "", log: "a request's body was malformed"},

	{name: "an empty hello", text: whole("kelpie.store.hello", ""), answer: "500 Internal Server Error", log: "a handler failed"},
	{name: "an empty commit", text: whole("kelpie.store.v1.commit", ""), answer: "Kelpie-Result: error", log: "a handler failed"},
	{name: "a commit of zeros", text: whole("kelpie.store.v1.commit", strings.Repeat("\x00", 100)), answer: "Kelpie-Result: error", log: "a handler failed"},
	{name: "a commit that promises much", text: whole("kelpie.store.v1.commit", strings.Repeat("\xff", 100)), answer: "Kelpie-Result: error", log: "a handler failed"},
	{name: "a read of noise", text: whole("kelpie.store.v1.read", strings.Repeat("\x01\x80", 500)), answer: "Kelpie-Result: error", log: "a handler failed"},
	// Well formed, and of a client that this boot never had.
	{name: "a commit of a stranger", text: whole("kelpie.store.v1.commit", strings.Repeat("\x00", 7)+"\x05"+strings.Repeat("\x00", 7)+"\x01"+u16(0)+u16(0)+
		strings.Repeat("\x00", 7)+"\x01"+"\x00\x00\x00\x01"+strings.Repeat("\x00", 7)+"\x01"+"\x00\x00\x00\x01"+"\x00\x00\x00\x00\x01k\x00\x00\x00\x01v"), answer: "does not know the client"},

	{name: "a hello of the future", text: whole("kelpie.store.hello", u16(900)+u16(999)), answer: "Kelpie-Result: ok"},
	{name: "a commit of the future", text: whole("kelpie.store.v900.commit", "abc"), answer: `nobody serves method "kelpie.store.v900.commit"`, log: "for nobody here"},
	{name: "HTTP of the future", text: "POST /kelpie/kelpie.store.hello HTTP/9.0\r\nHost: x\r\n\r\n", answer: "505 HTTP Version Not Supported", log: "a request's header was malformed"},
	{name: "HTTP/2", text: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", answer: "400 Bad Request", log: "for nobody here"},

	{name: "another method of HTTP", text: strings.Replace(whole("kelpie.store.hello", "abcd"), "POST", "PUT", 1), answer: "405 Method Not Allowed", log: "for nobody here"},
	{name: "another path", text: strings.Replace(whole("kelpie.store.hello", "abcd"), "/kelpie/", "/kelpies/", 1), answer: "404 Not Found", log: "for nobody here"},
	{name: "stats without a token", text: "GET /stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", answer: "401 Unauthorized", log: "unauthenticated"},
}

func TestBadRequestsGetAClearAnswerAndChangeNothing(t *testing.T) {
	patient := []string{"--header-timeout", "1m", "--body-timeout", "1m"}
	impatient := []string{"--header-timeout", "100ms", "--body-timeout", "100ms"}
	for _, c := range bad {
		t.Run(c.name, func(t *testing.T) {
			times := patient
			if c.slow {
				times = impatient
			}
			r := begin(t, append(times, "--data", t.TempDir(), "--token-file", tokenFile(t, token))...)
			node := r.connect(send(token))
			if err := node.set(t.Context(), "k", "before"); err != nil {
				t.Fatal(err)
			}
			answer := r.raw(c.text, c.hangUp)
			if !strings.Contains(answer, c.answer) || (c.answer == "" && !c.slow && answer != "") || (c.name == "nothing" && answer != "") {
				t.Errorf("the answer is %q, want %q", answer, c.answer)
			}
			if strings.Contains(answer, token) || strings.Contains(r.log.String(), token) {
				t.Errorf("a token is told: answer %q, log\n%s", answer, r.log)
			}
			if c.log != "" {
				r.log.await(t, c.log)
			}
			if got := node.dump(t); got != "\"k\" \"before\"\n" {
				t.Errorf("the store has %s", got)
			}
			if strings.Contains(r.log.String(), "panic") {
				t.Errorf("the log:\n%s", r.log)
			}
		})
	}
}

// A hello of the future learns which versions there are, and gets no place.
func TestAHelloOfTheFutureLearnsTheVersions(t *testing.T) {
	r := begin(t, "--data", t.TempDir(), "--token-file", tokenFile(t, token))
	head, body, _ := strings.Cut(r.raw(whole("kelpie.store.hello", u16(900)+u16(999)), false), "\r\n\r\n")
	if !strings.Contains(head, "200 OK") || !strings.HasPrefix(body, "\x00"+u16(1)+u16(1)) {
		t.Errorf("the answer is %q and %q", head, body)
	}
	if _, stats := r.get("/stats", "Authorization", "Bearer "+token); !strings.Contains(stats, `"clients": 0,`) {
		t.Errorf("it got a place: %s", stats)
	}
}

func TestBadRequestsDoNotFillTheMemoryOrTheLog(t *testing.T) {
	r := begin(t, "--data", t.TempDir(), "--token-file", tokenFile(t, token))
	all := func(rounds int) {
		for range rounds {
			var wg sync.WaitGroup
			for _, c := range bad {
				if !c.slow {
					wg.Go(func() { _ = r.raw(c.text, c.hangUp) })
				}
			}
			wg.Wait()
		}
	}
	begun := time.Now()
	all(3)
	before, goroutines, lines := heap(), runtime.NumGoroutine(), strings.Count(r.log.String(), "\n")
	all(30)
	if grown := heap() - before; grown > 8<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	for runtime.NumGoroutine() > goroutines+5 {
		if t.Context().Err() != nil {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), goroutines)
		}
		time.Sleep(time.Millisecond)
	}
	// Eleven kinds of lines, ten of each a minute.
	if n := strings.Count(r.log.String(), "\n") - lines; n > 110*(1+int(time.Since(begun)/time.Minute)) {
		t.Errorf("%d lines more in the log", n)
	}
}

// heap returns what is in use after a collection, in bytes.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) + int64(m.StackInuse)
}

// recorder passes connections on to a kelpied, and keeps what goes there.
type recorder struct {
	address network.Address
	mu      sync.Mutex
	streams []*bytes.Buffer // one for each connection
}

func record(t *testing.T, to network.Address) *recorder {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	rec := &recorder{address: network.Address(listener.Addr().String())}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", string(to))
			if err != nil {
				_ = in.Close()
				continue
			}
			stream := &bytes.Buffer{}
			rec.mu.Lock()
			rec.streams = append(rec.streams, stream)
			rec.mu.Unlock()
			wg.Go(func() {
				_, _ = io.Copy(&shared{&rec.mu, stream}, io.TeeReader(in, out))
				_ = out.Close()
			})
			wg.Go(func() {
				_, _ = io.Copy(in, out)
				_ = in.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		wg.Wait()
	})
	return rec
}

// shared writes under a lock.
type shared struct {
	mu *sync.Mutex
	w  io.Writer
}

func (s *shared) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(b)
}

// replay sends all that was recorded once more.
func (rec *recorder) replay(r *running) (answers string) {
	rec.mu.Lock()
	var texts []string
	for _, s := range rec.streams {
		texts = append(texts, s.String())
	}
	rec.mu.Unlock()
	for _, text := range texts {
		answers += r.raw(text, true)
	}
	return answers
}

// Somebody who has read the connection of a node sends again what it sent, to the
// same boot and to the next one.
func TestReplayedRequestsChangeNothing(t *testing.T) {
	folder, tokens := t.TempDir(), tokenFile(t, token)
	r := begin(t, "--data", folder, "--token-file", tokens)
	rec := record(t, r.address)
	recorded := (&running{t: t, address: rec.address}).connect(send(token))
	for _, value := range []string{"first", "second", "third"} {
		if err := recorded.set(t.Context(), "k", value); err != nil {
			t.Fatal(err)
		}
	}
	node := r.connect(send(token))
	if err := node.set(t.Context(), "k", "last"); err != nil {
		t.Fatal(err)
	}
	if answers := rec.replay(r); strings.Count(answers, "Kelpie-Result: ok") < 4 {
		t.Errorf("the requests did not get as far as to be judged: %q", answers)
	}
	if got := node.dump(t); got != "\"k\" \"last\"\n" {
		t.Errorf("the store has %s", got)
	}
	if _, stats := r.get("/stats", "Authorization", "Bearer "+token); !strings.Contains(stats, `"copies": 3,`) {
		t.Errorf("the copies were not recognised: %s", stats)
	}
	r.end()

	r = begin(t, "--data", folder, "--token-file", tokens)
	if answers := rec.replay(r); !strings.Contains(answers, "does not know the client") {
		t.Errorf("the answers of the next boot: %q", answers)
	}
	if got := r.connect(send(token)).dump(t); got != "\"k\" \"last\"\n" {
		t.Errorf("the store has %s", got)
	}
}

// Ten thousand connections that never say a word come to a kelpied with its default
// limits, in a process of its own, with TLS or without a handshake, as the system's
// limits let them.
func TestTenThousandIdleConnectionsAreBorne(t *testing.T) {
	const total = 10_000
	r := beginChild(t, "--data", t.TempDir(), "--token-file", tokenFile(t, token), "--header-timeout", "1h")
	begun := time.Now()
	node := r.connect(send(token))
	memory := func() (heapBytes int64) {
		t.Helper()
		status, body := r.get("/stats", "Authorization", "Bearer "+token)
		if _, err := fmt.Sscanf(body[strings.Index(body, `"memory_bytes"`):], `"memory_bytes": %d`, &heapBytes); status != http.StatusOK || err != nil {
			t.Fatalf("status %d, error %v: %s", status, err, body)
		}
		return heapBytes
	}
	most := total
	if limit := descriptors(); limit != 0 {
		most = min(most, int(limit)-500) // of the connections that are held at a time
	}
	if most < 500 {
		t.Fatalf("the process may have %d descriptors: too few for this test", descriptors())
	}
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	connect := func(n int) {
		t.Helper()
		for range n {
			if len(conns) == most {
				_ = conns[0].Close()
				conns = conns[1:]
			}
			c, err := net.Dial("tcp", string(r.address))
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, c)
		}
		if err := node.set(t.Context(), "k", "v"); err != nil {
			t.Fatal(err)
		}
		if status, body := r.get("/readyz"); status != http.StatusOK {
			t.Errorf("status %d: %s", status, body)
		}
	}
	connect(total / 2) // over the limit of 4096
	before := memory()
	for range 5 {
		connect(total / 10)
	}
	if grown := memory() - before; grown > 32<<20 {
		t.Errorf("the process has grown by %d bytes", grown)
	}
	if err := r.connect(send(token)).set(t.Context(), "k", "new"); err != nil {
		t.Errorf("a new client: %v", err)
	}
	if n := strings.Count(r.log.String(), "made room"); n < 1 || n > 10*(1+int(time.Since(begun)/time.Minute)) {
		t.Errorf("%d lines about connections that made room:\n%s", n, r.log)
	}
	r.stop()
	if code := <-r.code; code != ExitClean {
		t.Errorf("exit code %d:\n%s", code, r.log)
	}
}
