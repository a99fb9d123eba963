package simfdb

import (
	"slices"
	"strings"
)

// The special keys: what the client itself answers to reads of keys behind
// "\xff\xff". Each module is a range of them; of most only the place is known.
const (
	specialTransaction    = "\xff\xff/transaction/"
	specialReadConflicts  = specialTransaction + "read_conflict_range/"
	specialWriteConflicts = specialTransaction + "write_conflict_range/"
	specialConflicting    = specialTransaction + "conflicting_keys/"
	specialManagement     = "\xff\xff/management/"
	specialDatabaseLocked = specialManagement + "db_locked"
)

// databaseLockedKey is the system key that holds the lock of the database.
const databaseLockedKey = "\xff/dbLocked"

// lockChange is what a transaction does to the lock of the database.
type lockChange uint8

const (
	lockUnchanged lockChange = iota
	lockTaken
	lockReleased
)

// setSpecial changes the cluster.
func (l *life) setSpecial(key, value string) {
	if l.canWriteSpecial(key) {
		l.lock = lockTaken
		l.writes.write(mutation{kind: mutationSet, key: databaseLockedKey, param: value})
	}
}

// clearSpecial takes a change of the cluster back.
func (l *life) clearSpecial(key string) {
	if l.canWriteSpecial(key) {
		l.lock = lockReleased
		l.writes.clear(singleKey(databaseLockedKey))
	}
}

func (l *life) canWriteSpecial(key string) bool {
	switch {
	case l.deferred != nil:
	case !l.options.specialWrites:
		l.refuse(CodeSpecialKeysWriteDisabled)
	case key != specialDatabaseLocked:
		l.refuse(CodeSpecialKeysNoWriteModule)
	case l.started:
		l.misused()
		l.refuse(CodeUsedDuringCommit)
	default:
		return true
	}
	return false
}

// getSpecial reads a special key. It may be done while a commit is under way.
func (l *life) getSpecial(f *FutureByteSlice, key string) *FutureByteSlice {
	if l.deferred != nil {
		return f.fail(l.deferred)
	}
	if key == specialDatabaseLocked {
		return l.getLock(f)
	}
	rows, code := l.specialRows(singleKey(key))
	switch {
	case code != 0:
		return f.fail(Error{code})
	case len(rows) == 0:
		return f.ready(nil)
	default:
		return f.ready(rows[0].Value)
	}
}

// getLock reads the lock as the database has it, whether it is locked or not.
func (l *life) getLock(f *FutureByteSlice) *FutureByteSlice {
	if err := l.usable("get"); err != nil {
		return f.fail(err)
	}
	look := &lookup{KeyRange: singleKey(databaseLockedKey)}
	later(f, func() ([]byte, error) {
		err := l.fetch(look)
		return bytesOf(look.value, look.present), err
	})
	return f
}

// getSpecialRange reads a range of special keys.
func (l *life) getSpecialRange(f *Future[Chunk], begin, end string) *Future[Chunk] {
	if l.deferred != nil {
		return f.fail(l.deferred)
	}
	rows, code := l.specialRows(KeyRange{begin, end})
	if code != 0 {
		return f.fail(Error{code})
	}
	return f.ready(Chunk{KeyValues: rows})
}

// specialRows returns the special keys of a range, or an error number.
func (l *life) specialRows(r KeyRange) ([]KeyValue, int) {
	inside := func(module string) bool {
		return strings.HasPrefix(r.Begin, module) && r.End <= prefixEnd(module)
	}
	touches := func(module string) bool { return r.Begin < prefixEnd(module) && module < r.End }
	if !inside(specialTransaction) {
		if touches(specialTransaction) || touches(specialManagement) && !inside(specialManagement) {
			return nil, CodeSpecialKeysCrossModules
		}
		return nil, CodeSpecialKeysNoModule
	}
	var rows []KeyValue
	rows = append(rows, boundaries(specialConflicting, l.conflicting, r)...)
	rows = append(rows, boundaries(specialReadConflicts, l.reads.ranges, r)...)
	return append(rows, boundaries(specialWriteConflicts, l.writeConflicts(), r)...), 0
}

// prefixEnd returns the first key behind those that begin with prefix, whose last
// byte is not 0xff.
func prefixEnd(prefix string) string {
	last := len(prefix) - 1
	return prefix[:last] + string([]byte{prefix[last] + 1})
}

// boundaries shows ranges as the special keys do: "1" where one begins, "0" where
// it ends.
func boundaries(prefix string, ranges []KeyRange, within KeyRange) []KeyValue {
	var rows []KeyValue
	show := func(key, value string) {
		if key = prefix + key; within.contains(key) {
			rows = append(rows, KeyValue{Key: []byte(key), Value: []byte(value)})
		}
	}
	for _, r := range ranges {
		show(r.Begin, "1")
		show(r.End, "0")
	}
	return rows
}

// writeConflicts returns the write conflict ranges, and those that a versionstamped
// key may bring.
func (l *life) writeConflicts() []KeyRange {
	all := rangeSet{ranges: slices.Clone(l.written.ranges)}
	for _, m := range slices.Concat(l.writes.stampedKeys, l.direct) {
		if m.kind == SetVersionstampedKey {
			all.add(m.stampRange(l.readVersion, l.maxRead()))
		}
	}
	return all.ranges
}
