package daemon

import (
	"encoding/json"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/kelpie-registry/kelpie/network/httpnet"
)

func TestEndpoints(t *testing.T) {
	r := begin(t, "--data", t.TempDir(), "--token-file", tokenFile(t, token))
	if err := r.connect(send(token)).set(t.Context(), "k", "v"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path   string
		header []string
		status int
		body   string
	}{
		{"/healthz", nil, 200, "alive\n"},
		{"/readyz", nil, 200, "ready\n"},
		{"/stats", nil, 401, "a bearer token is needed"},
		{"/stats", []string{"Authorization", "Bearer " + token + "x"}, 401, "none of those"},
		{"/stats", []string{"Authorization", "Bearer " + token}, 200, `"clients": 1,`},
		{"/", nil, 404, "not found"},
		{"/metrics", nil, 404, "not found"},
		{"/kelpie/kelpie.store.hello", nil, 401, "a bearer token is needed"},
		{"/kelpie/kelpie.store.hello", []string{"Authorization", "Bearer " + token}, 405, "only POST"},
	} {
		if status, body := r.get(c.path, c.header...); status != c.status || !strings.Contains(body, c.body) {
			t.Errorf("%s: status %d, want %d, body %q, want %q", c.path, status, c.status, body, c.body)
		}
	}
	resp, err := http.Post("http://"+string(r.address)+"/healthz", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST /healthz: status %d", resp.StatusCode)
	}
}

func TestVersionEndpoint(t *testing.T) {
	r := begin(t, "--data", t.TempDir())
	status, body := r.get("/version")
	var a about
	if err := json.Unmarshal([]byte(body), &a); err != nil || status != 200 {
		t.Fatalf("status %d, error %v: %s", status, err, body)
	}
	if a.Version == "" || a.Go != runtime.Version() || a.Store != "disk" || a.Protocol.Min < 1 || a.Protocol.Max < a.Protocol.Min {
		t.Errorf("it says %+v", a)
	}
}

func TestStatsCountWhatHappened(t *testing.T) {
	r := begin(t, "--data", t.TempDir())
	node := r.connect(httpnet.Options{})
	for range 3 {
		if err := node.set(t.Context(), "k", "v"); err != nil {
			t.Fatal(err)
		}
	}
	_ = r.raw("nonsense\r\n\r\n", false)
	r.log.await(t, "a request's header")
	status, body := r.get("/stats")
	var s stats
	if err := json.Unmarshal([]byte(body), &s); err != nil || status != 200 {
		t.Fatalf("status %d, error %v: %s", status, err, body)
	}
	if s.Clients != 1 || s.Served < 4 || s.Broken != 1 || s.Connections < 1 || s.UptimeSeconds <= 0 || s.HeapBytes == 0 ||
		s.MemoryBytes < s.HeapBytes || s.Goroutines < 1 || s.Descriptors == 0 {
		t.Errorf("it says %s", body)
	}
	if runtime.GOOS == "linux" && s.Descriptors < 5 {
		t.Errorf("%d descriptors", s.Descriptors)
	}
}
