package soak

import (
	"context"

	"github.com/spf13/pflag"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/memory"
)

// Store is a kind of store that a soak can run on.
type Store struct {
	Name string // as --store has it
	// Flags, when not nil, defines the store's own flags, whose names begin with
	// the store's.
	Flags func(*pflag.FlagSet)
	// Open returns a new, empty store, after the flags have been parsed. An error
	// about a flag names it.
	Open func(ctx context.Context, c clock.Clock) (Cluster, error)

	// Data, when not nil, is for a store that a process of the soak has and serves to
	// others: it returns a new or empty folder for its data, and what removes it in the
	// end, if it is to go. No folder: the store is there already, and Open reaches it.
	Data func() (folder string, remove func() error, err error)
	// Serve is what that process does: it serves what is in the folder until ctx ends,
	// and tells ready how Connect reaches it, in one word, and the same after a restart.
	// nil: it is kelpied, over store/disk.
	Serve func(ctx context.Context, folder string, ready func(shared string)) error
	// Connect, when not nil, is for a store that every process reaches by itself: it
	// connects one to a cluster that another has opened, which is a [Sharer] and said
	// how.
	Connect func(ctx context.Context, c clock.Clock, shared string) (store.Engine, error)
	// Through, when not nil, is for a store whose connections can be led elsewhere: it
	// returns what Connect is told with another address for each of the store's members,
	// that which via returns for the member's own. Both are host:port.
	Through func(shared string, via func(member string) (string, error)) (string, error)
}

// Sharer is a [Cluster] that other processes can reach.
type Sharer interface {
	Cluster
	// Shared is for Store.Connect.
	Shared() string
}

// Cluster is an open, empty store. One that is also a fmt.Stringer says what it
// is, for the report.
type Cluster interface {
	// Engine connects a node, counted from 0.
	Engine(node int) (store.Engine, error)
	// Close ends the store and every connection.
	Close() error
}

// Stores returns the stores of this build, the default first.
func Stores() []Store {
	return []Store{{Name: "memory", Open: openMemory}, diskStore(), fdbStore()}
}

// fdbClusterUsage describes --fdb-cluster.
const fdbClusterUsage = "cluster `file` of the FoundationDB cluster to run on (default the client's)"

// memoryCluster is one engine for all nodes.
type memoryCluster struct{ engine *memory.Engine }

func openMemory(_ context.Context, c clock.Clock) (Cluster, error) {
	return memoryCluster{memory.New(memory.Options{Clock: c})}, nil
}

func (m memoryCluster) Engine(int) (store.Engine, error) { return m.engine, nil }

func (m memoryCluster) Close() error { return m.engine.Close() }
