package simfdb

import (
	"slices"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
)

// watchTable is what a storage server watches. It lives in memory.
type watchTable struct {
	watchers []*watcher // by client, in the order of their first request
}

// watcher is the watches of one client.
type watcher struct {
	from    *sim.Port
	serial  uint64 // of the last request
	expires time.Duration
	watches []watched
}

// watched is a watch that has not fired. It is looked at when something may
// have changed.
type watched struct {
	watch *Watch
	look  bool
}

// renew makes the client's watches those of the request. Clients that have
// stopped renewing are forgotten.
func (t *watchTable) renew(from *sim.Port, r *watchRequest, now, keepalive time.Duration) {
	t.watchers = slices.DeleteFunc(t.watchers, func(w *watcher) bool { return w.expires <= now })
	i := slices.IndexFunc(t.watchers, func(w *watcher) bool { return w.from == from })
	switch {
	case i < 0 && len(r.watches) == 0:
		return
	case i < 0:
		i = len(t.watchers)
		t.watchers = append(t.watchers, &watcher{from: from})
	case r.serial <= t.watchers[i].serial:
		return // overtaken by a later request
	}
	w := t.watchers[i]
	w.serial = r.serial
	w.expires = now + 3*keepalive
	w.watches = w.watches[:0]
	for _, watch := range r.watches {
		w.watches = append(w.watches, watched{watch, true})
	}
	if len(w.watches) == 0 {
		t.watchers = slices.Delete(t.watchers, i, i+1)
	}
}

// changed marks the watches whose keys an entry changes.
func (t *watchTable) changed(e *logEntry) {
	for _, w := range t.watchers {
		for i := range w.watches {
			w.watches[i].look = w.watches[i].look || e.touches(w.watches[i].watch.key)
		}
	}
}

func (e *logEntry) touches(key string) bool {
	for _, m := range e.mutations {
		if m.key == key && m.kind != mutationClearRange {
			return true
		}
		if m.kind == mutationClearRange && m.key <= key && key < m.param {
			return true
		}
	}
	return false
}

// firing is a watch to be reported to its client.
type firing struct {
	from  *sim.Port
	watch *Watch
}

// due removes and returns the watches whose key has, at version v, another
// value than the one they were made for.
func (t *watchTable) due(data *versionedMap, v Version) []firing {
	var fired []firing
	for _, w := range t.watchers {
		w.watches = slices.DeleteFunc(w.watches, func(x watched) bool {
			if !x.look || x.watch.version > v {
				return false
			}
			value, present := data.get(x.watch.key, v)
			if present == x.watch.present && value == x.watch.value {
				return false
			}
			fired = append(fired, firing{w.from, x.watch})
			return true
		})
		for i := range w.watches {
			w.watches[i].look = w.watches[i].watch.version > v
		}
	}
	return fired
}

// ahead reports whether a watch waits for a version behind v.
func (t *watchTable) ahead(v Version) bool {
	for _, w := range t.watchers {
		for _, x := range w.watches {
			if x.watch.version > v {
				return true
			}
		}
	}
	return false
}
