package conform

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/pflag"

	"github.com/kelpie-registry/kelpie/litmus"
	"github.com/kelpie-registry/kelpie/litmus/onport"
	"github.com/kelpie-registry/kelpie/litmus/onsimfdb"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/disk"
	"github.com/kelpie-registry/kelpie/store/memory"
)

// Store is a kind of store that takes litmus programs.
type Store struct {
	Name   string // as --store has it
	Levels []litmus.Level
	// Flags, when not nil, defines the store's own flags, whose names begin with
	// the store's.
	Flags func(*pflag.FlagSet)
	// Open returns a store that takes one program after the other, after the flags
	// have been parsed.
	Open func(level litmus.Level) (litmus.Store, error)
}

// Has reports whether the store takes programs of a level.
func (s *Store) Has(level litmus.Level) bool { return slices.Contains(s.Levels, level) }

// window is the window of engines that count it in commits: small, so that it
// is left soon, and larger than any program.
const window = 64

// Stores returns the stores of this build, the default first.
func Stores() []Store {
	return []Store{
		{
			Name: "simfdb", Levels: []litmus.Level{litmus.Port, litmus.Client},
			Open: func(litmus.Level) (litmus.Store, error) { return onsimfdb.New(onsimfdb.Options{}), nil },
		},
		onEngine("memory", onport.Options{Age: onport.AgeByCommits(window), Open: func() (store.Engine, error) {
			return memory.New(memory.Options{Window: window}), nil
		}}),
		diskStore(),
		fdbStore(),
	}
}

// diskStore is store/disk, in a directory of its own that goes with it. It need
// not survive the machine, so it does not wait for syncs.
func diskStore() Store {
	return Store{Name: "disk", Levels: []litmus.Level{litmus.Port}, Open: func(litmus.Level) (litmus.Store, error) {
		directory, err := os.MkdirTemp("", "kelpie-conform-")
		if err != nil {
			return nil, fmt.Errorf("a temporary folder: %w", err)
		}
		return temporary{onport.New(onport.Options{
			Open: func() (store.Engine, error) { return disk.Open(directory, disk.Options{Window: window, NoSync: true}) },
			Keep: true, Age: onport.AgeByCommits(window),
		}), directory}, nil
	}}
}

// temporary is a store whose data goes with it.
type temporary struct {
	litmus.Store
	directory string
}

// Close implements litmus.Store.
func (t temporary) Close() error { return errors.Join(t.Store.Close(), os.RemoveAll(t.directory)) }

const fdbClusterUsage = "cluster `file` of --store fdb (default: that of FoundationDB's client)"

// onEngine returns the row of an engine of the port.
func onEngine(name string, o onport.Options) Store {
	return Store{Name: name, Levels: []litmus.Level{litmus.Port}, Open: func(litmus.Level) (litmus.Store, error) {
		return onport.New(o), nil
	}}
}
