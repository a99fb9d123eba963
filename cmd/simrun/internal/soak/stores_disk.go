package soak

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/disk"
)

// diskStore is store/disk, one engine that all nodes share, in a directory of its
// own.
func diskStore() Store {
	var directory string
	return Store{
		Name: "disk",
		Flags: func(fs *pflag.FlagSet) {
			fs.StringVar(&directory, "disk-dir", "", "new or empty `folder` for the data of --store disk, which is kept (default a temporary one)")
		},
		Open: func(_ context.Context, c clock.Clock) (Cluster, error) { return openDisk(directory, c) },
		Data: func() (string, func() error, error) {
			folder, temporary, err := diskFolder(directory)
			return folder, diskCluster{temporary: temporary}.remove, err
		},
	}
}

// diskCluster is one engine for all nodes.
type diskCluster struct {
	engine    *disk.Engine
	temporary string // removed at the end; empty: nothing is
}

// diskFolder returns the folder for the data, twice if it is a temporary one.
func diskFolder(directory string) (folder, temporary string, err error) {
	if directory == "" {
		if temporary, err = os.MkdirTemp("", "kelpie-soak-"); err != nil {
			return "", "", fmt.Errorf("a temporary folder: %w", err)
		}
		return temporary, temporary, nil
	}
	if there, err := os.ReadDir(directory); err == nil && len(there) > 0 {
		return "", "", fmt.Errorf("--disk-dir: %s is not empty", directory)
	}
	return directory, "", nil
}

func openDisk(directory string, c clock.Clock) (Cluster, error) {
	folder, temporary, err := diskFolder(directory)
	if err != nil {
		return nil, err
	}
	d := diskCluster{temporary: temporary}
	if d.engine, err = disk.Open(folder, disk.Options{Clock: c}); err != nil {
		return nil, errors.Join(fmt.Errorf("--disk-dir: %w", err), d.remove())
	}
	return d, nil
}

func (d diskCluster) Engine(int) (store.Engine, error) { return d.engine, nil }

// Close checks the file before it closes it.
func (d diskCluster) Close() error {
	return errors.Join(d.engine.Check(context.Background()), d.engine.Close(), d.remove())
}

func (d diskCluster) remove() error {
	if d.temporary == "" {
		return nil
	}
	return os.RemoveAll(d.temporary)
}
