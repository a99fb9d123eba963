//go:build !fdb

package daemon

import (
	"context"
	"errors"

	"github.com/kelpie-registry/kelpie/store"
)

var errNoFDB = errors.New("--store fdb: this kelpied is built without FoundationDB's client; build it with -tags fdb")

// checkFDB returns an error that tells how to get a build with FoundationDB's client.
func checkFDB() error { return errNoFDB }

func openFDB(context.Context, string, string) (store.Engine, error) { return nil, errNoFDB }
