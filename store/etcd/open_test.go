package etcd_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/etcd"
	"github.com/kelpie-registry/kelpie/store/etcd/embedded"
)

func TestBadOptionsAreNamed(t *testing.T) {
	good := []string{"localhost:2379"}
	for _, tc := range []struct {
		field string
		o     etcd.Options
	}{
		{"Endpoints", etcd.Options{}},
		{"Endpoints", etcd.Options{Endpoints: make([]string, 101)}},
		{"Endpoints", etcd.Options{Endpoints: []string{""}}},
		{"Endpoints", etcd.Options{Endpoints: []string{"localhost"}}},
		{"Endpoints", etcd.Options{Endpoints: []string{"localhost:"}}},
		{"Endpoints", etcd.Options{Endpoints: []string{":2379"}}},
		{"Endpoints", etcd.Options{Endpoints: []string{"localhost:http"}}},
		{"Endpoints", etcd.Options{Endpoints: []string{"localhost:65536"}}},
		{"Endpoints", etcd.Options{Endpoints: []string{"http://localhost:2379/path"}}},
		{"Endpoints", etcd.Options{Endpoints: []string{"ftp://localhost:2379"}}},
		{"Endpoints", etcd.Options{Endpoints: []string{"https://localhost:2379"}}},
		{"Endpoints", etcd.Options{Endpoints: []string{"unix://"}}},
		{"Namespace", etcd.Options{Endpoints: good, Namespace: strings.Repeat("n", 129)}},
		{"Namespace", etcd.Options{Endpoints: good, Namespace: "a\x00b"}},
		{"DialTimeout", etcd.Options{Endpoints: good, DialTimeout: time.Millisecond}},
		{"DialTimeout", etcd.Options{Endpoints: good, DialTimeout: -1}},
		{"DialTimeout", etcd.Options{Endpoints: good, DialTimeout: time.Hour}},
		{"Username", etcd.Options{Endpoints: good, Username: "u"}},
		{"Password", etcd.Options{Endpoints: good, Password: "p"}},
		{"MaxTxnOps", etcd.Options{Endpoints: good, MaxTxnOps: 15}},
		{"MaxTxnOps", etcd.Options{Endpoints: good, MaxTxnOps: 1_000_001}},
		{"MaxRequestBytes", etcd.Options{Endpoints: good, MaxRequestBytes: 1000}},
		{"Window", etcd.Options{Endpoints: good, Window: time.Millisecond}},
		{"Window", etcd.Options{Endpoints: good, Window: 25 * time.Hour}},
		{"RangeRows", etcd.Options{Endpoints: good, RangeRows: -1}},
		{"RangeRows", etcd.Options{Endpoints: good, RangeRows: 100_001}},
		{"Remember", etcd.Options{Endpoints: good, Remember: 10_000_001}},
		{"MaxWatches", etcd.Options{Endpoints: good, MaxWatches: -5}},
	} {
		e, err := etcd.Open(t.Context(), tc.o)
		if err == nil {
			t.Errorf("%s: opened with %+v", tc.field, tc.o)
			_ = e.Close()
			continue
		}
		if !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), "Options."+tc.field) {
			t.Errorf("error %q, want one that wraps %v and names Options.%s", err, store.ErrInvalid, tc.field)
		}
	}
}

// silent accepts connections and never says a word.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// closed is an address where nobody listens.
func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return l.Addr().String()
}

func TestWhatIsNoClusterIsRefusedInTime(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	modern := httptest.NewUnstartedServer(http.NotFoundHandler())
	modern.EnableHTTP2 = true
	modern.StartTLS()
	t.Cleanup(modern.Close)
	for name, o := range map[string]etcd.Options{
		"a web server":            {Endpoints: []string{web.URL}},
		"a web server over TLS":   {Endpoints: []string{modern.URL}, TLS: &tls.Config{InsecureSkipVerify: true}},
		"an unknown certificate":  {Endpoints: []string{modern.URL}, TLS: &tls.Config{}},
		"nobody":                  {Endpoints: []string{closed(t)}},
		"somebody who is silent":  {Endpoints: []string{silent(t)}},
		"a name that no one has":  {Endpoints: []string{"no-such-host.invalid:2379"}},
		"with a user, and nobody": {Endpoints: []string{closed(t)}, Username: "u", Password: "p"},
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

func TestOneMemberThatAnswersIsEnough(t *testing.T) {
	o := fresh(t)
	o.Endpoints = append([]string{closed(t), silent(t)}, o.Endpoints[0])
	e := open(t, o)
	set(t, e, "k", "v")
	if v := read(t, e, "k"); v != "v" {
		t.Errorf("read %q", v)
	}
}

func TestAClusterWithAuthentication(t *testing.T) {
	cluster, err := embedded.Start(t.Context(), embedded.Options{Members: 1, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Close(); err != nil {
			t.Error(err)
		}
	})
	admin, err := clientv3.New(clientv3.Config{Endpoints: cluster.Endpoints(), DialTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	ctx := t.Context()
	grant := clientv3.PermissionType(clientv3.PermReadWrite)
	for _, do := range []func() error{
		func() error { _, err := admin.UserAdd(ctx, "root", "secret"); return err },
		func() error { _, err := admin.UserGrantRole(ctx, "root", "root"); return err },
		func() error { _, err := admin.RoleAdd(ctx, "registry"); return err },
		func() error {
			_, err := admin.RoleGrantPermission(ctx, "registry", "mine\x00", "mine\x01", grant)
			return err
		},
		func() error { _, err := admin.UserAdd(ctx, "registry", "pw"); return err },
		func() error { _, err := admin.UserGrantRole(ctx, "registry", "registry"); return err },
		func() error { _, err := admin.AuthEnable(ctx); return err },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
	o := etcd.Options{
		Endpoints: cluster.Endpoints(), Namespace: "mine", Username: "registry", Password: "pw",
		DialTimeout: time.Minute, // to check a password takes long on purpose
	}
	e := open(t, o)
	set(t, e, "k", "v")
	if v := read(t, e, "k"); v != "v" {
		t.Errorf("read %q", v)
	}
	for name, change := range map[string]func(*etcd.Options){
		"a wrong password":      func(o *etcd.Options) { o.Password = "guess" },
		"no user":               func(o *etcd.Options) { o.Username, o.Password = "", "" },
		"somebody else's range": func(o *etcd.Options) { o.Namespace = "theirs" },
	} {
		bad := o
		change(&bad)
		e, err := etcd.Open(context.Background(), bad)
		if err == nil {
			_ = e.Close()
			t.Errorf("%s: opened", name)
			continue
		}
		if store.Retryable(err) {
			t.Errorf("%s: error %v, which promises that another try may help", name, err)
		}
	}
}

func TestTransactionsOverTheClustersLimits(t *testing.T) {
	cluster, err := embedded.Start(t.Context(), embedded.Options{Members: 1, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Close(); err != nil {
			t.Error(err)
		}
	})
	e := open(t, etcd.Options{Endpoints: cluster.Endpoints()})
	optimist := open(t, etcd.Options{Endpoints: cluster.Endpoints(), MaxTxnOps: bigTxnOps, MaxRequestBytes: bigRequestBytes})
	keys := func(n, size int) func(tx store.Txn) error {
		return func(tx store.Txn) error {
			for i := range n {
				tx.Set([]byte{byte(i >> 8), byte(i)}, make([]byte, size))
			}
			return nil
		}
	}
	reads := func(n int) func(tx store.Txn) error {
		return func(tx store.Txn) error {
			for i := range n {
				if _, err := tx.Get([]byte{byte(i >> 8), byte(i)}); err != nil {
					return err
				}
			}
			tx.Set([]byte("k"), nil)
			return nil
		}
	}
	for _, write := range []bool{false, true} {
		_, err := newDB(t, e).Transact(t.Context(), func(tx store.Tx) error {
			for i := range 200 {
				if _, err := tx.Get([]byte{'r', byte(i)}); err != nil {
					return err
				}
			}
			if write {
				tx.Set([]byte("k"), nil)
			}
			return nil
		})
		if write != errors.Is(err, store.ErrTooLarge) || (!write && err != nil) {
			t.Errorf("200 guessed reads, and a write %v: %v", write, err)
		}
	}
	for _, tc := range []struct {
		name  string
		fill  func(tx store.Txn) error
		limit string // in the error; "" when it fits
	}{
		{"many writes", keys(128, 10), ""},
		{"too many writes", keys(129, 10), "MaxTxnOps"},
		{"many reads", reads(126), ""},
		{"too many reads", reads(127), "MaxTxnOps"},
		{"many bytes", keys(15, 100_000), ""},
		{"too many bytes", keys(16, 100_000), "MaxRequestBytes"},
	} {
		for who, e := range map[string]*etcd.Engine{"told": e, "not told": optimist} {
			tx := e.Begin(t.Context())
			err := tc.fill(tx)
			if err == nil {
				err = tx.Commit()
			}
			tx.Cancel()
			switch {
			case tc.limit == "" && err != nil:
				t.Errorf("%s, %s: %v", tc.name, who, err)
			case tc.limit != "" && (!errors.Is(err, store.ErrTooLarge) || !strings.Contains(err.Error(), tc.limit)):
				t.Errorf("%s, %s: error %v, want %v that names Options.%s", tc.name, who, err, store.ErrTooLarge, tc.limit)
			}
		}
	}
}
