package etcd_test

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/etcd"
)

// says answers each connection with what write writes, and closes it.
func says(t *testing.T, write func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			write(c)
			c.Close()
		}
	}()
	return l.Addr().String()
}

// otherService is a gRPC server of another program.
func otherService(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	return l.Addr().String()
}

func TestStrangersAreRefusedInTime(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"etcdserver":"3.7.3"}`))
	}))
	t.Cleanup(api.Close)
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	noise := func(c net.Conn) {
		b := make([]byte, 4096)
		for i, r := range rand.New(rand.NewPCG(1, 1)).Perm(len(b)) {
			b[i] = byte(r)
		}
		_, _ = c.Write(b)
	}
	for name, o := range map[string]etcd.Options{
		"an API over HTTP/1.1":               {Endpoints: []string{api.URL}},
		"noise":                              {Endpoints: []string{says(t, noise)}},
		"a greeting":                         {Endpoints: []string{says(t, func(c net.Conn) { _, _ = c.Write([]byte("220 mail\r\n")) })}},
		"a connection that is closed":        {Endpoints: []string{says(t, func(net.Conn) {})}},
		"another gRPC service":               {Endpoints: []string{otherService(t)}},
		"TLS where none is expected":         {Endpoints: []string{strings.TrimPrefix(secure.URL, "https://")}},
		"a cluster without the expected TLS": {Endpoints: fresh(t).Endpoints, TLS: &tls.Config{InsecureSkipVerify: true}},
	} {
		t.Run(name, func(t *testing.T) {
			o.DialTimeout = 500 * time.Millisecond
			e, err := etcd.Open(t.Context(), o)
			if err == nil {
				_ = e.Close()
				t.Fatal("opened")
			}
			if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), o.Endpoints[0]) {
				t.Errorf("error %q, want one that wraps %v and names the endpoint", err, store.ErrUnavailable)
			}
		})
	}
}

// impostor speaks the protocol of etcd, and talks nonsense when told.
type impostor struct {
	etcdserverpb.UnimplementedKVServer
	etcdserverpb.UnimplementedMaintenanceServer
	cluster uint64
	spoil   atomic.Pointer[nonsense]
}

// nonsense is made of an answer that is right. What is nil leaves it so.
type nonsense struct {
	header   func(*etcdserverpb.ResponseHeader) *etcdserverpb.ResponseHeader
	rows     func(*etcdserverpb.RangeResponse)
	txn      func(*etcdserverpb.TxnResponse)
	harmless bool // to a commit
}

func (m *impostor) header() *etcdserverpb.ResponseHeader {
	h := &etcdserverpb.ResponseHeader{ClusterId: m.cluster, MemberId: 5, Revision: 7, RaftTerm: 2}
	if n := m.spoil.Load(); n != nil && n.header != nil {
		return n.header(h)
	}
	return h
}

// Status says that this member leads.
func (m *impostor) Status(context.Context, *etcdserverpb.StatusRequest) (*etcdserverpb.StatusResponse, error) {
	return &etcdserverpb.StatusResponse{Header: m.header(), Leader: 5}, nil
}

func (m *impostor) rows(r *etcdserverpb.RangeRequest) *etcdserverpb.RangeResponse {
	a := &etcdserverpb.RangeResponse{}
	if len(r.RangeEnd) == 0 {
		a.Kvs = []*mvccpb.KeyValue{{Key: r.Key, Value: make([]byte, 8), ModRevision: 1}}
	}
	if n := m.spoil.Load(); n != nil && n.rows != nil {
		n.rows(a)
	}
	return a
}

func (m *impostor) Range(_ context.Context, r *etcdserverpb.RangeRequest) (*etcdserverpb.RangeResponse, error) {
	a := m.rows(r)
	a.Header = m.header()
	return a, nil
}

func (m *impostor) Txn(_ context.Context, r *etcdserverpb.TxnRequest) (*etcdserverpb.TxnResponse, error) {
	a := &etcdserverpb.TxnResponse{Header: m.header(), Succeeded: true}
	for _, o := range r.Success {
		one := &etcdserverpb.ResponseOp{Response: &etcdserverpb.ResponseOp_ResponsePut{ResponsePut: &etcdserverpb.PutResponse{}}}
		if o.GetRequestRange() != nil {
			one.Response = &etcdserverpb.ResponseOp_ResponseRange{ResponseRange: m.rows(o.GetRequestRange())}
		}
		a.Responses = append(a.Responses, one)
	}
	if n := m.spoil.Load(); n != nil && n.txn != nil {
		n.txn(a)
	}
	return a, nil
}

// startImpostor serves on a free port until the test ends.
func startImpostor(t *testing.T, cluster uint64) (*impostor, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m, s := &impostor{cluster: cluster}, grpc.NewServer()
	etcdserverpb.RegisterKVServer(s, m)
	etcdserverpb.RegisterMaintenanceServer(s, m)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	return m, l.Addr().String()
}

func TestNonsenseIsNotBelieved(t *testing.T) {
	far := &mvccpb.KeyValue{Key: []byte("kelpie\x00dzzz\x00\x01"), Value: []byte{0}, ModRevision: 3}
	for name, n := range map[string]nonsense{
		"no header":          {header: func(*etcdserverpb.ResponseHeader) *etcdserverpb.ResponseHeader { return nil }},
		"no revision":        {header: func(h *etcdserverpb.ResponseHeader) *etcdserverpb.ResponseHeader { h.Revision = 0; return h }},
		"a revision below 0": {header: func(h *etcdserverpb.ResponseHeader) *etcdserverpb.ResponseHeader { h.Revision = -7; return h }},
		"another cluster":    {header: func(h *etcdserverpb.ResponseHeader) *etcdserverpb.ResponseHeader { h.ClusterId = 99; return h }},
		"more of nothing":    {harmless: true, rows: func(a *etcdserverpb.RangeResponse) { a.Kvs, a.More = nil, true }},
		"somebody's row":     {harmless: true, rows: func(a *etcdserverpb.RangeResponse) { a.Kvs = append(a.Kvs, far) }},
		"no answers": {txn: func(a *etcdserverpb.TxnResponse) { a.Responses = nil }, rows: func(a *etcdserverpb.RangeResponse) {
			a.More = true
			a.Kvs = nil
		}},
		"a refusal without a reason": {txn: func(a *etcdserverpb.TxnResponse) { a.Succeeded = false }, rows: func(a *etcdserverpb.RangeResponse) {
			a.Kvs = append(a.Kvs, far)
		}},
		"answers to something else": {
			txn: func(a *etcdserverpb.TxnResponse) {
				for i := range a.Responses {
					a.Responses[i] = &etcdserverpb.ResponseOp{}
				}
			},
			rows: func(a *etcdserverpb.RangeResponse) { a.Kvs = append(a.Kvs, far) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, address := startImpostor(t, 1)
			e := open(t, etcd.Options{Endpoints: []string{address}})
			m.spoil.Store(&n)
			for what, read := range map[string]func(store.Txn) error{
				"Get":    func(tx store.Txn) error { _, err := tx.Get([]byte("k")); return err },
				"GetAll": func(tx store.Txn) error { _, err := tx.GetAll([]byte("k"), []byte("l")); return err },
				"GetRange": func(tx store.Txn) error {
					_, _, err := tx.GetRange([]byte("a"), []byte("z"), store.RangeOptions{})
					return err
				},
				"GetRange in reverse": func(tx store.Txn) error {
					_, _, err := tx.GetRange([]byte("a"), []byte("z"), store.RangeOptions{Reverse: true})
					return err
				},
				"Confirm": func(tx store.Txn) error {
					g := tx.(store.Guesser)
					g.Guess()
					_, err := tx.Get([]byte("k"))
					return errors.Join(err, g.Confirm())
				},
			} {
				tx := e.Begin(t.Context())
				if err := read(tx); !errors.Is(err, store.ErrUnavailable) {
					t.Errorf("%s: error %v, want %v", what, err, store.ErrUnavailable)
				}
				tx.Cancel()
			}
			tx := e.Begin(t.Context())
			defer tx.Cancel()
			tx.Set([]byte("k"), nil)
			if err := tx.Commit(); errors.Is(err, store.ErrCommitUnknown) == n.harmless || (err == nil) != n.harmless {
				t.Errorf("Commit: error %v, want a doubt: %v", err, !n.harmless)
			}
		})
	}
}

// TestTheMembersOfTwoClustersAreToldApart has both answer in turn. What one of
// them says must not be held against what the other said.
func TestTheMembersOfTwoClustersAreToldApart(t *testing.T) {
	_, one := startImpostor(t, 1)
	_, other := startImpostor(t, 2)
	e, err := etcd.Open(t.Context(), etcd.Options{Endpoints: []string{one, other}})
	for range 10_000 { // Open itself may have met one of them only, and the way to the other take its time
		if err != nil {
			break
		}
		if err = clock.System().Sleep(t.Context(), time.Millisecond); err != nil {
			break
		}
		tx := e.Begin(t.Context())
		_, err = tx.Get([]byte("k"))
		tx.Cancel()
	}
	if e != nil {
		defer e.Close()
	}
	if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "several clusters") {
		t.Errorf("error %v, want %v that tells of several clusters", err, store.ErrUnavailable)
	}
}
