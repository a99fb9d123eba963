package simfdb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
)

// recital is a world in which the scripts of recorded facts run.
type recital struct {
	lab
	transactions map[string]*recited
}

// recited is a transaction of a script.
type recited struct {
	*Transaction
	h      *sim.Host
	client *Client
	watch  *Watch
	begun  map[string]func() string // calls that were not waited for
	took   time.Duration            // by the last step
}

func newRecital(t *testing.T, world []string) *recital {
	t.Helper()
	r := &recital{lab: *newLab(t, 1, Options{RecoveryMin: 400 * time.Millisecond, RecoveryMax: time.Second}), transactions: map[string]*recited{}}
	for _, step := range world {
		if err := r.check(&fact{}, step); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// do runs one command and returns its answer.
func (r *recital) do(args []string) (string, error) {
	switch args[0] {
	case "continue":
		return "", nil
	case "sleep":
		d, err := time.ParseDuration(args[1])
		r.run(d)
		return "", err
	case "kill", "down":
		for _, s := range r.c.Servers() {
			r.Lookup(s).Crash()
			if args[0] == "kill" {
				r.Lookup(s).Restart()
			}
		}
		return "", nil
	case "up":
		d, err := time.ParseDuration(args[1])
		r.After(d, "up", func() {
			for _, s := range r.c.Servers() {
				r.Lookup(s).Restart()
			}
		})
		return "", err
	case "db":
		tx := r.begin("db")
		out, err := r.step(tx, args[1:])
		if err == nil && args[1] != "get" && args[1] != "range" {
			out, err = r.step(tx, []string{"commit"})
			if out != "ok" {
				err = fmt.Errorf("db: %s", out)
			}
		}
		return out, err
	}
	tx := r.transactions[args[0]]
	if tx == nil {
		tx = r.begin(args[0])
		r.transactions[args[0]] = tx
	}
	return r.step(tx, args[1:])
}

// begin starts a transaction of the process of that name.
func (r *recital) begin(name string) *recited {
	p := r.Lookup(name)
	if p == nil {
		p = r.Process(name, sim.ProcessOptions{})
		p.Start(func(context.Context, *sim.Host) {})
		r.run(0)
	}
	tx := &recited{h: p.Host(), client: r.c.Client(p.Host()), begun: map[string]func() string{}}
	tx.Transaction = tx.client.CreateTransaction()
	return tx
}

// step runs a command in a task and waits for it.
func (r *recital) step(tx *recited, args []string) (string, error) {
	var out string
	var err error
	done := false
	tx.h.Go("step", func(context.Context) {
		started := r.Now()
		out, err = r.command(tx, args)
		if args[0] != "took" {
			tx.took = r.Now() - started
		}
		done = true
	})
	for limit := r.Now() + 30*time.Second; !done && r.Now() < limit; {
		if stopped := r.Run(r.Now() + 100*time.Microsecond); stopped != nil {
			return "", stopped
		}
	}
	if !done {
		return "", fmt.Errorf("no answer in 30 s")
	}
	return out, err
}

// command runs a command of a transaction, from one of the groups that there are.
func (r *recital) command(tx *recited, args []string) (string, error) {
	switch args[0] {
	case "start":
		wait, ok := r.call(tx, args[2:])
		if !ok {
			return "", fmt.Errorf("%q is no call with a future", args[2:])
		}
		tx.begun[args[1]] = wait
		return "", nil
	case "wait":
		wait := tx.begun[args[1]]
		if wait == nil {
			return "", fmt.Errorf("nothing was started as %s", args[1])
		}
		return wait(), nil
	}
	if wait, ok := r.call(tx, args); ok {
		return wait(), nil
	}
	if out, ok := mutate(tx, args); ok {
		return out, nil
	}
	if out, ok := tx.option(args); ok {
		return out, nil
	}
	if out, ok, err := r.control(tx, args); ok || err != nil {
		return out, err
	}
	return r.ask(tx, args)
}

// call starts a call that has a future, and returns how to wait for its answer.
func (r *recital) call(tx *recited, args []string) (wait func() string, ok bool) {
	switch args[0] {
	case "get", "sget":
		get := tx.Get
		if args[0] == "sget" {
			get = tx.Snapshot().Get
		}
		f := get(literal(args[1]))
		return func() string {
			value, err := f.Get()
			if err != nil {
				return failure(err)
			}
			return r.show(value)
		}, true
	case "getkey":
		f := tx.GetKey(selectorOf(args[1]))
		return func() string {
			key, err := f.Get()
			if err != nil {
				return outcome(err)
			}
			return showKey(string(key))
		}, true
	case "range", "selrange":
		rows := rangeCall(tx, args)
		return func() string { return r.rows(rows.GetSliceWithError()) }, true
	case "commit":
		f := tx.Commit()
		return func() string { return outcome(f.Get()) }, true
	case "onerror":
		f := tx.OnError(Error{int(number(args[1]))})
		return func() string { return outcome(f.Get()) }, true
	case "stamp":
		f := tx.GetVersionstamp()
		return func() string {
			stamp, err := f.Get()
			if err != nil {
				return outcome(err)
			}
			return r.hideStamp(fmt.Sprintf("0x%x", stamp))
		}, true
	case "rv":
		f := tx.GetReadVersion()
		return func() string {
			_, err := f.Get()
			return outcome(err)
		}, true
	}
	return nil, false
}

func rangeCall(tx *recited, args []string) *RangeResult {
	read := tx.GetRange
	var o RangeOptions
	for _, a := range args[3:] {
		switch a {
		case "reverse":
			o.Reverse = true
		case "snapshot":
			read = tx.Snapshot().GetRange
		default:
			o.Limit = int(number(strings.TrimPrefix(a, "limit=")))
		}
	}
	// The mode is chosen as GetSliceWithError would for the answers that follow.
	o.Mode = StreamingModeWantAll
	if o.Limit > 0 {
		o.Mode = StreamingModeExact
	}
	if args[0] == "selrange" {
		return read(selectorOf(args[1]), selectorOf(args[2]), o)
	}
	return read(FirstGreaterOrEqual(literal(args[1])), FirstGreaterOrEqual(literal(args[2])), o)
}

// control runs the commands that begin, end or replace a transaction, and those
// of watches.
func (r *recital) control(tx *recited, args []string) (out string, ok bool, err error) {
	switch args[0] {
	case "cancel":
		tx.Cancel()
	case "reset":
		tx.Reset()
	case "again": // another transaction of the same client
		tx.Transaction = tx.client.CreateTransaction()
	case "setversion":
		tx.SetReadVersion(number(args[1]))
	case "setrv":
		rv, err := tx.client.CreateTransaction().GetReadVersion().Get()
		if err != nil {
			return "", true, err
		}
		tx.SetReadVersion(rv + number(args[1]))
	case "watch":
		tx.watch = tx.Watch(literal(args[1]))
	case "cancelwatch":
		tx.watch.Cancel()
	case "fired":
		d, err := time.ParseDuration(args[1])
		ctx, cancel := tx.h.WithTimeout(tx.h.Context(), d)
		defer cancel()
		werr := tx.watch.Wait(ctx)
		if errors.Is(werr, context.DeadlineExceeded) {
			return "not fired in " + args[1], true, err
		}
		return "fired " + outcome(werr), true, err
	case "transact": // whose function fails that often with that error
		return transact(tx, int(number(args[1])), args[2]), true, nil
	case "dboption":
		o := tx.client.Options()
		set := map[string]func(int64) error{
			"timeout": o.SetTransactionTimeout, "retry_limit": o.SetTransactionRetryLimit,
			"max_retry_delay": o.SetTransactionMaxRetryDelay,
		}[args[1]]
		return outcome(set(number(args[2]))), true, nil
	default:
		return "", false, nil
	}
	return "", true, nil
}

func transact(tx *recited, fail int, kind string) string {
	calls := 0
	_, err := tx.client.Transact(func(t *Transaction) (any, error) {
		calls++
		t.Set([]byte("transacted"), nil)
		switch {
		case calls > fail:
			return "done", nil
		case kind == "other":
			return nil, errors.New("not FoundationDB's")
		default:
			return nil, fmt.Errorf("wrapped: %w", Error{int(number(kind))})
		}
	})
	return fmt.Sprintf("%v calls %d", err, calls)
}
