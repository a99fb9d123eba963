package registry

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/kelpie-registry/kelpie/store"
)

// An observer that cannot see is not a death, and many deaths at once are more
// likely a fault of those who observe. So the revocations of all nodes together
// are limited: the ledger counts those of the present window, and every
// revocation reads and writes it in its own transaction. A new window is opened by
// an observer that has seen the present one for TTL·(1+MaxDrift) on its own clock.
// As with leases, clocks need not agree on the time: a window lasts for TTL of
// true time at least, and at most 2·limit sessions are revoked in any TTL.

// ledger is the value of the key of the revocations' ledger.
//
//	format 1 | stamp 10 | used 4
type ledger struct {
	opened [store.StampBytes]byte // stamp of the transaction that opened the window
	used   uint32                 // revocations in it; 0: there never was a window
}

const ledgerBytes = 1 + store.StampBytes + 4

func (l ledger) encode() []byte {
	b := append(make([]byte, 0, ledgerBytes), recordFormat)
	b = append(b, l.opened[:]...)
	return binary.BigEndian.AppendUint32(b, l.used)
}

// decodeLedger returns the zero ledger for a nil value.
func decodeLedger(v []byte) (ledger, error) {
	if v == nil {
		return ledger{}, nil
	}
	if err := checkRecord("ledger", v, ledgerBytes); err != nil {
		return ledger{}, err
	}
	l := ledger{opened: [store.StampBytes]byte(v[1:]), used: binary.BigEndian.Uint32(v[1+store.StampBytes:])}
	if l.used == 0 {
		return ledger{}, fmt.Errorf("%w: a ledger without revocations", ErrCorrupt)
	}
	return l, nil
}

// windowSighting is what this process has seen of the window.
type windowSighting struct {
	known  bool
	opened [store.StampBytes]byte
	since  time.Duration // monotonic time after the first look that showed it
}

func (w *windowSighting) see(l ledger, now time.Duration) {
	if !w.known || w.opened != l.opened {
		*w = windowSighting{known: true, opened: l.opened, since: now}
	}
}

// over reports whether the window of l has lasted for at least d.
func (w *windowSighting) over(l ledger, now, d time.Duration) bool {
	return l.used == 0 || w.known && w.opened == l.opened && now-w.since >= d
}

// windowOver reports whether a new window may be opened in place of l's: it is what lets
// a revocation through where none is allowed.
func (r *Registry) windowOver(l ledger) bool { return r.mayRevoke(l, 0) }

// mayRevoke reports whether one more revocation fits.
func (r *Registry) mayRevoke(l ledger, limit int) bool {
	now := r.host.Monotonic()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fits(l, limit, now)
}

// fits is mayRevoke of a time. The caller holds the lock.
func (r *Registry) fits(l ledger, limit int, now time.Duration) bool {
	return int64(l.used) < int64(limit) || r.window.over(l, now, stretch(r.o.TTL, r.o.MaxDrift))
}

// putOffs are the revocations that the limit keeps from being made, from the first that
// is refused until a look shows that there is room again.
type putOffs struct {
	limit    int                    // that was reached
	sessions map[sessionID]struct{} // nil while the limit is not known to hold
}

// putOff notes that the session of e is not revoked now. The first is told of.
func (r *Registry) putOff(e Event, limit int) {
	r.mu.Lock()
	begins := r.putoff.sessions == nil
	if begins {
		r.putoff.sessions = make(map[sessionID]struct{})
	}
	r.putoff.limit = limit
	if len(r.putoff.sessions) < maxSightings {
		r.putoff.sessions[sessionID{e.Node, e.Incarnation}] = struct{}{}
	}
	r.mu.Unlock()
	if begins {
		r.emit(Event{Kind: EventRevokeLimited, Node: e.Node, Incarnation: e.Incarnation, Monitor: e.Monitor})
	}
}

// noteLimit tells once when a look at the ledger shows that the limit holds no longer.
func (r *Registry) noteLimit(l ledger) {
	now := r.host.Monotonic()
	r.mu.Lock()
	n := len(r.putoff.sessions)
	ends := n > 0 && r.fits(l, r.putoff.limit, now)
	if ends {
		r.putoff = putOffs{}
	}
	r.mu.Unlock()
	if ends {
		r.emit(Event{Kind: EventRevokeLimitOver, Count: n})
	}
}

// charge counts one more revocation, or returns [ErrRevokeLimited].
func (r *Registry) charge(tx store.Tx, l ledger, limit int) error {
	switch {
	case r.windowOver(l):
		tx.SetStamped(r.keys.ledger(), ledger{used: 1}.encode(), stampAt)
	case int64(l.used) >= int64(limit):
		return ErrRevokeLimited
	default:
		l.used++
		tx.Set(r.keys.ledger(), l.encode())
	}
	return nil
}

// revokeLimit returns how many sessions may be revoked in the present window, as s
// knows the cluster. Live nodes are counted only when that matters.
func (r *Registry) revokeLimit(ctx context.Context, s *Session, l ledger) (int, error) {
	if int64(l.used) < int64(r.o.RevokeMin) {
		return r.o.RevokeMin, nil
	}
	var live int
	if s != nil {
		live = s.roster().peers.size()
	}
	if live == 0 {
		var err error
		if live, err = r.countLive(ctx); err != nil {
			return 0, err
		}
	}
	return r.limitAmong(live), nil
}

func (r *Registry) limitAmong(live int) int {
	return max(r.o.RevokeMin, int(r.o.RevokeShare*float64(live)))
}

func (r *Registry) countLive(ctx context.Context) (n int, err error) {
	err = r.scan(ctx, tagState, func(kv store.KeyValue) error {
		s, err := decodeSession(kv.Value)
		if err == nil && s.status.lives() {
			n++
		}
		return err
	})
	return n, err
}

// RevocationLimit returns how many sessions have been revoked in the newest window
// and how many may be in one: when used has reached limit, a node that is seen
// silent stays until the window is over, TTL·(1+MaxDrift) of an observer's clock
// after it was opened. It may be over already: the next revocation opens a new
// one. Errors: [ErrCorrupt]; errors of the store and of ctx.
func (r *Registry) RevocationLimit(ctx context.Context) (used, limit int, err error) {
	var l ledger
	err = r.db.Read(ctx, func(tx store.Reader) error {
		v, err := tx.Get(r.keys.ledger())
		if err == nil {
			l, err = decodeLedger(v)
		}
		return err
	})
	var live int
	if err == nil {
		live, err = r.countLive(ctx)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("registry: read the ledger of revocations: %w", err)
	}
	return int(l.used), r.limitAmong(live), nil
}
