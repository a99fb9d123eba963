package daemon

import (
	"encoding/json"
	"net/http"
	"os"
	"runtime"
	"runtime/metrics"
	"time"

	"github.com/kelpie-registry/kelpie/cmd/internal/build"
	"github.com/kelpie-registry/kelpie/store/remote"
)

// endpoints serves what is asked of kelpied itself, by GET and HEAD. None of it
// reads a body, or calls the store.
func (p *process) endpoints() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "alive") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if reason := p.readiness.get(); reason != "" {
			answer(w, http.StatusServiceUnavailable, "not ready: "+reason)
			return
		}
		answer(w, http.StatusOK, "ready")
	})
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, p.about()) })
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, r *http.Request) {
		if p.authorize != nil {
			if err := p.authorize(r); err != nil {
				w.Header().Set("WWW-Authenticate", "Bearer")
				answer(w, http.StatusUnauthorized, err.Error())
				return
			}
		}
		server := p.server.Load()
		if server == nil {
			answer(w, http.StatusServiceUnavailable, "not ready: "+p.readiness.get())
			return
		}
		answerJSON(w, p.stats(server))
	})
	return mux
}

func answer(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n"))
}

func answerJSON(w http.ResponseWriter, document any) {
	b, err := json.MarshalIndent(document, "", "  ")
	if err != nil { // of numbers and strings
		panic(err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write(append(b, '\n'))
}

// about is what /version says.
type about struct {
	Version  string   `json:"version"`
	Revision string   `json:"revision,omitempty"` // of the repository that it was built from
	Modified bool     `json:"modified,omitempty"` // it was not quite that
	Go       string   `json:"go"`
	Store    string   `json:"store"`
	Protocol protocol `json:"protocol"`
}

// protocol are the first and the last version that are spoken.
type protocol struct {
	Min int `json:"min"`
	Max int `json:"max"`
}

func (p *process) about() about {
	b := build.This()
	a := about{Version: version(), Revision: b.Revision, Modified: b.Modified, Go: b.Go, Store: p.flags.store}
	a.Protocol.Min, a.Protocol.Max = remote.Versions()
	return a
}

// stats is what /stats says. Counts are since the start.
type stats struct {
	UptimeSeconds float64 `json:"uptime_seconds"`

	Clients      int    `json:"clients"`
	Transactions int    `json:"transactions"` // under way
	Bytes        int    `json:"bytes"`        // that they hold
	Watches      int    `json:"watches"`
	Copies       uint64 `json:"copies"`
	Strangers    uint64 `json:"strangers"`
	Expired      uint64 `json:"expired"`

	Connections     int    `json:"connections"`
	InFlight        int    `json:"in_flight"`
	Served          uint64 `json:"served"`
	Failed          uint64 `json:"failed"`
	Unauthenticated uint64 `json:"unauthenticated"`
	Busy            uint64 `json:"busy"`
	TooLarge        uint64 `json:"too_large"`
	Broken          uint64 `json:"broken"`
	Nowhere         uint64 `json:"nowhere"`
	Evicted         uint64 `json:"evicted"`

	HeapBytes   uint64 `json:"heap_bytes"`   // of objects, live or not yet collected
	MemoryBytes uint64 `json:"memory_bytes"` // that the Go runtime has mapped
	Goroutines  int    `json:"goroutines"`
	Descriptors int    `json:"descriptors"` // open; -1: the system does not say
}

func (p *process) stats(server *remote.Server) stats {
	s := stats{UptimeSeconds: time.Since(p.begun).Seconds(), Goroutines: runtime.NumGoroutine(), Descriptors: -1}
	st := server.Stats()
	s.Clients, s.Transactions, s.Bytes, s.Watches = st.Clients, st.Txns, st.Bytes, st.Watches
	s.Copies, s.Strangers, s.Expired = st.Copies, st.Strangers, st.Expired
	n := p.net.Stats()
	s.Connections, s.InFlight, s.Served, s.Failed = n.Connections, n.InFlight, n.Served, n.Failed
	s.Unauthenticated, s.Busy, s.TooLarge = n.Unauthenticated, n.Busy, n.TooLarge
	s.Broken, s.Nowhere, s.Evicted = n.Broken, n.Nowhere, n.Evicted
	samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/total:bytes"}}
	metrics.Read(samples)
	s.HeapBytes, s.MemoryBytes = samples[0].Value.Uint64(), samples[1].Value.Uint64()
	if open, err := os.ReadDir("/proc/self/fd"); err == nil {
		s.Descriptors = len(open) - 1 // one of them was for this
	}
	return s
}
