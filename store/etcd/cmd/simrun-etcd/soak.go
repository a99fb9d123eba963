package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/cmd/simrun/command"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/etcd"
	"github.com/kelpie-registry/kelpie/store/etcd/embedded"
)

// flags of the store.
type flags struct {
	endpoints  []string
	crashEvery time.Duration
}

// soakStore is etcd for soak.
func soakStore() command.SoakStore {
	var f flags
	return command.SoakStore{
		Name: "etcd",
		Flags: func(fs *pflag.FlagSet) {
			fs.StringSliceVar(&f.endpoints, "etcd-endpoints", nil, "members of an etcd cluster, as `host:port,...` (default: a cluster of three inside this process)")
			fs.DurationVar(&f.crashEvery, "etcd-crash-every", 0, "stop a member of the cluster inside this process so often, and restart it (default: never)")
		},
		Open: f.open, Data: f.data, Serve: serve, Connect: connect, Through: through,
	}
}

// shared is how other processes reach a cluster.
type shared struct {
	Endpoints []string `json:"endpoints"`
	Namespace string   `json:"namespace"`
}

func (s shared) String() string {
	text, err := json.Marshal(&s)
	if err != nil { // of strings
		panic(err)
	}
	return string(text)
}

func connect(ctx context.Context, c clock.Clock, how string) (store.Engine, error) {
	var s shared
	if err := json.Unmarshal([]byte(how), &s); err != nil {
		return nil, fmt.Errorf("connect to etcd: %w", err)
	}
	return etcd.Open(ctx, etcd.Options{Endpoints: s.Endpoints, Namespace: s.Namespace, Clock: c})
}

// errNoWay: a proxy of a soak of many processes is reached by TCP.
var errNoWay = errors.New("--etcd-endpoints: with --processes each member must be host:port")

// through leads the connections to each member by way of another address. The client
// asks no member for the addresses of the others, and so stays there.
func through(how string, via func(string) (string, error)) (string, error) {
	var s shared
	if err := json.Unmarshal([]byte(how), &s); err != nil {
		return "", fmt.Errorf("lead connections to etcd elsewhere: %w", err)
	}
	for i, endpoint := range s.Endpoints {
		member := strings.TrimPrefix(endpoint, "http://")
		if strings.Contains(member, "://") {
			return "", fmt.Errorf("%w: %s", errNoWay, endpoint)
		}
		at, err := via(member)
		if err != nil {
			return "", err
		}
		s.Endpoints[i] = at
	}
	return s.String(), nil
}

// data is where a process of a soak of many has a cluster, unless there is one already.
func (f *flags) data() (folder string, remove func() error, err error) {
	if len(f.endpoints) > 0 {
		return "", nil, nil
	}
	if f.crashEvery != 0 {
		return "", nil, errors.New("--etcd-crash-every: with --processes the members are in a process of their own; use --kill")
	}
	if folder, err = os.MkdirTemp("", "kelpie-soak-etcd-"); err != nil {
		return "", nil, err
	}
	return folder, func() error { return os.RemoveAll(folder) }, nil
}

// serve runs a cluster until ctx ends, over what one that was killed has left.
func serve(ctx context.Context, folder string, ready func(string)) error {
	c, err := embedded.Start(ctx, embedded.Options{Dir: folder})
	if err != nil {
		return err
	}
	ready(shared{Endpoints: c.Endpoints(), Namespace: "soak"}.String())
	<-ctx.Done()
	return c.Close()
}

// cluster is a namespace of a cluster, and the cluster if it is ours.
type cluster struct {
	options  etcd.Options
	embedded *embedded.Cluster // nil when it is not ours
	cancel   context.CancelFunc
	crashing sync.WaitGroup

	mu      sync.Mutex
	engines []*etcd.Engine
	errs    []error // of the crashing
}

const minCrashEvery = 100 * time.Millisecond

func (f *flags) open(ctx context.Context, c clock.Clock) (command.Cluster, error) {
	switch {
	case f.crashEvery != 0 && len(f.endpoints) > 0:
		return nil, errors.New("--etcd-crash-every: only members inside this process can be stopped; leave out --etcd-endpoints")
	case f.crashEvery != 0 && f.crashEvery < minCrashEvery:
		return nil, fmt.Errorf("--etcd-crash-every is %v, must be at least %v", f.crashEvery, minCrashEvery)
	}
	k := &cluster{options: etcd.Options{Endpoints: f.endpoints, Namespace: "simrun-" + rand.Text(), Clock: c}}
	if len(f.endpoints) == 0 {
		var err error
		if k.embedded, err = embedded.Start(ctx, embedded.Options{}); err != nil {
			return nil, err
		}
		k.options.Endpoints = k.embedded.Endpoints()
	}
	first, err := etcd.Open(ctx, k.options)
	if err != nil {
		if k.embedded == nil {
			return nil, fmt.Errorf("--etcd-endpoints: %w", err)
		}
		return nil, errors.Join(err, k.embedded.Close())
	}
	k.engines = append(k.engines, first)
	var crashCtx context.Context
	crashCtx, k.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if f.crashEvery != 0 {
		k.crashing.Go(func() { k.crash(crashCtx, c, f.crashEvery) })
	}
	return k, nil
}

// crash stops a member every now and then, the leader as well as others, and
// restarts it half a period later.
func (k *cluster) crash(ctx context.Context, c clock.Clock, every time.Duration) {
	for victim := 0; c.Sleep(ctx, every/2) == nil; victim = (victim + 1) % len(k.options.Endpoints) {
		k.embedded.Stop(victim)
		_ = c.Sleep(ctx, every/2) // the member comes back in any case
		if err := k.embedded.Restart(context.WithoutCancel(ctx), victim); err != nil {
			k.mu.Lock()
			k.errs = append(k.errs, err)
			k.mu.Unlock()
			return
		}
	}
}

// Engine connects a node. Each has its own connection.
func (k *cluster) Engine(node int) (store.Engine, error) {
	if node == 0 {
		return k.engines[0], nil
	}
	e, err := etcd.Open(context.Background(), k.options)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.engines = append(k.engines, e)
	return e, nil
}

// Shared tells other processes how to reach it.
func (k *cluster) Shared() string {
	return shared{Endpoints: k.options.Endpoints, Namespace: k.options.Namespace}.String()
}

// Close removes what the soak left, and ends everything that it started.
func (k *cluster) Close() error {
	k.cancel()
	k.crashing.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	errs := k.errs
	for _, e := range k.engines {
		errs = append(errs, e.Close())
	}
	if k.embedded != nil {
		return errors.Join(append(errs, k.embedded.Close())...)
	}
	return errors.Join(append(errs, k.wipe())...)
}

const wipeTimeout = 10 * time.Second

// wipe removes the namespace.
func (k *cluster) wipe() error {
	client, err := clientv3.New(clientv3.Config{Endpoints: k.options.Endpoints, DialTimeout: wipeTimeout, Logger: zap.NewNop()})
	if err != nil {
		return fmt.Errorf("remove namespace %s: %w", k.options.Namespace, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), wipeTimeout)
	defer cancel()
	_, err = client.Delete(ctx, k.options.Namespace+"\x00", clientv3.WithPrefix())
	if err = errors.Join(err, client.Close()); err != nil {
		return fmt.Errorf("remove namespace %s: %w", k.options.Namespace, err)
	}
	return nil
}
