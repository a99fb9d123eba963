package fleet

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/process"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/soak"
	"github.com/kelpie-registry/kelpie/network"
	"github.com/kelpie-registry/kelpie/store/disk"
)

// backend is how processes reach the store.
type backend interface {
	// route is how to reach the store when each of its addresses is replaced by what via
	// returns for it. via is not called when that cannot be.
	route(via func(address string) (string, error)) (route, error)
	described() string
	close() error
}

func openBackend(ctx context.Context, f *fleet) (backend, error) {
	if f.o.Store.Data != nil {
		data, remove, err := f.o.Store.Data()
		switch {
		case err != nil:
			return nil, err
		case data != "" && f.o.Store.Serve != nil:
			return openPlayed(ctx, f, data, remove)
		case data != "":
			return openServed(ctx, f, data, remove)
		}
	}
	c, err := f.o.Store.Open(ctx, f.clock)
	if err != nil {
		return nil, fmt.Errorf("soak: open the %s store: %w", f.o.Store.Name, err)
	}
	s, ok := c.(soak.Sharer)
	if !ok {
		return nil, errors.Join(fmt.Errorf("soak: the %s store says not how to share it", f.o.Store.Name), c.Close())
	}
	return &direct{f, s}, nil
}

// straight is for routes that go to the store itself.
func straight(address string) (string, error) { return address, nil }

// byItself is the route to a store that each process reaches by itself, as shared says.
func (f *fleet) byItself(shared string, via func(string) (string, error)) (route, error) {
	if f.o.Store.Through != nil {
		var err error
		if shared, err = f.o.Store.Through(shared, via); err != nil {
			return route{}, fmt.Errorf("soak: a way to the %s store: %w", f.o.Store.Name, err)
		}
	}
	return route{Store: f.o.Store.Name, Shared: shared}, nil
}

// played is a store whose own servers run in one process, which each process with
// nodes reaches by itself.
type played struct {
	f      *fleet
	remove func() error
	at     string
}

func openPlayed(ctx context.Context, f *fleet, data string, remove func() error) (backend, error) {
	b := &played{f: f, remove: remove}
	f.server = &slot{f: f, name: serverName, begin: func(ctx context.Context, _ int) (p *process.Process, err error) {
		p, at, err := f.greeted(ctx, serverName, roleStore, f.o.Store.Name, data)
		if err == nil && b.at != "" && at != b.at {
			err = fmt.Errorf("%w: it was at %s, and is at %s", errGreeting, b.at, at)
		}
		b.at = at
		return p, err
	}}
	if err := f.server.start(ctx); err != nil {
		return nil, errors.Join(err, f.server.kill(), remove())
	}
	return b, nil
}

func (b *played) route(via func(string) (string, error)) (route, error) {
	return b.f.byItself(b.at, via)
}

func (b *played) described() string { return b.f.o.Store.Name + " in a process of its own" }
func (b *played) close() error      { return errors.Join(b.f.server.kill(), b.remove()) }

// direct is a store that is there already, which each process reaches by itself.
type direct struct {
	f       *fleet
	cluster soak.Sharer
}

func (d *direct) route(via func(string) (string, error)) (route, error) {
	return d.f.byItself(d.cluster.Shared(), via)
}

func (d *direct) close() error { return d.cluster.Close() }

func (d *direct) described() string {
	if s, ok := d.cluster.(fmt.Stringer); ok {
		return s.String()
	}
	return ""
}

// tokenFile is of the soak's folder.
const tokenFile = "tokens"

// served is a folder of store/disk, served by a process that plays kelpied.
type served struct {
	f      *fleet
	data   string
	remove func() error
	at     atomic.Pointer[string]
}

func openServed(ctx context.Context, f *fleet, data string, remove func() error) (backend, error) {
	b := &served{f: f, data: data, remove: remove}
	if err := os.WriteFile(b.tokens(), []byte("# of this soak\n"+rand.Text()+"\n"), 0o600); err != nil {
		return nil, errors.Join(err, remove())
	}
	f.server = &slot{f: f, name: serverName, begin: f.serve(data, b.tokens(), b.moved)}
	if err := f.server.start(ctx); err != nil {
		return nil, errors.Join(err, f.server.kill(), remove())
	}
	return b, nil
}

// moved tells the proxies where the server is now: a free port each time, so that no
// other process of the machine can be in its place.
func (b *served) moved(address string) {
	b.at.Store(&address)
	for _, s := range b.f.slots {
		for _, p := range s.proxies { // one
			p.To(address)
		}
	}
}

func (b *served) route(via func(string) (string, error)) (route, error) {
	at, err := via(*b.at.Load())
	return route{Server: network.Address(at), Tokens: b.tokens()}, err
}

// tokens is the file of what kelpied wants to see.
func (b *served) tokens() string    { return b.f.path(tokenFile) }
func (b *served) described() string { return "kelpied" }

// close kills the server, once more, and verifies its file as a whole.
func (b *served) close() error {
	err := b.f.server.kill()
	engine, openErr := disk.Open(b.data, disk.Options{Clock: b.f.clock})
	if openErr != nil {
		return errors.Join(err, fmt.Errorf("soak: the server's data: %w", openErr), b.remove())
	}
	return errors.Join(err, engine.Check(context.Background()), engine.Close(), b.remove())
}
