// Package embedded runs a whole etcd cluster inside the process, on the loopback
// interface: for tests, benchmarks and the soak, never for production. Its
// members can be stopped and restarted.
package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"google.golang.org/grpc"
)

// Options of a cluster. The zero value is three members as etcd configures
// them, in a temporary folder.
type Options struct {
	// Members is 1 to 7. Default: 3.
	Members int
	// Dir is the folder for the members' data, which Close leaves as it is. A cluster
	// that was there before comes back with its data, at its addresses, however it
	// ended. Default: a temporary one, which Close removes.
	Dir string
	// MaxTxnOps and MaxRequestBytes are the limits of the members. Default:
	// etcd's.
	MaxTxnOps, MaxRequestBytes int
	// Advertise is the address, as host:port, that every member names to a client which
	// asks for the members. Default: each its own.
	Advertise string
	// Heartbeat of the leader; elections start after ten without one. 10 ms to
	// 1 s. Default: 100 ms, as etcd's.
	Heartbeat time.Duration
	// NoSync leaves the members' writes to the operating system: they survive
	// the process, not the machine.
	NoSync bool
}

const (
	maxMembers   = 7
	startTimeout = 30 * time.Second // of all members

	// startAttempts bounds the sets of ports that are tried: between the choice
	// of a port and its use another process may take it.
	startAttempts = 5
)

// ErrOptions: a field of [Options] is out of its range.
var ErrOptions = errors.New("embedded: bad options")

// Cluster is a running cluster.
type Cluster struct {
	o       Options
	dir     string
	ownDir  bool
	members []*member

	mu sync.Mutex // one change at a time
}

// member is one member, which runs or not.
type member struct {
	name         string
	client, peer url.URL
	server       *embed.Etcd  // nil when it does not run
	rpc          *grpc.Server // for clients; nil before it is there
}

// Start starts a cluster and waits until it has a leader.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	if o.Members == 0 {
		o.Members = 3
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = 100 * time.Millisecond
	}
	if o.Members < 1 || o.Members > maxMembers {
		return nil, fmt.Errorf("%w: Members is %d, must be from 1 to %d", ErrOptions, o.Members, maxMembers)
	}
	if o.Heartbeat < 10*time.Millisecond || o.Heartbeat > time.Second {
		return nil, fmt.Errorf("%w: Heartbeat is %v, must be from 10ms to 1s", ErrOptions, o.Heartbeat)
	}
	var err error
	for range startAttempts {
		var c *Cluster
		if c, err = start(ctx, o); err == nil || ctx.Err() != nil {
			return c, err
		}
	}
	return nil, err
}

func start(ctx context.Context, o Options) (*Cluster, error) {
	c := &Cluster{o: o, dir: o.Dir}
	if c.dir == "" {
		dir, err := os.MkdirTemp("", "embedded-etcd-")
		if err != nil {
			return nil, fmt.Errorf("embedded: %w", err)
		}
		c.dir, c.ownDir = dir, true
	}
	fresh, err := c.place()
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	errs := make([]error, len(c.members))
	var starting sync.WaitGroup
	for i, m := range c.members {
		starting.Go(func() { errs[i] = c.run(ctx, m, embed.ClusterStateFlagNew) })
	}
	starting.Wait()
	if err := errors.Join(errs...); err != nil {
		if fresh { // others may do; a temporary folder is gone as a whole
			err = errors.Join(err, os.RemoveAll(filepath.Join(c.dir, addressesFile)))
		}
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// addressesFile holds the addresses of the members whose data lie beside it.
const addressesFile = "addresses.json"

// addresses are those of one member.
type addresses struct {
	Client string `json:"client"`
	Peer   string `json:"peer"`
}

// place gives each member the addresses that it had, or fresh ones.
func (c *Cluster) place() (fresh bool, err error) {
	file := filepath.Join(c.dir, addressesFile)
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return true, c.placeAnew(file)
	}
	var all []addresses
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err == nil && len(all) != c.o.Members {
		err = fmt.Errorf("%w: Members is %d, and in the folder are %d", ErrOptions, c.o.Members, len(all))
	}
	if err != nil {
		return false, fmt.Errorf("embedded: %s: %w", addressesFile, err)
	}
	at := func(host string) url.URL { return url.URL{Scheme: "http", Host: host} }
	for i, a := range all {
		c.members = append(c.members, &member{name: fmt.Sprintf("member-%d", i), client: at(a.Client), peer: at(a.Peer)})
	}
	return false, nil
}

// placeAnew gives each member free ports, and keeps them in the file.
func (c *Cluster) placeAnew(file string) error {
	var taken []net.Listener
	defer func() {
		for _, l := range taken {
			_ = l.Close() // it only held the port
		}
	}()
	port := func() (url.URL, error) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return url.URL{}, fmt.Errorf("embedded: no free port: %w", err)
		}
		taken = append(taken, l)
		return url.URL{Scheme: "http", Host: l.Addr().String()}, nil
	}
	for i := range c.o.Members {
		client, err := port()
		if err != nil {
			return err
		}
		peer, err := port()
		if err != nil {
			return err
		}
		c.members = append(c.members, &member{name: fmt.Sprintf("member-%d", i), client: client, peer: peer})
	}
	all := make([]addresses, 0, len(c.members))
	for _, m := range c.members {
		all = append(all, addresses{m.client.Host, m.peer.Host})
	}
	text, err := json.Marshal(all)
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("embedded: %w", err)
	}
	return nil
}

// run starts a member and waits until it serves.
func (c *Cluster) run(ctx context.Context, m *member, state string) error {
	cfg := embed.NewConfig()
	cfg.Name = m.name
	cfg.Dir = filepath.Join(c.dir, m.name)
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{m.client}, []url.URL{m.client}
	if c.o.Advertise != "" {
		cfg.AdvertiseClientUrls = []url.URL{{Scheme: "http", Host: c.o.Advertise}}
	}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{m.peer}, []url.URL{m.peer}
	cfg.InitialCluster = c.peers()
	cfg.ClusterState = state
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	cfg.TickMs = uint(c.o.Heartbeat.Milliseconds())
	cfg.ElectionMs = 10 * cfg.TickMs
	cfg.UnsafeNoFsync = c.o.NoSync
	cfg.AutoCompactionMode, cfg.AutoCompactionRetention = embed.CompactorModePeriodic, "5m"
	serving := make(chan *grpc.Server, 1) // a member has one address, and so one server
	cfg.ServiceRegister = func(s *grpc.Server) { serving <- s }
	cfg.GRPCAdditionalServerOptions = []grpc.ServerOption{grpc.WaitForHandlers(true)}
	if c.o.MaxTxnOps != 0 {
		cfg.MaxTxnOps = uint(c.o.MaxTxnOps)
	}
	if c.o.MaxRequestBytes != 0 {
		cfg.MaxRequestBytes = uint(c.o.MaxRequestBytes)
	}
	server, err := embed.StartEtcd(cfg)
	if err != nil {
		return fmt.Errorf("embedded: start %s: %w", m.name, err)
	}
	m.server, m.rpc = server, nil
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	select {
	case m.rpc = <-serving: // which it does once it is ready
		return nil
	case err := <-server.Err():
		return fmt.Errorf("embedded: start %s: %w", m.name, err)
	case <-timeout.C:
		return fmt.Errorf("embedded: start %s: not ready after %v", m.name, startTimeout)
	case <-ctx.Done():
		return fmt.Errorf("embedded: start %s: %w", m.name, ctx.Err())
	}
}

func (c *Cluster) peers() string {
	var all []string
	for _, m := range c.members {
		all = append(all, m.name+"="+m.peer.String())
	}
	return strings.Join(all, ",")
}

// Endpoints returns the client addresses of all members, running or not.
func (c *Cluster) Endpoints() []string {
	var all []string
	for _, m := range c.members {
		all = append(all, m.client.Host)
	}
	return all
}

// Leader returns the number of the member that leads, or -1 when no running
// member knows of one.
func (c *Cluster) Leader() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.members {
		if m.server == nil {
			continue
		}
		leader := m.server.Server.Leader()
		for i, l := range c.members {
			if l.server != nil && l.server.Server.MemberID() == leader {
				return i
			}
		}
	}
	return -1
}

// Stop stops a member, counted from 0, as a crash of its process does: without
// a word to the others. One that does not run stays as it is.
func (c *Cluster) Stop(i int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stop(c.members[i])
}

func (c *Cluster) stop(m *member) {
	if m.server == nil {
		return
	}
	// A request that meets a store which is closed already panics, and takes this
	// process along. So the clients are cut off first.
	if m.rpc != nil {
		m.rpc.Stop()
	}
	m.server.Server.HardStop()
	m.server.Close()
	m.server = nil
}

// Restart starts a member that was stopped, with the data that it had, and waits
// until it serves.
func (c *Cluster) Restart(ctx context.Context, i int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.members[i].server != nil {
		return nil
	}
	return c.run(ctx, c.members[i], embed.ClusterStateFlagExisting)
}

// Close stops all members, and removes their data if they lie in a temporary
// folder.
func (c *Cluster) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var stopping sync.WaitGroup
	for _, m := range c.members {
		stopping.Go(func() { c.stop(m) })
	}
	stopping.Wait()
	if !c.ownDir {
		return nil
	}
	if err := os.RemoveAll(c.dir); err != nil {
		return fmt.Errorf("embedded: %w", err)
	}
	return nil
}
