package litmus

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/kelpie-registry/kelpie/store"
)

// ledger is what a driver knows of a program's versions: it gives them names
// that any correct store agrees on. The n-th commit's version is vn. A read
// version is named after the last commit that it sees: how far beyond that it
// lies is the store's affair, as is the order number in a stamp.
type ledger struct {
	commits     []int64  // versions, in the order of the answers
	stamps      []string // the first eight bytes of the stamp of each
	readHighest int64    // of the read versions that were asked for
	touched     [][]Span // what each commit without an error may have written
}

func (l *ledger) first() int64 {
	if len(l.commits) == 0 {
		return 0
	}
	return l.commits[0]
}

func (l *ledger) last() int64 {
	if len(l.commits) == 0 {
		return 0
	}
	return l.commits[len(l.commits)-1]
}

// commit names the version of a commit that has just been acknowledged. It must
// be above all that was known before.
func (l *ledger) commit(v int64) string {
	above := v > l.last()
	l.commits = append(l.commits, v)
	l.stamps = append(l.stamps, string(binary.BigEndian.AppendUint64(nil, uint64(v))))
	name := fmt.Sprintf("v%d", len(l.commits))
	switch {
	case !above:
		return name + ", not above the commit before"
	case v <= l.readHighest:
		return name + ", not above a read version"
	default:
		return name
	}
}

// readVersion names a read version. fresh: it was taken just now, so that it
// must not be below one taken before; set: the program gave it.
func (l *ledger) readVersion(v int64, fresh, set bool) string {
	name := l.readName(v)
	if set {
		return name
	}
	if fresh && v < l.readHighest {
		name += ", below an earlier one"
	}
	l.readHighest = max(l.readHighest, v)
	return name
}

// readName is the name of the last commit that a read version sees.
func (l *ledger) readName(v int64) string {
	sees := 0
	for _, c := range l.commits {
		if c <= v {
			sees++
		}
	}
	return fmt.Sprintf("v%d", sees)
}

// name names a commit version that was acknowledged before.
func (l *ledger) name(v int64) string {
	if v <= 0 {
		return "none"
	}
	for i, c := range l.commits {
		if c == v {
			return fmt.Sprintf("v%d", i+1)
		}
	}
	return "unknown version"
}

// value prints a value, nil for none.
func (l *ledger) value(v []byte) string {
	if v == nil {
		return "nil"
	}
	return l.bytes(string(v))
}

// bytes prints a key or a value in which each stamp is replaced by the name of
// its commit.
func (l *ledger) bytes(s string) string {
	at, commit := l.stamp(s)
	if at < 0 {
		return quote(s)
	}
	name := fmt.Sprintf("{v%d}", commit+1)
	if at > 0 {
		name = quote(s[:at]) + name
	}
	if rest := s[at+store.StampBytes:]; rest != "" {
		name += l.bytes(rest)
	}
	return name
}

// stamp finds the first stamp in s.
func (l *ledger) stamp(s string) (at, commit int) {
	at = -1
	if len(s) < store.StampBytes {
		return at, 0
	}
	for i, stamp := range l.stamps {
		if n := strings.Index(s[:len(s)-2], stamp); n >= 0 && (at < 0 || n < at) {
			at, commit = n, i
		}
	}
	return at, commit
}

func (l *ledger) rows(rows []store.KeyValue, more bool) string {
	var b strings.Builder
	b.WriteByte('[')
	for i, kv := range rows {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(l.bytes(string(kv.Key)))
		b.WriteByte('=')
		b.WriteString(l.value(kv.Value))
	}
	b.WriteByte(']')
	if more {
		b.WriteString(" more")
	}
	return b.String()
}
