package storetest

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"

	"github.com/kelpie-registry/kelpie/store"
)

// script is a history as it was drawn: what each client does, one transaction
// after the other. How the clients meet is the world's affair.
type script struct {
	clients [][]scriptTxn
}

// scriptTxn is a transaction of a script.
type scriptTxn struct {
	blind   bool // takes no read version
	givenUp bool
	calls   []op
}

// Sizes of a script.
const (
	scriptTxns  = 6 // of each client
	scriptCalls = 5 // of each transaction
)

// drawScript draws a script of calls that the engine supports. What rapid finds
// simpler is fewer clients, transactions and calls, reads before writes, and
// the first keys.
func drawScript(t *rapid.T, h *Harness) script {
	var s script
	values := 0
	for range rapid.IntRange(2, Clients).Draw(t, "clients") {
		var txns []scriptTxn
		for range rapid.IntRange(1, scriptTxns).Draw(t, "transactions") {
			txn := scriptTxn{
				blind:   rapid.IntRange(0, 7).Draw(t, "blind") == 7,
				givenUp: rapid.IntRange(0, 15).Draw(t, "given up") == 15,
			}
			for range rapid.IntRange(1, scriptCalls).Draw(t, "calls") {
				values++
				if o := drawOp(t, h, values); !txn.blind || !o.needsVersion() {
					txn.calls = append(txn.calls, o)
				}
			}
			txns = append(txns, txn)
		}
		s.clients = append(s.clients, txns)
	}
	return s
}

// drawOp draws a call. n makes its value one of its own.
func drawOp(t *rapid.T, h *Harness, n int) op {
	kinds := []opKind{opGet, opGet, opRange, opSet, opSet, opClear, opClearRange, opAdd}
	if h.has(Stamps) {
		kinds = append(kinds, opStamp)
	}
	if h.has(ExplicitConflicts) {
		kinds = append(kinds, opReadConflict, opWriteConflict)
	}
	key := rapid.SampledFrom(universe)
	o := op{kind: rapid.SampledFrom(kinds).Draw(t, "call"), key: key.Draw(t, "key")}
	switch o.kind {
	case opGet:
		o.snapshot = rapid.IntRange(0, 3).Draw(t, "snapshot") == 3
	case opRange, opClearRange, opReadConflict, opWriteConflict:
		o.end = key.Draw(t, "end")
		if o.end < o.key {
			o.key, o.end = o.end, o.key
		}
		if o.kind == opRange {
			o.snapshot = rapid.IntRange(0, 3).Draw(t, "snapshot") == 3
			o.limit = rapid.IntRange(0, 3).Draw(t, "limit")
			o.reverse = rapid.Bool().Draw(t, "reverse")
		}
	case opSet:
		o.value = fmt.Sprintf("v%d", n)
	case opAdd:
		o.delta = rapid.Int64Range(-3, 300).Draw(t, "delta")
	case opStamp:
		o.value = string(make([]byte, store.StampBytes))
	case opClear:
	}
	return o
}

// String prints the script as it would be written.
func (s script) String() string {
	var b strings.Builder
	for i, txns := range s.clients {
		for n, txn := range txns {
			fmt.Fprintf(&b, "client %d, transaction %d, blind %v, given up %v:\n", i, n, txn.blind, txn.givenUp)
			for _, o := range txn.calls {
				fmt.Fprintf(&b, "    %v\n", o)
			}
		}
	}
	return b.String()
}

// play runs the script, all clients at once, and judges what they saw.
func (s script) play(l *lab) error {
	h := &history{}
	work := make([]func(c *client) error, len(s.clients))
	for i, txns := range s.clients {
		work[i] = func(c *client) error {
			for n, txn := range txns {
				if err := h.attempt(c, n, txn.fill); err != nil {
					return err
				}
			}
			return nil
		}
	}
	return h.conclude(l, work...)
}

// fill makes the calls of the transaction.
func (s scriptTxn) fill(tx store.Txn, r *record) error {
	if !s.blind {
		rv, err := tx.ReadVersion()
		if err != nil {
			return err
		}
		r.rv = rv
	}
	for _, o := range s.calls {
		if err := r.call(tx, o); err != nil {
			return err
		}
	}
	if s.givenUp {
		return errGivenUp
	}
	r.stamp(tx)
	return nil
}
