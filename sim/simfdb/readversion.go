package simfdb

import "context"

// How a transaction comes by its read version.

// GetReadVersion returns the version that reads see. It may be called while a
// commit is under way.
func (t *Transaction) GetReadVersion() *FutureInt64 {
	l := t.life
	f := newFuture[int64](l)
	if err := firstError(l.deferred, l.over, l.reachable("read version")); err != nil {
		return f.fail(err)
	}
	if l.readVersion != invalidVersion {
		return f.ready(int64(l.readVersion))
	}
	later(f, func() (int64, error) {
		err := l.ensureReadVersion()
		return int64(l.readVersion), err
	})
	return f
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// ensureReadVersion asks for the read version, once for all calls that need it.
func (l *life) ensureReadVersion() error {
	for l.asking && l.readVersion == invalidVersion {
		if l.asked == nil {
			l.asked = l.client.h.NewEvent()
		}
		if err := l.asked.Wait(l.ctx); err != nil {
			return err
		}
	}
	switch {
	case l.readVersion != invalidVersion:
		return nil
	case l.versionError != nil:
		return l.versionError
	case l.over != nil && !l.detached:
		return l.over
	}
	l.asking = true
	reply, err := l.askReadVersion()
	l.asking = false
	if l.asked != nil {
		l.asked.Set()
		l.asked = nil
	}
	if err == nil && reply.locked && !l.options.lockAware {
		err = Error{CodeDatabaseLocked}
	}
	if err != nil {
		if _, ok := err.(Error); ok && (l.over == nil || l.detached) { //nolint:errorlint // exactly this type: an answer of the cluster
			l.versionError = err
		}
		l.grv = grvRequest{}
		return err
	}
	if l.readVersion == invalidVersion { // not set meanwhile
		l.readVersion, l.base = reply.version, reply.base
	}
	return nil
}

// SetReadVersion makes reads see version v, which the transaction need not have
// asked for. Error 2010 when it has a version already, 2011 when v is not above 0.
func (t *Transaction) SetReadVersion(v int64) {
	l := t.life
	version := Version(v)
	switch {
	case l.deferred != nil:
	case l.readVersion != invalidVersion:
		l.refuse(CodeReadVersionAlreadySet)
	case version <= 0:
		l.refuse(CodeVersionInvalid)
	default:
		l.readVersion, l.base = version, version
		if last := l.client.lately; last.base <= version && version <= last.version {
			l.base = last.base
		}
	}
}

// askReadVersion asks for the life's read version, alone or with others.
func (l *life) askReadVersion() (*grvReply, error) {
	l.grv.priority, l.grv.tags = l.options.priority, l.options.tags
	if l.client.c.o.ReadVersionBatch > 0 {
		return l.client.batchedReadVersion(l)
	}
	if !l.detached {
		l.grv.call.life = l
	}
	return l.client.grv(l.ctx, &l.grv)
}

// grv asks for a read version.
func (cl *Client) grv(ctx context.Context, r *grvRequest) (*grvReply, error) {
	r.id = cl.nextID()
	if err := endOf(&r.call, cl.do(ctx, &r.call, cl.c.proxyName, r), "read version"); err != nil {
		return nil, err
	}
	reply := r.call.reply.(*grvReply)
	cl.lately.version, cl.lately.base = reply.version, reply.base
	return reply, nil
}
