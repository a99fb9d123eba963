package simfdb

import "fmt"

// The commands of recorded facts that write or set options.

// mutate makes a mutation.
func mutate(tx *recited, args []string) (string, bool) {
	arg := func(i int) []byte {
		if i < len(args) {
			return literal(args[i])
		}
		return nil
	}
	switch args[0] {
	case "set":
		tx.Set(arg(1), arg(2))
	case "clear":
		tx.Clear(arg(1))
	case "clearrange":
		tx.ClearRange(arg(1), arg(2))
	case "add":
		tx.Add(arg(1), arg(2))
	case "atomic":
		tx.Atomic(MutationType(number(args[1])), arg(2), arg(3))
	case "stampkey": // key and value, the offset behind
		tx.SetVersionstampedKey(withOffset(arg(1), args[3]), arg(2))
	case "stampval":
		tx.SetVersionstampedValue(arg(1), withOffset(arg(2), args[3]))
	case "fill":
		for i := range number(args[1]) {
			tx.Set(fmt.Appendf(nil, "key-%05d", i), make([]byte, 100_000))
		}
	case "load": // rows of 15-byte keys and 100-byte values
		for i := range number(args[1]) {
			tx.Set(fmt.Appendf(nil, "r/%08d/abcd", i), make([]byte, 100))
		}
	case "readconflict", "writeconflict":
		add := tx.AddReadConflictRange
		if args[0] == "writeconflict" {
			add = tx.AddWriteConflictRange
		}
		end := append(arg(1), 0)
		if len(args) > 2 {
			end = arg(2)
		}
		return outcome(add(arg(1), end)), true
	case "readmany": // conflict keys of that length
		for i := range number(args[1]) {
			_ = tx.AddReadConflictKey(fmt.Appendf(nil, "%0*d", number(args[2]), i)) // none is inverted
		}
	default:
		return "", false
	}
	return "", true
}

func withOffset(b []byte, offset string) []byte {
	n := uint32(number(offset))
	return append(b, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
}

// option sets an option.
func (tx *recited) option(args []string) (string, bool) {
	if args[0] != "option" {
		return "", false
	}
	o := tx.Options()
	n := int64(0)
	if len(args) > 2 {
		n = number(args[2])
	}
	set := map[string]func() error{
		"timeout":           func() error { return o.SetTimeout(n) },
		"retry_limit":       func() error { return o.SetRetryLimit(n) },
		"max_retry_delay":   func() error { return o.SetMaxRetryDelay(n) },
		"size_limit":        func() error { return o.SetSizeLimit(n) },
		"ryw_disable":       o.SetReadYourWritesDisable,
		"snapshot_disable":  o.SetSnapshotRywDisable,
		"snapshot_enable":   o.SetSnapshotRywEnable,
		"hidden":            o.SetNextWriteNoWriteConflictRange,
		"bypass_unreadable": o.SetBypassUnreadable,
		"unprotected":       o.SetUsedDuringCommitProtectionDisable,
		"read_system":       o.SetReadSystemKeys,
		"access_system":     o.SetAccessSystemKeys,
		"special_writes":    o.SetSpecialKeySpaceEnableWrites,
		"lock_aware":        o.SetLockAware,
		"read_lock_aware":   o.SetReadLockAware,
		"report_conflicts":  o.SetReportConflictingKeys,
		"idempotency":       o.SetAutomaticIdempotency,
		"batch":             o.SetPriorityBatch,
		"immediate":         o.SetPrioritySystemImmediate,
		"risky":             o.SetCausalReadRisky,
		"tag":               func() error { return o.SetTag(args[2]) },
	}[args[1]]
	if set == nil {
		return "", false
	}
	return outcome(set()), true
}
