package onsimfdb

import (
	"bytes"
	"errors"
	"testing"

	"github.com/kelpie-registry/kelpie/litmus"
	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/sim/simfdb"
)

// wrongSession is a native client with a bug.
type wrongSession struct {
	litmus.Session
	do func(t litmus.Transaction, s *litmus.Step, version int64) litmus.Answer
}

type wrongTransaction struct {
	litmus.Transaction
	do func(t litmus.Transaction, s *litmus.Step, version int64) litmus.Answer
}

func (s wrongSession) Begin(client int) litmus.Transaction {
	return wrongTransaction{s.Session.Begin(client), s.do}
}

func (t wrongTransaction) Do(s *litmus.Step, version int64) litmus.Answer {
	step := *s
	return t.do(t.Transaction, &step, version)
}

// changed is a client that changes steps before it takes them.
func changed(f func(s *litmus.Step)) func(t litmus.Transaction, s *litmus.Step, version int64) litmus.Answer {
	return func(t litmus.Transaction, s *litmus.Step, version int64) litmus.Answer {
		f(s)
		return t.Do(s, version)
	}
}

// answered is a client that changes answers.
func answered(f func(s *litmus.Step, a *litmus.Answer)) func(t litmus.Transaction, s *litmus.Step, version int64) litmus.Answer {
	return func(t litmus.Transaction, s *litmus.Step, version int64) litmus.Answer {
		a := t.Do(s, version)
		f(s, &a)
		return a
	}
}

// instead is a client that takes one atomic operation for another.
func instead(of, op litmus.Atomic) func(t litmus.Transaction, s *litmus.Step, version int64) litmus.Answer {
	return changed(func(s *litmus.Step) {
		if s.Kind == litmus.AtomicOp && s.Op == of {
			s.Op = op
		}
	})
}

// without is a client that ignores an option.
func without(o litmus.Option) func(t litmus.Transaction, s *litmus.Step, version int64) litmus.Answer {
	return func(t litmus.Transaction, s *litmus.Step, version int64) litmus.Answer {
		if s.Kind == litmus.SetOption && s.Option == o {
			return litmus.Answer{}
		}
		return t.Do(s, version)
	}
}

// bugs are clients that programs must tell from the right one.
var bugs = []struct {
	name string
	do   func(t litmus.Transaction, s *litmus.Step, version int64) litmus.Answer
}{
	{"a selector one off", changed(func(s *litmus.Step) {
		if s.Kind == litmus.GetKey && s.From.Offset > 1 {
			s.From.Offset--
		}
	})},
	{"or-equal is ignored", changed(func(s *litmus.Step) { s.From.OrEqual = false })},
	{"the end selector of a range is or-equal", changed(func(s *litmus.Step) { s.To.OrEqual = true })},
	{"selectors before the first key find it", answered(func(s *litmus.Step, a *litmus.Answer) {
		if s.Kind == litmus.GetKey && a.Key == "" {
			a.Key = "a"
		}
	})},
	{"max for byte-max", instead(litmus.ByteMax, litmus.Max)},
	{"min for byte-min", instead(litmus.ByteMin, litmus.Min)},
	{"byte-max for max", instead(litmus.Max, litmus.ByteMax)},
	{"or for xor", instead(litmus.BitXor, litmus.BitOr)},
	{"or for and", instead(litmus.BitAnd, litmus.BitOr)},
	{"addition for append", instead(litmus.AppendIfFits, litmus.AtomicAdd)},
	{"compare and clear always clears", changed(func(s *litmus.Step) {
		if s.Kind == litmus.AtomicOp && s.Op == litmus.CompareAndClear {
			s.Kind = litmus.Clear
		}
	})},
	{"a hidden write is not hidden", func(t litmus.Transaction, s *litmus.Step, version int64) litmus.Answer {
		if s.Kind == litmus.HideWrite {
			return litmus.Answer{}
		}
		return t.Do(s, version)
	}},
	{"a stamped key one byte off", changed(func(s *litmus.Step) {
		if s.Kind == litmus.SetStampedKey && s.N > 0 {
			s.N--
		}
	})},
	{"a read version that is set is not used", func(t litmus.Transaction, s *litmus.Step, version int64) litmus.Answer {
		if s.Kind == litmus.SetReadVersion {
			return litmus.Answer{}
		}
		return t.Do(s, version)
	}},
	{"selectors add no conflict ranges", answered(func(s *litmus.Step, a *litmus.Answer) {
		if s.Kind == litmus.Conflicts {
			a.Reads = nil
		}
	})},
	{"reset keeps the writes", func(t litmus.Transaction, s *litmus.Step, version int64) litmus.Answer {
		if s.Kind == litmus.Reset {
			return litmus.Answer{}
		}
		return t.Do(s, version)
	}},
	{"every error is retried", func(t litmus.Transaction, s *litmus.Step, version int64) litmus.Answer {
		if s.Kind == litmus.OnError {
			s.N = simfdb.CodeNotCommitted
		}
		return t.Do(s, version)
	}},
	{"a canceled transaction is used during its commit", answered(func(_ *litmus.Step, a *litmus.Answer) {
		if errors.Is(a.Err, simfdb.Error{Code: simfdb.CodeTransactionCancelled}) {
			a.Err = simfdb.Error{Code: simfdb.CodeUsedDuringCommit}
		}
	})},
	{"sizes leave the conflict ranges out", answered(func(s *litmus.Step, a *litmus.Answer) {
		if s.Kind == litmus.ApproximateSize && a.Size > 100 {
			a.Size -= 24
		}
	})},
	{"a read-only transaction has a stamp", answered(func(s *litmus.Step, a *litmus.Answer) {
		if s.Kind == litmus.Versionstamp && a.Err != nil {
			*a = litmus.Answer{Stamp: make([]byte, 10)}
		}
	})},
	{"reads see own writes whatever the option", without(litmus.ReadYourWritesDisable)},
	{"snapshot reads see own writes whatever the option", without(litmus.SnapshotRywDisable)},
	{"stamped values stay unreadable", without(litmus.BypassUnreadable)},
	{"system keys stay closed", without(litmus.ReadSystemKeys)},
	{"whoever only reads a locked database may write", without(litmus.ReadLockAware)},
	{"nothing tells which reads conflicted", without(litmus.ReportConflictingKeys)},
	{"no limit on the size", without(litmus.SizeLimit)},
	{"no limit on retries", without(litmus.RetryLimit)},
	{"any number of tags", without(litmus.Tags)},
	{"the small mode is medium", changed(func(s *litmus.Step) {
		if s.Kind == litmus.Iterate && s.Mode == litmus.Small {
			s.Mode = litmus.Medium
		}
	})},
	{"exact without limits is medium", changed(func(s *litmus.Step) {
		if s.Kind == litmus.Iterate && s.Mode == litmus.Exact {
			s.Mode = litmus.Medium
		}
	})},
	{"an iteration asks for all that it will take", changed(func(s *litmus.Step) {
		if s.Kind == litmus.Iterate && s.Limit == 0 && s.N > 0 {
			s.Limit = int(s.N)
		}
	})},
	{"the limit of the transaction is a byte higher", answered(func(s *litmus.Step, a *litmus.Answer) {
		if s.Kind == litmus.Commit && errors.Is(a.Err, simfdb.Error{Code: simfdb.CodeTransactionTooLarge}) {
			*a = litmus.Answer{}
		}
	})},
}

// enough is the number of programs within which each bug must show.
const enough = 2000

func TestWrongClientsAreTold(t *testing.T) {
	for _, bug := range bugs {
		t.Run(bug.name, func(t *testing.T) {
			right := &worlds{arena: sim.NewArena()}
			wrong := &worlds{arena: sim.NewArena(), spoil: func(s litmus.Session) litmus.Session { return wrongSession{s, bug.do} }}
			defer right.Close()
			defer wrong.Close()
			for seed := range uint64(enough) {
				p := litmus.Generate(litmus.Generation{Level: litmus.Client}, seed)
				want, err := right.Run(p, nil)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := wrong.Run(p, nil); err != nil || !bytes.Equal(want, got) {
					t.Logf("seed %d", seed)
					return
				}
			}
			t.Errorf("%d programs do not tell it from a right one", enough)
		})
	}
}
