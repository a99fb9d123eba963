package soak

import (
	"fmt"
	"strings"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/memory"
)

// Store is a kind of store that a soak can run on.
type Store struct {
	Name  string
	About string
	Open  func(c clock.Clock) (Cluster, error)
}

// Cluster is an open, empty store.
type Cluster interface {
	// Engine connects a node, counted from 0.
	Engine(node int) (store.Engine, error)
	// Close ends the store and every connection.
	Close() error
}

// stores is the table of what there is. A store that needs a build tag adds
// itself from a file with that tag.
var stores = []Store{
	{Name: "memory", About: "store/memory, one engine that all nodes share", Open: openMemory},
}

// StoreNames returns the names of the stores of this build.
func StoreNames() []string {
	names := make([]string, 0, len(stores))
	for _, s := range stores {
		names = append(names, s.Name)
	}
	return names
}

// FindStore returns the store of that name. The error lists those that exist.
func FindStore(name string) (Store, error) {
	for _, s := range stores {
		if s.Name == name {
			return s, nil
		}
	}
	return Store{}, fmt.Errorf("%w: unknown store %q; there are: %s", ErrOptions, name, strings.Join(StoreNames(), ", "))
}

// memoryCluster is one engine for all nodes.
type memoryCluster struct{ engine *memory.Engine }

func openMemory(c clock.Clock) (Cluster, error) {
	return memoryCluster{memory.New(memory.Options{Clock: c})}, nil
}

func (m memoryCluster) Engine(int) (store.Engine, error) { return m.engine, nil }

func (m memoryCluster) Close() error { return m.engine.Close() }
