package simfdb

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/kelpie-registry/kelpie/store"
)

// How recorded facts read what they ask for and write what they see.

// ask answers the commands that look at a transaction.
func (r *recital) ask(tx *recited, args []string) (string, error) {
	other := r.transactions[args[len(args)-1]]
	switch args[0] {
	case "result": // of a commit with a further write, as the recording made it
		conflicts := "read conflict: " + tx.special("read_conflict_range") + " | write conflict: " + tx.special("write_conflict_range")
		tx.Set([]byte("zz-out"), nil)
		return "T1 commit: " + outcome(tx.Commit().Get()) + " | " + conflicts, nil
	case "reads":
		return tx.special("read_conflict_range"), nil
	case "writes":
		return tx.special("write_conflict_range"), nil
	case "conflicting":
		return tx.special("conflicting_keys"), nil
	case "size":
		n, err := tx.GetApproximateSize().Get()
		return fmt.Sprint(n), err
	case "version":
		return fmt.Sprint(tx.GetCommittedVersion()), nil
	case "stampok":
		stamp := tx.stamp()
		v, err := store.StampVersion(stamp, 0)
		return fmt.Sprint(err == nil && int64(v) == tx.GetCommittedVersion() && stamp[8] == 0 && stamp[9] == 0), nil
	case "behind": // the other's commit: read version minus commit version
		return fmt.Sprint(tx.readVersion - other.life.committed), nil
	case "past":
		return fmt.Sprint(tx.readVersion - other.readVersion), nil
	case "above":
		return fmt.Sprint(tx.life.committed - other.life.committed), nil
	case "gap":
		return fmt.Sprint(tx.life.committed - tx.readVersion), nil
	case "took":
		return tx.took.Round(100 * time.Millisecond).String(), nil
	case "chunk", "chunks":
		return tx.chunks(args)
	case "iterate": // takes that many rows, in that mode
		it := tx.GetRange(selectorOf(">="+args[2]), selectorOf(">="+args[3]), RangeOptions{Mode: modes[args[4]]}).Iterator()
		for range number(args[1]) {
			if !it.Advance() {
				return "", fmt.Errorf("too few rows")
			}
			if _, err := it.Get(); err != nil {
				return "", err
			}
		}
		return "", nil
	case "estimate":
		n, err := tx.GetEstimatedRangeSizeBytes(literal(args[1]), literal(args[2])).Get()
		return fmt.Sprint(n), err
	case "identities", "identity":
		return tx.identities(r, args[0] == "identity")
	case "split":
		points, err := tx.GetRangeSplitPoints(literal(args[1]), literal(args[2]), number(args[3])).Get()
		return fmt.Sprint(len(points)), err
	}
	return "", fmt.Errorf("unknown command %q", args)
}

// stamp returns the stamp of the transaction's commit.
func (tx *recited) stamp() []byte {
	stamp, err := tx.life.versionstamp()
	if err != nil {
		return make([]byte, store.StampBytes)
	}
	return stamp
}

// special reads conflict ranges from the special keys.
func (tx *recited) special(name string) string {
	prefix := specialTransaction + name + "/"
	rows, err := tx.GetRange(FirstGreaterOrEqual([]byte(prefix)), FirstGreaterOrEqual([]byte(prefixEnd(prefix))), RangeOptions{}).GetSliceWithError()
	if err != nil {
		return failure(err)
	}
	if len(rows) == 0 {
		return "none"
	}
	var out []string
	begin := ""
	for _, kv := range rows {
		key := showKey(strings.TrimPrefix(string(kv.Key), prefix))
		if string(kv.Value) == "1" {
			begin = key
		} else {
			out = append(out, "["+begin+", "+key+")")
		}
	}
	return strings.Join(out, " ")
}

var modes = map[string]StreamingMode{
	"want_all": StreamingModeWantAll, "iterator": StreamingModeIterator, "exact": StreamingModeExact,
	"small": StreamingModeSmall, "medium": StreamingModeMedium, "large": StreamingModeLarge, "serial": StreamingModeSerial,
	"unknown": 10,
}

// chunks reads one answer, or all of them in turn: begin, end, mode and options.
func (tx *recited) chunks(args []string) (string, error) {
	o := ChunkOptions{Mode: modes[args[3]], Iteration: 1}
	for _, a := range args[4:] {
		name, value, _ := strings.Cut(a, "=")
		field := map[string]*int{"limit": &o.Limit, "bytes": &o.TargetBytes, "iteration": &o.Iteration}[name]
		if field == nil {
			o.Reverse = true
			continue
		}
		*field = int(number(value))
	}
	begin, end := FirstGreaterOrEqual(literal(args[1])), FirstGreaterOrEqual(literal(args[2]))
	c, err := tx.GetChunk(begin, end, o).Get()
	if args[0] == "chunk" {
		size := 0
		for _, kv := range c.KeyValues {
			size += len(kv.Key) + len(kv.Value)
		}
		return fmt.Sprintf("%d rows %d bytes more %v %s", len(c.KeyValues), size, c.More, outcome(err)), nil
	}
	var out []string
	for err == nil {
		out = append(out, fmt.Sprint(len(c.KeyValues)))
		if !c.More {
			return strings.Join(out, " ") + " more=false ok", nil
		}
		o.Iteration++
		c, err = tx.GetChunk(FirstGreaterThan(c.KeyValues[len(c.KeyValues)-1].Key), end, o).Get()
	}
	return "", err
}

func (r *recital) rows(rows []KeyValue, err error) string {
	if err != nil {
		return failure(err)
	}
	var out []string
	for _, kv := range rows {
		out = append(out, r.hideStamp(showKey(string(kv.Key)))+"="+r.show(kv.Value))
	}
	return "[" + strings.Join(out, " ") + "]"
}

// show prints a value: quoted text, or hex, with stamps that were given out
// replaced by their name.
func (r *recital) show(value []byte) string {
	switch {
	case value == nil:
		return "nil"
	case len(value) > 1000:
		return fmt.Sprintf("%d bytes", len(value))
	case strings.ContainsFunc(string(value), func(c rune) bool { return c < ' ' || c > '~' }):
		return r.hideStamp("0x" + hex.EncodeToString(value))
	default:
		return strconv.Quote(string(value))
	}
}

func (r *recital) hideStamp(shown string) string {
	for _, tx := range r.transactions {
		if tx.life.committed == invalidVersion {
			continue
		}
		stamp := tx.stamp()
		shown = strings.ReplaceAll(shown, hex.EncodeToString(stamp), "<stamp>")
		shown = strings.ReplaceAll(shown, showKey(string(stamp)), "<stamp>")
		shown = strings.ReplaceAll(shown, hex.EncodeToString(stamp[:8]), "<version>")
	}
	return shown
}

func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	s := strings.TrimPrefix(err.Error(), "fdb: ")
	s, _, _ = strings.Cut(s, ": simfdb")
	return s
}

func failure(err error) string { return "err " + outcome(err) }

func showKey(key string) string {
	if key == "" {
		return "(empty)"
	}
	var b strings.Builder
	for _, c := range []byte(key) {
		if c < ' ' || c > '~' {
			fmt.Fprintf(&b, "\\x%02x", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// literal reads a key or a value: (empty), 0x… in hex, x*n for n times the byte
// x, and \x00 and \xff for those bytes.
func literal(s string) []byte {
	switch {
	case s == "(empty)":
		return []byte{}
	case strings.HasPrefix(s, "0x"):
		b, err := hex.DecodeString(s[2:])
		if err != nil {
			panic(err)
		}
		return b
	case len(s) > 2 && s[1] == '*':
		return bytes.Repeat([]byte(s[:1]), int(number(s[2:])))
	}
	for _, c := range []byte{0, 1, 2, 0xfe, 0xff} {
		s = strings.ReplaceAll(s, fmt.Sprintf("\\x%02x", c), string([]byte{c}))
	}
	return []byte(s)
}

// selectorOf reads >=key, >key, <key, <=key, with +n behind.
func selectorOf(s string) KeySelector {
	s, plus, _ := strings.Cut(s, "+")
	for _, form := range []struct {
		prefix string
		make   func([]byte) KeySelector
	}{{">=", FirstGreaterOrEqual}, {">", FirstGreaterThan}, {"<=", LastLessOrEqual}, {"<", LastLessThan}} {
		if key, ok := strings.CutPrefix(s, form.prefix); ok {
			sel := form.make(literal(key))
			if plus != "" {
				sel = sel.Plus(int(number(plus)))
			}
			return sel
		}
	}
	panic("no selector: " + s)
}

// identities answers with the rows of automatic idempotency: how many there are,
// or the first.
func (tx *recited) identities(r *recital, first bool) (string, error) {
	rows, err := tx.GetRange(FirstGreaterOrEqual([]byte(identityPrefix)), FirstGreaterOrEqual([]byte(prefixEnd(identityPrefix))), RangeOptions{}).GetSliceWithError()
	if !first || len(rows) == 0 {
		return fmt.Sprintf("%d %s", len(rows), outcome(err)), nil
	}
	shown := r.hideStamp("0x" + hex.EncodeToString(rows[0].Key))
	return fmt.Sprintf("key %s value of %d bytes from 0x%x", shown, len(rows[0].Value), rows[0].Value[:8]), nil
}
