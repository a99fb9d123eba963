package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/soak"
	"github.com/kelpie-registry/kelpie/store/disk"
)

// backend is how processes reach the store.
type backend interface {
	address() string // of the server; empty: there is none of ours
	shared() string  // for soak.Store.Connect
	described() string
	close() error
}

func openBackend(ctx context.Context, f *fleet) (backend, error) {
	if f.o.Store.Data != nil {
		return openServed(ctx, f)
	}
	c, err := f.o.Store.Open(ctx, f.clock)
	if err != nil {
		return nil, fmt.Errorf("soak: open the %s store: %w", f.o.Store.Name, err)
	}
	s, ok := c.(soak.Sharer)
	if !ok {
		return nil, errors.Join(fmt.Errorf("soak: the %s store says not how to share it", f.o.Store.Name), c.Close())
	}
	return &direct{s}, nil
}

// direct is a store that each process reaches by itself.
type direct struct{ cluster soak.Sharer }

func (d *direct) address() string { return "" }
func (d *direct) shared() string  { return d.cluster.Shared() }
func (d *direct) close() error    { return d.cluster.Close() }

func (d *direct) described() string {
	if s, ok := d.cluster.(fmt.Stringer); ok {
		return s.String()
	}
	return ""
}

// served is a folder of store/disk, served by a process that plays kelpied.
type served struct {
	f      *fleet
	data   string
	remove func() error
	at     atomic.Pointer[string]
}

func openServed(ctx context.Context, f *fleet) (backend, error) {
	data, remove, err := f.o.Store.Data()
	if err != nil {
		return nil, err
	}
	b := &served{f: f, data: data, remove: remove}
	f.server = &slot{f: f, name: "server", begin: f.serve(data, b.moved)}
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
		s.proxy.To(address)
	}
}

func (b *served) address() string   { return *b.at.Load() }
func (b *served) shared() string    { return "" }
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
