package remote

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kelpie-registry/kelpie/store"
)

// refusal is the reply to a request that was not served.
func refusal(err error) []byte {
	if errors.Is(err, errGone) {
		return encodeFault(statusGone, err)
	}
	return encodeFault(statusRefused, err)
}

// held is how many bytes of a request its transaction keeps.
func held(ws []write, body []byte) int {
	if len(ws) == 0 {
		return 0
	}
	return len(body)
}

// answerOf returns the reply to a request that has been taken up before, as soon as
// it is there.
func (s *Server) answerOf(ctx context.Context, o *outcome) ([]byte, error) {
	s.mu.Lock()
	reply := o.reply
	if reply == nil && o.done == nil {
		o.done = s.host.NewEvent()
	}
	s.mu.Unlock()
	if reply != nil {
		return reply, nil
	}
	if err := o.done.Wait(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return o.reply, nil
}

// serveRead serves one step of a transaction.
func (s *Server) serveRead(ctx context.Context, body []byte) ([]byte, error) {
	req, err := decodeRead(body)
	if err != nil {
		return nil, err
	}
	var over leftovers
	t, first, err := s.step(req, held(req.writes, body), &over)
	over.end()
	switch {
	case err != nil:
		return refusal(err), nil
	case first != nil:
		return s.answerOf(ctx, first)
	}
	for _, w := range req.writes {
		w.apply(t.inner)
	}
	reply := s.answer(t, req.read)
	s.stepped(t, reply)
	return reply, nil
}

// step begins a step of a transaction. For a copy of one it returns what becomes of
// the first.
func (s *Server) step(req readRequest, size int, over *leftovers) (*txn, *outcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.enter(req.header, over)
	if err != nil {
		return nil, nil, err
	}
	if t := c.txns[req.txn]; t != nil && req.step == t.step {
		return nil, t.last, nil
	}
	if s.draining {
		return nil, nil, errDraining
	}
	t, err := s.advance(c, req.txn, req.step, size, over)
	return t, nil, err
}

// advance begins the next step of a transaction, and the transaction with its first.
func (s *Server) advance(c *client, number uint64, step uint32, size int, over *leftovers) (t *txn, err error) {
	t = c.txns[number]
	switch {
	case t == nil && step == 1:
		if t, err = s.begin(c, number); err != nil {
			return nil, err
		}
	case t == nil:
		return nil, fmt.Errorf("%w: the server has ended the transaction, as it does after %v without a call", store.ErrUnavailable, s.o.TxnIdle)
	case step != t.step+1 || t.busy:
		return nil, fmt.Errorf("%w: step %d of a transaction comes after step %d", store.ErrUnavailable, step, t.step)
	}
	if err := s.hold(t, size); err != nil {
		s.drop(t, over)
		return nil, err
	}
	s.grow(t, -len(t.last.reply))
	t.last = &outcome{}
	t.step++
	t.busy = true
	c.busy++
	return t, nil
}

// stepped ends a step.
func (s *Server) stepped(t *txn, reply []byte) {
	s.mu.Lock()
	t.busy = false
	tell := t.last.settle(reply)
	t.client.busy--
	t.used = s.host.Uptime()
	dropped := t.dropped
	if !dropped {
		s.grow(t, len(reply))
		t.client.byUse.MoveToBack(t.place)
	}
	s.mu.Unlock()
	tell()
	if dropped {
		t.inner.Cancel()
		t.cancel()
	}
}

// answer reads from the inner transaction.
func (s *Server) answer(t *txn, r read) []byte {
	res, err := s.read(t, r)
	if err != nil {
		return encodeFault(statusFailed, err)
	}
	return res.append([]byte{byte(statusOK)}, r.kind)
}

func (s *Server) read(t *txn, r read) (res result, err error) {
	reader := store.Reader(t.inner)
	if r.snapshot {
		reader = t.inner.Snapshot()
	}
	switch r.kind {
	case readNothing:
	case readKeys:
		res.values, err = reader.GetAll(r.keys...)
		res.values = s.fitting(res.values)
	case readRange:
		err = s.readRange(t, reader, r, &res)
	case readVersion:
		res.version, err = t.inner.ReadVersion()
	case readWatch:
		err = s.setWatch(t, r)
	}
	return res, err
}

// room is how many bytes of a reply are for what was read.
func (s *Server) room() int { return s.o.MessageBytes - 64 }

// fitting returns the first values that have room in a reply: one at least. The
// client asks for the others.
func (s *Server) fitting(values [][]byte) [][]byte {
	room := s.room()
	for i, v := range values {
		if room -= 5 + len(v); room < 0 {
			return values[:max(i, 1)]
		}
	}
	return values
}

// pageRows bounds the rows of one answer to a range, and so what a range of large
// rows costs the server before it is cut.
const pageRows = 1024

// readRange reads as many rows as have room in a reply. A range whose rows may not
// is looked at first, by a snapshot read, so that what does not travel adds no read
// conflict.
func (s *Server) readRange(t *txn, reader store.Reader, r read, res *result) (err error) {
	limit := min(r.limit, pageRows)
	if limit == 0 {
		limit = pageRows
	}
	if sure := s.room() / (8 + store.MaxKeyBytes + store.MaxValueBytes); limit > sure {
		rows, _, err := t.inner.Snapshot().GetRange(r.begin, r.end, store.RangeOptions{Limit: limit, Reverse: r.reverse})
		if err != nil {
			return err
		}
		room := s.room()
		for i, kv := range rows {
			if room -= 8 + len(kv.Key) + len(kv.Value); room < 0 {
				limit = max(i, 1)
				break
			}
		}
	}
	res.rows, res.more, err = reader.GetRange(r.begin, r.end, store.RangeOptions{Limit: limit, Reverse: r.reverse})
	return err
}

// setWatch sets a watch that counts once the transaction has committed.
func (s *Server) setWatch(t *txn, r read) error {
	s.mu.Lock()
	n := len(t.client.watches) + len(t.watches)
	s.mu.Unlock()
	if n >= s.o.Watches {
		return fmt.Errorf("%w: the limit of %d watches of one client is reached", store.ErrUnavailable, s.o.Watches)
	}
	w, err := t.inner.Watch(r.keys[0])
	if err != nil {
		return err
	}
	if t.watches == nil {
		t.watches = make(map[uint64]store.Watch)
	}
	t.watches[r.watch] = w // who serves a step has the transaction for itself
	return nil
}

// serveCommit commits a transaction, once however often the request comes.
func (s *Server) serveCommit(ctx context.Context, body []byte) ([]byte, error) {
	req, err := decodeCommit(body)
	if err != nil {
		return nil, err
	}
	var over leftovers
	t, o, err := s.beginCommit(req, held(req.writes, body), &over)
	over.end()
	switch {
	case err != nil:
		return refusal(err), nil
	case t == nil:
		return s.answerOf(ctx, o)
	}
	for _, w := range req.writes {
		w.apply(t.inner)
	}
	err = t.inner.Commit()
	var reply []byte
	if err != nil {
		reply = encodeFault(statusFailed, err)
	} else {
		reply = putU64([]byte{byte(statusOK)}, uint64(t.inner.Committed()))
	}
	s.committed(t, o, reply, err == nil)
	return reply, nil
}

// beginCommit takes a transaction out of the table, or makes the one that the
// request brings as a whole, and remembers that its commit has begun. For a copy it
// returns no transaction, and the outcome of the first.
func (s *Server) beginCommit(req commitRequest, size int, over *leftovers) (*txn, *outcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.enter(req.header, over)
	if err != nil {
		return nil, nil, err
	}
	if o := c.outcomes[req.number]; o != nil {
		s.copies++
		return nil, o, nil
	}
	if req.number < c.floor {
		return nil, nil, fmt.Errorf("%w: the outcome is not remembered any more", store.ErrCommitUnknown)
	}
	if s.draining {
		return nil, nil, errDraining
	}
	o := s.remember(c, req.number)
	t, err := s.advance(c, req.txn, req.step, size, over)
	if err != nil {
		o.settle(refusal(err)) // copies are refused too
		return nil, nil, err
	}
	return t, o, nil
}

// committed remembers an outcome. The watches of a transaction that committed are
// now the client's, unless the server is about to end.
func (s *Server) committed(t *txn, o *outcome, reply []byte, applied bool) {
	var over leftovers
	s.mu.Lock()
	c := t.client
	c.busy--
	t.busy = false
	if !t.dropped {
		s.drop(t, &over)
	} else {
		over.txns = append(over.txns, t)
	}
	for _, n := range slices.Sorted(maps.Keys(t.watches)) {
		switch {
		case !applied: // the engine has ended them
		case c.gone, s.draining:
			over.watches = append(over.watches, t.watches[n])
		default:
			c.watches[n] = t.watches[n]
		}
	}
	s.touch(c)
	tell := o.settle(reply)
	s.mu.Unlock()
	tell()
	over.end()
}

// serveWatch waits for a watch to fire, for as long as the request says.
func (s *Server) serveWatch(ctx context.Context, body []byte) ([]byte, error) {
	req, err := decodeWatch(body)
	if err != nil {
		return nil, err
	}
	var over leftovers
	s.mu.Lock()
	c, err := s.enter(req.header, &over)
	var w store.Watch
	if err == nil {
		if w = c.watches[req.watch]; w != nil {
			c.busy++
		}
	}
	s.mu.Unlock()
	over.end()
	switch {
	case err != nil:
		return refusal(err), nil
	case w == nil:
		return refusal(fmt.Errorf("%w: no such watch", store.ErrUnavailable)), nil
	}
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		c.busy--
		s.touch(c)
	}()
	wait, cancel := s.host.WithTimeout(ctx, min(time.Duration(req.forMsec)*time.Millisecond, s.o.PollMax))
	defer cancel()
	err = w.Wait(wait)
	switch {
	case err == nil:
		return putBool([]byte{byte(statusOK)}, true), nil
	case wait.Err() != nil:
		return putBool([]byte{byte(statusOK)}, false), nil
	default:
		return encodeFault(statusFailed, err), nil
	}
}
