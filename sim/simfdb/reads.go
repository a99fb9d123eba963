package simfdb

import "errors"

// Snapshot reads like its transaction, and adds no read conflict ranges.
type Snapshot struct{ t *Transaction }

// Snapshot returns the means to read without conflicts.
func (t *Transaction) Snapshot() Snapshot { return Snapshot{t} }

// Get returns the value of key; nil when there is none.
func (t *Transaction) Get(key []byte) *FutureByteSlice { return t.life.getLater(key, false) }

// Get is [Transaction.Get].
func (s Snapshot) Get(key []byte) *FutureByteSlice { return s.t.life.getLater(key, true) }

// GetReadVersion is [Transaction.GetReadVersion].
func (s Snapshot) GetReadVersion() *FutureInt64 { return s.t.GetReadVersion() }

// getLater starts the read of a key.
func (l *life) getLater(key []byte, snapshot bool) *FutureByteSlice {
	f := newFuture[[]byte](l)
	f.read = true
	if string(key) >= firstSpecialKey {
		return l.getSpecial(f, string(key))
	}
	if err := l.usable("get"); err != nil {
		return f.fail(err)
	}
	look := &lookup{KeyRange: pointOf(key)}
	if err := l.look(look, snapshot); err != nil {
		return f.fail(err)
	}
	if look.known {
		return f.ready(bytesOf(look.value, look.present))
	}
	look.keepOwn()
	later(f, func() ([]byte, error) {
		err := l.fetch(look)
		return bytesOf(look.value, look.present), err
	})
	return f
}

// bytesOf returns a value as it is handed out: nil for none.
func bytesOf(value string, present bool) []byte {
	if !present {
		return nil
	}
	b := make([]byte, len(value))
	copy(b, value)
	return b
}

// lookup is the read of one key.
type lookup struct {
	KeyRange // the key alone
	value    string
	present  bool
	known    bool        // value and present are what the transaction sees
	own      *writeEntry // that changes the stored value; nil: none
}

// keepOwn makes the lookup see its key as it is written at this time.
func (k *lookup) keepOwn() {
	if k.own != nil {
		own := *k.own
		k.own = &own
	}
}

// noteFailure notes the first read that failed: the commit will fail as well.
func (l *life) noteFailure(err error) {
	var e Error
	if err != nil && l.failed == nil && errors.As(err, &e) {
		l.failed = err
	}
}

// readsOwn reports whether a read sees the transaction's writes.
func (l *life) readsOwn(snapshot bool) bool {
	return !l.options.unreadWrites && (!snapshot || l.options.snapshotHides <= 0)
}

// look reads a key as far as that needs no server, and adds its conflict range.
func (l *life) look(k *lookup, snapshot bool) error {
	key := k.Begin
	if key >= l.maxRead() {
		return Error{CodeKeyOutsideLegalRange}
	}
	if len(key) > maxKeyBytes(key) {
		k.known = true // there is no such key
		return nil
	}
	if l.readsOwn(snapshot) && !l.writes.empty() {
		if err := l.lookAtWrites(k); err != nil || k.known {
			return err
		}
	}
	if !snapshot {
		l.approximate += k.size()
		l.reads.add(k.KeyRange)
	}
	if l.options.unreadWrites {
		return nil
	}
	if value, present, ok := l.cache.get(key); ok {
		k.see(value, present)
	}
	return nil
}

// lookAtWrites is look among the transaction's own writes.
func (l *life) lookAtWrites(k *lookup) error {
	e := l.writes.entry(k.Begin)
	unreadable := e != nil && e.unreadable || l.writes.unreadable.contains(k.Begin)
	switch {
	case unreadable && !l.options.bypassUnreadable:
		return l.unreadable()
	case unreadable && e != nil:
		k.value, k.present = e.value("", false)
		k.known = true
	case e != nil && e.dependent():
		k.own = e
	case e != nil:
		k.value, k.present = e.value("", false)
		k.known = true
	case l.writes.clears.contains(k.Begin):
		k.known = true
	}
	return nil
}

// unreadable makes the commit fail for a read of what only the commit can tell.
func (l *life) unreadable() error {
	err := Error{CodeAccessedUnreadable}
	l.noteFailure(err)
	return err
}

// see gives a lookup its stored value, with the transaction's own changes to it.
func (k *lookup) see(value string, present bool) {
	k.value, k.present, k.known = value, present, true
	if k.own != nil {
		k.value, k.present = k.own.value(value, present)
	}
}

// fetch reads keys from the storage server.
func (l *life) fetch(lookups ...*lookup) error {
	r := &readRequest{}
	r.keys = r.roomForKeys[:0]
	for _, k := range lookups {
		r.keys = append(r.keys, k.Begin)
	}
	reply, err := l.send(r, "get")
	if err != nil {
		return err
	}
	for i, k := range lookups {
		n := 0
		if reply.found[i] {
			n = 1
		}
		if !l.options.unreadWrites {
			l.cache.learn(k.KeyRange, reply.values[i:i+n:i+n])
		}
		k.see(reply.values[i].value, reply.found[i])
	}
	return nil
}

// send makes a read at the transaction's read version.
func (l *life) send(r *readRequest, doing string) (*readReply, error) {
	if err := l.ensureReadVersion(); err != nil {
		return nil, err
	}
	if l.over != nil {
		return nil, l.over
	}
	cl := l.client
	r.id, r.version, r.base = cl.nextID(), l.readVersion, l.base
	r.call.life = l
	if err := endOf(&r.call, cl.do(l.ctx, &r.call, cl.c.storageName, r), doing); err != nil {
		return nil, err
	}
	return r.call.reply.(*readReply), nil
}

// readConflict adds the read conflict ranges of a read of r: the keys whose
// stored value it needed.
func (l *life) readConflict(w *writeMap, r KeyRange) {
	if r.empty() {
		return
	}
	w.stored(r, func(part KeyRange) {
		l.approximate += r.size()
		l.reads.add(part)
	})
}
