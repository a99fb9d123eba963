package etcd

import (
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/kelpie-registry/kelpie/store"
)

// maxResends bounds how often a commit is sent again because it was refused for
// a reason that has nothing to do with what the transaction read.
const maxResends = 20

// Commit implements [store.Txn]. The commit of a transaction that wrote nothing
// confirms its guesses.
func (t *Txn) Commit() error {
	err := t.commit()
	if err != nil {
		t.end(err)
	}
	return err
}

func (t *Txn) commit() error {
	if err := t.enterBroken(); err != nil {
		return err
	}
	defer t.busy.Unlock()
	err := t.settle()
	if err != nil && !store.Retryable(err) && !errors.Is(err, store.ErrCommitUnknown) {
		// What is wrong with the writes may come from a wrong guess.
		if wrong := t.confirm(); wrong != nil {
			err = wrong
		}
	}
	if err != nil {
		return err
	}
	for _, w := range t.watches {
		w.start()
	}
	t.watches = nil
	t.drop(nil)
	return nil
}

// settle has the writes applied, or the guesses confirmed when there are none.
func (t *Txn) settle() error {
	size := t.writes.size + t.readSize
	switch {
	case t.broken != nil:
		return t.broken
	case size > store.MaxTxnBytes:
		return fmt.Errorf("etcd: commit: %w: the transaction has %d bytes, limit %d", store.ErrTooLarge, size, store.MaxTxnBytes)
	case t.writes.empty():
		return t.confirm()
	default:
		return t.write()
	}
}

// write sends the writes until they are applied or refused for good.
func (t *Txn) write() error {
	e := t.engine
	c := t.conditions()
	for range maxResends {
		p, err := t.propose(c)
		if err != nil {
			return err
		}
		a, err := e.batcher.submit(t.ctx, p)
		if err != nil {
			p.giveBack(e, !errors.Is(err, store.ErrCommitUnknown))
			if errors.Is(err, store.ErrCommitUnknown) {
				t.forget()
			}
			return err
		}
		if a.succeeded {
			t.committed = store.Version(a.revision)
			p.succeeded(e, a.revision)
			t.applied(a)
			return nil
		}
		if err := t.inquire(c, p); err != nil {
			return err
		}
	}
	return fmt.Errorf("etcd: commit: %w: refused %d times by lanes and records", store.ErrConflict, maxResends)
}

// inquire finds out why a proposal was refused. It returns nil when it is worth
// sending again.
func (t *Txn) inquire(c *conditions, p *proposal) error {
	e := t.engine
	r, err := e.txn(t.ctx, e.kv, &etcdserverpb.TxnRequest{Success: p.why})
	if err != nil {
		p.giveBack(e, true)
		t.forget()
		return e.readError(t.ctx, err)
	}
	p.refused(e, r.Responses)
	return t.refusedFor(c, r.Responses, r.Header.Revision)
}

// Confirm implements [store.Guesser].
func (t *Txn) Confirm() error {
	if err := t.enterBroken(); err != nil {
		return err
	}
	defer t.busy.Unlock()
	return t.confirm()
}

// confirm has the store judge the reads. The reads of a transaction that has
// not guessed are of one version and need no judge.
func (t *Txn) confirm() error {
	if t.guessedAt == 0 {
		return nil
	}
	e := t.engine
	c := t.conditions()
	if c.fit(e, 0, 0) != nil {
		// Reads alone have no limit; it takes an attempt without guesses.
		return fmt.Errorf("etcd: confirm: %w: too many reads for one condition each", store.ErrConflict)
	}
	for range maxResends {
		r, err := e.txn(t.ctx, e.kv, &etcdserverpb.TxnRequest{Compare: c.compares(e), Success: []op{c.probe(e)}, Failure: c.why(e)})
		if err != nil {
			return e.readError(t.ctx, err)
		}
		if r.Succeeded {
			t.confirmed(r.Header.Revision)
			return nil
		}
		if err := t.refusedFor(c, r.Responses, r.Header.Revision); err != nil {
			return err
		}
	}
	return fmt.Errorf("etcd: confirm: %w: refused %d times by records", store.ErrConflict, maxResends)
}

// confirmed notes that all reads were still right at a revision.
func (t *Txn) confirmed(revision int64) {
	r := t.engine.recall
	if r == nil {
		return
	}
	for key, p := range t.points {
		r.confirmed(key, p, revision)
	}
}

// applied notes what the commit made of the keys, and which guesses it proved
// right.
func (t *Txn) applied(a *answer) {
	r := t.engine.recall
	if r == nil {
		return
	}
	// What was read of a key that was written too is what it held before. Not
	// for a moment may it pass for what it holds at the commit's revision: a guess
	// made of it then would stand.
	var changed []string
	for key, p := range t.points {
		switch {
		case t.writes.find(key) != nil:
			changed = append(changed, key)
		case t.writes.cleared.contains(key):
			r.learn(key, nil, a.revision)
			changed = append(changed, key)
		default:
			r.confirmed(key, p, a.revision)
		}
	}
	for _, w := range t.writes.list {
		switch {
		case w.kind == opAdd:
			r.forget(w.key)
		case w.kind == opClear:
			r.learn(w.key, nil, a.revision)
		case w.kind == opStamped && w.added:
			r.learn(w.key, addTo(fillStamp(w.value, w.offset, t.committed, a.order), w.delta), a.revision)
		case w.kind == opStamped:
			r.learn(w.key, fillStamp(w.value, w.offset, t.committed, a.order), a.revision)
		default:
			r.learn(w.key, w.value, a.revision)
		}
	}
	for _, key := range changed {
		r.right(key, t.points[key])
	}
}

// forget drops what is remembered of keys whose fate is not known.
func (t *Txn) forget() {
	if t.engine.recall == nil {
		return
	}
	for key := range t.points {
		t.engine.recall.forget(key)
	}
	for _, w := range t.writes.list {
		t.engine.recall.forget(w.key)
	}
}
