//go:build fdb

package onfdb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/apple/foundationdb/bindings/go/src/fdb"

	"github.com/kelpie-registry/kelpie/litmus"
	"github.com/kelpie-registry/kelpie/store"
)

// apiVersion is the version of the client's interface that answers are those of.
const apiVersion = 730

// Options of a store.
type Options struct {
	// ClusterFile is the path of the cluster file; empty: the client's default.
	ClusterFile string
}

// Times, in real time.
const (
	openTimeout = 10 * time.Second
	callTimeout = 60 * time.Second       // of a transaction, far longer than any takes
	patience    = 10 * time.Second       // for a watch that must have fired
	quiet       = 30 * time.Millisecond  // for one that must not
	ageStep     = 500 * time.Millisecond // between the commits that move the versions on
	ageSteps    = 15
)

// Open connects to a cluster and reads from it, to see that it answers.
func Open(o Options) (litmus.Store, error) {
	if err := fdb.APIVersion(apiVersion); err != nil {
		return nil, fmt.Errorf("onfdb: API version %d: %w", apiVersion, err)
	}
	db, err := fdb.OpenDatabase(o.ClusterFile)
	if err != nil {
		return nil, fmt.Errorf("onfdb: cluster file %q: %w", o.ClusterFile, err)
	}
	s := &cluster{db: db}
	tx, err := s.begin(openTimeout)
	if err != nil {
		return nil, err
	}
	defer tx.Cancel()
	if _, err := tx.GetReadVersion().Get(); err != nil {
		return nil, fmt.Errorf("onfdb: the cluster of cluster file %q does not answer within %v: %w", o.ClusterFile, openTimeout, err)
	}
	return s, nil
}

// cluster is a litmus.Store.
type cluster struct{ db fdb.Database }

// Close implements litmus.Store. The client library lives as long as the process.
func (c *cluster) Close() error { return nil }

func (c *cluster) begin(timeout time.Duration) (fdb.Transaction, error) {
	tx, err := c.db.CreateTransaction()
	if err == nil {
		err = tx.Options().SetTimeout(timeout.Milliseconds())
	}
	if err != nil {
		return tx, fmt.Errorf("onfdb: create a transaction: %w", err)
	}
	return tx, nil
}

// Run implements litmus.Store.
func (c *cluster) Run(p *litmus.Program, out []byte) (_ []byte, err error) {
	s := &session{cluster: c, prefix: litmus.NewPrefix(p.Seed)}
	if err := s.prepare(); err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, s.clear()) }()
	return litmus.Run(p, s, out)
}

// session is a part of a cluster as a program meets it.
type session struct {
	*cluster
	prefix litmus.Prefix
}

// Prepare puts guards around nothing.
func (s *session) prepare() error {
	return s.transact(func(tx fdb.Transaction) {
		tx.ClearRange(s.space())
		for _, key := range s.prefix.Guards() {
			tx.Set(fdb.Key(key), nil)
		}
	})
}

// clear removes what the program left.
func (s *session) clear() error {
	return s.transact(func(tx fdb.Transaction) { tx.ClearRange(s.space()) })
}

func (s *session) space() fdb.KeyRange {
	space := s.prefix.Space()
	return fdb.KeyRange{Begin: fdb.Key(space.Begin), End: fdb.Key(space.End)}
}

// transact commits what f writes. To do it twice does no harm.
func (s *session) transact(f func(tx fdb.Transaction)) error {
	_, err := s.db.Transact(func(tx fdb.Transaction) (any, error) {
		f(tx)
		return nil, tx.Options().SetTimeout(callTimeout.Milliseconds())
	})
	if err != nil {
		return fmt.Errorf("onfdb: prepare or clear %q: %w", s.prefix, err)
	}
	return nil
}

// Begin implements litmus.Session. An error is that of every call.
func (s *session) Begin(int) litmus.Transaction {
	tx, err := s.begin(callTimeout)
	return &transaction{session: s, tx: tx, broken: err}
}

// ErrorName implements litmus.Session.
func (s *session) ErrorName(err error) string {
	var e fdb.Error
	if errors.As(err, &e) {
		return fmt.Sprint(e.Code)
	}
	return "unknown: " + err.Error()
}

// interference are the errors that no program brings about: they say that a
// server failed, is busy, or did not answer.
var interference = []int{1004, 1021, 1031, 1037, 1038, 1039, 1042, 1051, 1078, 1079, 1213, 1223}

// interfered marks such errors.
func interfered(err error) error {
	var e fdb.Error
	if errors.As(err, &e) && slices.Contains(interference, e.Code) {
		return fmt.Errorf("%w: %w", litmus.ErrInterfered, err)
	}
	return err
}

// Await implements litmus.Session.
func (s *session) Await(w store.Watch, must bool) error {
	limit := quiet
	if must {
		limit = patience
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	err := w.Wait(ctx)
	if err != nil && ctx.Err() != nil {
		return litmus.ErrQuiet
	}
	return interfered(err)
}

// Age implements litmus.Session. It commits, because an idle cluster's versions
// stand still.
func (s *session) Age() error {
	key := s.prefix.Key("\xfe\xff/age") // no program has it
	for range ageSteps {
		time.Sleep(ageStep)
		if err := s.transact(func(tx fdb.Transaction) { tx.Set(fdb.Key(key), nil); tx.Clear(fdb.Key(key)) }); err != nil {
			return err
		}
	}
	return nil
}

// watch is a future as store.Watch has it.
type watch struct{ future fdb.FutureNil }

// Wait implements store.Watch. What waits behind an ended ctx ends with Cancel.
func (w watch) Wait(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- w.future.Get() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Cancel implements store.Watch.
func (w watch) Cancel() { w.future.Cancel() }
